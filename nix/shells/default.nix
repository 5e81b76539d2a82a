{ pkgs }:
pkgs.mkShellNoCC {
  name = "aether";
  packages = [
    # Provision.
    pkgs.opentofu
    pkgs.pulumi
    pkgs.pulumiPackages.pulumi-python
    pkgs.uv
    pkgs.python311
    # Configure.
    pkgs.ansible
    pkgs.nixos-rebuild
    pkgs.nixfmt-rs
    pkgs.deadnix
    pkgs.statix
    # Cluster.
    pkgs.kubectl
    pkgs.talosctl
    # Secrets and certificates.
    pkgs.sops
    pkgs.age
    pkgs.ssh-to-age
    pkgs.step-cli
    pkgs.openbao
    # The rest of the repository.
    pkgs.git
    pkgs.gnumake
    pkgs.go
    pkgs.jq
    pkgs.shellcheck
  ];
}
