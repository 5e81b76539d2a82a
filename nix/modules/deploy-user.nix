# An account for deployments that is not root, where the inventory says `ssh_user = "deploy"`: it may copy what the fleet signed, and have
# one program of the system's run as root, which knows the steps of the protocol and nothing else. Root's own login is off then.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  inherit (aether.lib) deployUser;
  # Groups that deploy this host, beside those that deploy every one.
  parts = aether.inventory.deployersOf aether.name;
  # Two while it is rotated.
  key = lib.replaceStrings [ "\n" ] [ " " ] (lib.fileContents ../pki/nix-signing.pub);
  entry = pkgs.writeScript "aether-host" (
    deployUser.entry {
      shell = pkgs.runtimeShell;
      inherit key;
    }
  );
in
{
  config = lib.mkIf ((aether.host.ssh_user or "root") == deployUser.name) {
    users.users.${deployUser.name} = {
      isSystemUser = true;
      group = deployUser.name;
      description = "Deployments of Aether";
      shell = pkgs.bashInteractive;
      openssh.authorizedKeys.keys = config.aether.users.keys;
    };
    users.groups.${deployUser.name} = { };
    # Not a trusted user: what it copies has to be signed.
    nix.settings.allowed-users = [
      "@wheel"
      deployUser.name
    ];

    environment.etc."aether/host".source = entry;
    # A check may be a command, which is run as root: the system's own, not the caller's.
    environment.etc."aether/checks".text = deployUser.checks (aether.host.health or [ ]);

    security.sudo = {
      # sudo asks its own rules; the account is in no group that has others.
      execWheelOnly = lib.mkForce false;
      extraRules = [
        {
          users = [ deployUser.name ];
          runAs = "root";
          commands = [
            {
              command = deployUser.path;
              options = [ "NOPASSWD" ];
            }
          ];
        }
      ];
      extraConfig = ''
        Defaults!${deployUser.path} env_keep += "SSH_CONNECTION", !use_pty
      '';
    };

    # A copy: sshd takes no file whose folder, the store, a group may write to.
    environment.etc."ssh/aether-deployers" = lib.mkIf (parts != [ ]) {
      mode = "0444";
      text = lib.concatMapStrings (principal: "${principal}\n") (
        [ deployUser.name ] ++ map deployUser.principalOf parts
      );
    };
    services.openssh.settings.PermitRootLogin = lib.mkForce "no";
    services.openssh.extraConfig = lib.mkAfter (
      ''
        Match User ${deployUser.name}
          DisableForwarding yes
          PermitTTY no
      ''
      # Without the file a certificate has to name the account itself.
      + lib.optionalString (parts != [ ]) "  AuthorizedPrincipalsFile /etc/ssh/aether-deployers\n"
    );
  };
}
