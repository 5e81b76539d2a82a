# The same host as a local VM (`nix run .#HOST`), to look at: QEMU's network, a root shell on the console, and secrets
# made up on the spot, because the real ones are encrypted to the real machine.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  secrets = lib.attrValues config.sops.secrets;
  # Ports below 1024 belong to root on the machine that runs the VM.
  outside = port: if port < 1024 then port + 8000 else port;
  # mkpasswd of "aether".
  passwordHash = "$6$aether$zmezuiiQbvDOhZGLNaoB1ZMW4reIjcrDkgzso4JSTodRbnytdm3dsPzjk3cgY8G9rgQ10TebWB5KfmU3k24mm.";

  place = entry: content: ''
    install -D -m ${entry.mode} /dev/stdin ${lib.escapeShellArg entry.path} <<'SECRET'
    ${content}
    SECRET
    chown ${if entry.owner == null then "0" else entry.owner} ${lib.escapeShellArg entry.path} || true
  '';
  makeUp =
    secret: place secret (if secret.neededForUsers then passwordHash else "made-up-${secret.name}");
  # Placeholders stay in: a service that parses them says so, the others start.
  render = template: place template template.content;
in
{
  virtualisation.vmVariant = {
    virtualisation = {
      memorySize = lib.mkDefault (lib.min 4096 (aether.host.memory or 2048));
      cores = lib.mkDefault 2;
      diskImage = "./${aether.name}.qcow2";
      graphics = lib.mkDefault false;
      # Another architecture's guest is emulated here; what starts it runs on the machine that flake's apps are for.
      host.pkgs = lib.mkIf (
        pkgs.stdenv.hostPlatform.system != "x86_64-linux"
      ) aether.inputs.nixpkgs.legacyPackages.x86_64-linux;
      forwardPorts = map (port: {
        from = "host";
        # Its passwords are known to everybody.
        host.address = "127.0.0.1";
        host.port = outside port;
        guest.port = port;
      }) config.aether.firewall.openPorts.tcp;
    };
    aether.network.enable = lib.mkForce false;
    networking.useDHCP = lib.mkForce true;
    # QEMU's forwards come from its gateway, which is in no network of the inventory.
    networking.firewall.extraInputRules = "ip saddr 10.0.2.2 accept";
    services.cloud-init.enable = lib.mkForce false;
    # A container has no kernel of its own; its VM needs one.
    boot.isContainer = lib.mkForce false;
    # Its one disk is QEMU's, plain and kept: what the machine's own layout carries has nothing to stand on.
    aether.features.ephemeral.enable = lib.mkForce false;
    aether.features.snapshots.enable = lib.mkForce false;
    services.btrfs.autoScrub.enable = lib.mkForce false;
    services.getty.autologinUser = "root";
    security.audit.enable = lib.mkForce false;
    security.auditd.enable = lib.mkForce false;
    system.activationScripts = {
      setupSecretsForUsers = lib.mkForce {
        text = lib.concatMapStrings makeUp (lib.filter (secret: secret.neededForUsers) secrets);
      };
      setupSecrets = lib.mkForce {
        deps = [ "users" ];
        text =
          lib.concatMapStrings makeUp (lib.filter (secret: !secret.neededForUsers) secrets)
          + lib.concatMapStrings render (lib.attrValues config.sops.templates);
      };
    };
  };
}
