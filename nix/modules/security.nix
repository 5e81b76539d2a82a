# Security posture. Exactly one of two modes: hardened for what others reach, relaxed for a machine that only
# its developer reaches. They contradict each other, so both at once is an error, and so is neither. A profile proposes one,
# the inventory decides.
{
  config,
  options,
  lib,
  aether,
  ...
}:
let
  cfg = config.aether.security;
  opt = options.aether.security;
  said = aether.host.security or null;
  other = if said == "hardened" then "relaxed" else "hardened";
  # Machines that exist as VMs alone are in no inventory.
  known = aether.inventory.hosts ? ${aether.name};
  inherit (lib)
    mkDefault
    mkEnableOption
    mkIf
    mkMerge
    ;

  short = file: lib.last (lib.splitString "-source/" (toString file));
  whereSet = option: lib.concatMapStringsSep " and " short option.files;
in
{
  imports = [
    (
      if said == null then
        # Weaker than what a profile proposes.
        { aether.security.hardened.enable = lib.mkOverride 1100 true; }
      else
        {
          _file = "the inventory, security = \"${said}\" of [hosts.${aether.name}]";
          aether.security.${said}.enable = true;
          # Stronger than what a profile proposes, and weaker than what a host itself says: then both are on, and that is refused.
          aether.security.${other}.enable = lib.mkOverride 999 false;
        }
    )
  ];

  options.aether.security = {
    hardened.enable = mkEnableOption "the hardened posture: keys only, immutable users, limits, audit, watchdog";
    relaxed.enable = mkEnableOption "the relaxed posture: passwords and mutable users, for development only";
  };

  config = mkMerge [
    {
      assertions = [
        {
          assertion = !(cfg.hardened.enable && cfg.relaxed.enable);
          message = ''
            aether.security.hardened.enable (set in ${whereSet opt.hardened.enable}) and aether.security.relaxed.enable (set in ${whereSet opt.relaxed.enable}) exclude each other.
            Remove one of the two lines: keep hardened where others can reach the machine.'';
        }
        {
          assertion = said != null || !known || !cfg.relaxed.enable;
          message = ''
            ${config.networking.hostName} is relaxed by ${whereSet opt.relaxed.enable}, and the inventory, which others read, takes it for hardened.
            Write `security = "relaxed"` in [hosts.${aether.name}], or "hardened" to keep it so.'';
        }
        {
          assertion = cfg.hardened.enable || cfg.relaxed.enable;
          message = ''
            ${config.networking.hostName} has no security posture.
            Write `security = "hardened"` in the inventory, or `aether.security.hardened.enable = true;` (or relaxed, for a development machine).'';
        }
      ];
    }

    (mkIf cfg.hardened.enable {
      users.mutableUsers = false;
      services.openssh.settings = {
        PasswordAuthentication = false;
        KbdInteractiveAuthentication = false;
        # Deploys log in as root, by key.
        PermitRootLogin = "prohibit-password";
        AllowAgentForwarding = false;
        AllowTcpForwarding = mkDefault "no";
        X11Forwarding = false;
        MaxAuthTries = 3;
        LoginGraceTime = 20;
        AuthenticationMethods = "publickey";
      };
      security.sudo = {
        execWheelOnly = true;
        wheelNeedsPassword = true;
        extraConfig = ''
          Defaults timestamp_timeout=5
        '';
      };
      # No shell for whoever makes a boot fail.
      boot.initrd.systemd.emergencyAccess = false;
      systemd.enableEmergencyMode = false;

      services.fail2ban = {
        enable = mkDefault true;
        maxretry = mkDefault 4;
        bantime = mkDefault "1h";
        # An agent with many keys must not lock the operator out.
        ignoreIP = mkDefault (
          lib.unique (
            lib.concatMap aether.inventory.cidrs (
              lib.filter (network: aether.inventory.networks ? ${network}) config.aether.ssh.operators
            )
          )
        );
        bantime-increment.enable = mkDefault true;
      };

      boot.kernel.sysctl = mkIf (!config.boot.isContainer) {
        "kernel.dmesg_restrict" = 1;
        "kernel.kptr_restrict" = 2;
        "kernel.unprivileged_bpf_disabled" = 1;
        "kernel.yama.ptrace_scope" = mkDefault 1;
        "net.core.bpf_jit_harden" = 2;
        "net.ipv4.conf.all.accept_redirects" = false;
        "net.ipv4.conf.all.send_redirects" = false;
        "net.ipv4.conf.default.accept_redirects" = false;
        "net.ipv6.conf.all.accept_redirects" = false;
        "net.ipv4.tcp_syncookies" = true;
      };

      # Bans outlive a reboot, or a reboot would be an amnesty.
      aether.persist.directories = lib.optional config.services.fail2ban.enable "/var/lib/fail2ban";

      # The kernel's audit stream belongs to the node, not to a container on it.
      security.audit.enable = mkDefault (!config.boot.isContainer);
      security.auditd.enable = mkDefault (!config.boot.isContainer);
      security.audit.rules = [
        "-w /etc/shadow -p wa -k identity"
        "-w /etc/sudoers -p wa -k privilege"
        "-a always,exit -F arch=b64 -S init_module,finit_module,delete_module -k modules"
        "-a always,exit -F arch=b64 -S mount,umount2 -F auid>=1000 -F auid!=unset -k mounts"
      ];

      boot.kernelParams = mkIf (!config.boot.isContainer) [
        "panic=10"
        "oops=panic"
      ];
    })

    # A hung kernel reboots, and boot counting then decides which generation starts. Guests have a device for it
    # (components/proxmox/vm.py), whatever their posture.
    (mkIf (!config.boot.isContainer && (cfg.hardened.enable || config.aether.platform == "proxmox-vm"))
      {
        systemd.settings.Manager = {
          RuntimeWatchdogSec = mkDefault "30s";
          RebootWatchdogSec = mkDefault "5min";
        };
      }
    )

    (mkIf cfg.relaxed.enable {
      users.mutableUsers = mkDefault true;
      services.openssh.settings = {
        PasswordAuthentication = mkDefault true;
        PermitRootLogin = mkDefault "prohibit-password";
      };
      security.sudo.wheelNeedsPassword = mkDefault true;
    })
  ];
}
