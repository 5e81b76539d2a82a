# SSH: the only way in. The host key is the machine's identity: sops-nix derives its age key from it.
{
  config,
  lib,
  aether,
  ...
}:
{
  options.aether.ssh = {
    port = lib.mkOption {
      type = lib.types.port;
      default = 22;
      description = "Port of the SSH server.";
    };
    from = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "management" ];
      description = "Networks, hosts or CIDRs that may connect; empty for all.";
    };
    operators = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ "management" ];
      description = "Networks that operators deploy from: nobody there is banned for wrong keys.";
    };
    certificates = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = "Let people in by the certificate that host step-ca gave them for the working day (`step ssh login`), under the account that it names.";
    };
  };

  config = {
    services.openssh = {
      enable = lib.mkDefault true;
      ports = [ config.aether.ssh.port ];
      # A rule below opens it, for those who may.
      openFirewall = false;
      # A daemon that is always there answers where a socket would still have to fork. (Stronger than a default:
      # the container module has one of its own.)
      startWhenNeeded = lib.mkOverride 900 false;
      hostKeys = [
        {
          type = "ed25519";
          path = "/etc/ssh/ssh_host_ed25519_key";
        }
      ];
      # The CA's policy names the operator and nobody else, and never root: deploys stay with the inventory's keys.
      settings.TrustedUserCAKeys = lib.mkIf config.aether.ssh.certificates "${aether.lib.files.alone ../pki/ssh_user_ca.pub}";
    };
    aether.firewall.allow.ssh = {
      tcp = [ config.aether.ssh.port ];
      inherit (config.aether.ssh) from;
    };
  };
}
