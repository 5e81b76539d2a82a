# The image of workspaces, built by Nix and loaded into Podman of user coder: its tag is the hash of its contents, so
# a template that names it is pinned, without a registry.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  user = config.users.users.coder;
  podman = lib.getExe config.virtualisation.podman.package;
  # git, curl and the agent of Coder speak to the homelab: its own root beside the public ones.
  certificates = pkgs.cacert.override {
    extraCertificateFiles = [ config.aether.certificates.rootFile ];
  };
  image = pkgs.dockerTools.buildLayeredImage {
    name = "localhost/aether-workspace";
    contents = [
      pkgs.bashInteractive
      certificates
      pkgs.coreutils
      pkgs.curl
      pkgs.dockerTools.usrBinEnv
      pkgs.dockerTools.fakeNss
      pkgs.findutils
      pkgs.git
      pkgs.gnugrep
      pkgs.gnumake
      pkgs.gnused
      pkgs.gnutar
      pkgs.go
      pkgs.gzip
      pkgs.nodejs
      pkgs.openssh
      pkgs.python3
      pkgs.ripgrep
      pkgs.uv
    ];
    # Root in a rootless container is user coder outside.
    fakeRootCommands = "mkdir -p ./tmp ./home/coder && chmod 1777 ./tmp";
    config = {
      WorkingDir = "/home/coder";
      Env = [
        "HOME=/home/coder"
        "LANG=C.UTF-8"
        "PATH=/bin:/usr/bin"
        "SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt"
        "NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-bundle.crt"
      ];
    };
  };
in
{
  options.aether.dev.workspaceImage = lib.mkOption {
    type = lib.types.str;
    readOnly = true;
    default = "${image.imageName}:${image.imageTag}";
    defaultText = lib.literalMD "name and content hash of the workspace image";
    description = "What a workspace runs.";
  };

  config.systemd.services.coder-workspace-image = {
    description = "Load the workspace image into Podman of user coder";
    wantedBy = [ "multi-user.target" ];
    wants = [ "user@${toString user.uid}.service" ];
    after = [ "user@${toString user.uid}.service" ];
    # newuidmap, which rootless Podman calls, is a wrapper with privileges.
    path = [ "/run/wrappers" ];
    environment = {
      HOME = user.home;
      XDG_RUNTIME_DIR = "/run/user/${toString user.uid}";
    };
    unitConfig.RequiresMountsFor = user.home;
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      User = user.name;
      ExecStart = "${podman} load --input ${image}";
    };
  };
}
