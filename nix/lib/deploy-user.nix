# What an account that deploys without being root consists of: the module makes it on NixOS, and the lab on its own machines. Texts
# alone, without nixpkgs.
let
  # The steps that the entry knows; what the operator's machine runs stays there.
  onTheHost = [
    "host.sh"
    "activate.sh"
    "confirm.sh"
    "previous.sh"
    "arm-boot.sh"
    "confirm-boot.sh"
    "after-boot.sh"
    "status.sh"
  ];
  folder = ../../components/nixos/scripts;
in
rec {
  name = "deploy";
  # By the running system, which is another one once a trial is on.
  path = "/run/current-system/etc/aether/host";

  scripts = builtins.path {
    name = "aether-protocol";
    path = folder;
    filter = path: _: builtins.elem (baseNameOf path) onTheHost;
  };

  # The program that sudo starts. `shell` is an absolute path, `key` the public key of the fleet.
  entry =
    { shell, key }:
    builtins.replaceStrings
      [
        "#!/usr/bin/env bash\n"
        "scripts=@scripts@"
        "@key@"
      ]
      [
        # Privileged: neither functions nor options come from the environment.
        "#!${shell} -p\n"
        "scripts=${scripts}"
        key
      ]
      (builtins.readFile (folder + "/entry.sh"));

  # Health checks of the inventory as the protocol has them, a line each (components/nixos/system.py, check_lines).
  checks =
    health:
    builtins.concatStringsSep "" (
      map (
        check:
        builtins.concatStringsSep "\t" (
          (
            if check ? unit then
              [
                "unit"
                check.unit
                "-"
              ]
            else if check ? tcp then
              [
                "tcp"
                (toString check.tcp)
                "-"
              ]
            else if check ? http then
              [
                "http"
                check.http
                (toString (check.status or 200))
              ]
            else
              [
                "command"
                check.command
                "-"
              ]
          )
          ++ [ (toString (check.timeout or 60)) ]
          ++ (if check.warn or false then [ "warn" ] else [ ])
        )
        + "\n"
      ) health
    );
}
