# What an account that deploys without being root consists of: the module makes it on NixOS, and the lab on its own machines. Texts
# alone, without nixpkgs.
let
  # The steps that the entry knows, each by its name: what the operator's machine runs beside them is no part of a host.
  steps = [
    ../../components/health/scripts/health.sh
    ../../components/nixos/scripts/host.sh
    ../../components/nixos/scripts/activate.sh
    ../../components/nixos/scripts/confirm.sh
    ../../components/nixos/scripts/previous.sh
    ../../components/nixos/scripts/arm-boot.sh
    ../../components/nixos/scripts/confirm-boot.sh
    ../../components/nixos/scripts/after-boot.sh
    ../../components/nixos/scripts/status.sh
  ];
in
rec {
  name = "deploy";
  # Of a group of the inventory that deploys a part of the fleet: what Keycloak calls it, and whom its certificates are for.
  groupOf = group: "deployers-${group}";
  principalOf = group: "deploy-${group}";
  # By the running system, which is another one once a trial is on.
  path = "/run/current-system/etc/aether/host";

  scripts = import ./scripts.nix "aether-protocol" steps;

  # The program that sudo starts. `shell` is an absolute path, `key` the public key of the fleet.
  entry =
    { shell, key }:
    builtins.replaceStrings
      [
        "#!/usr/bin/env bash\n"
        "@scripts@"
        "@key@"
      ]
      [
        # Privileged: neither functions nor options come from the environment.
        "#!${shell} -p\n"
        "${scripts}"
        key
      ]
      (builtins.readFile ../../components/nixos/scripts/entry.sh);

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
