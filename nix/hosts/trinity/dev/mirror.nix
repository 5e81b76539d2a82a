# A pull-through mirror of Docker Hub for workspaces: each layer is fetched once. A Quadlet container of user coder,
# from an image that Nix builds: pinned by its contents, so there is nothing to update behind anyone's back.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  user = config.users.users.coder;
  port = 5000;
  settings = (pkgs.formats.yaml { }).generate "mirror.yml" {
    version = "0.1";
    log.level = "warn";
    storage.filesystem.rootdirectory = "/var/lib/registry";
    storage.delete.enabled = true;
    http.addr = ":${toString port}";
    proxy = {
      remoteurl = "https://registry-1.docker.io";
      ttl = "168h";
    };
  };
  image = pkgs.dockerTools.buildLayeredImage {
    name = "localhost/aether-mirror";
    contents = [
      pkgs.cacert
      pkgs.curlMinimal
    ];
    fakeRootCommands = "mkdir -p ./tmp ./var/lib/registry && chmod 1777 ./tmp";
    config.Entrypoint = [
      (lib.getExe' pkgs.distribution "registry")
      "serve"
      "${settings}"
    ];
  };
  # Quadlets of one user lie in a folder of his own, where his service manager's generator reads them: `User=` in those of
  # the system is what Podman warns of.
  folder = "containers/systemd/users/${toString user.uid}";
  manager = "${lib.getExe' config.systemd.package "systemctl"} --user --machine=${user.name}@.host";
  quadlets = lib.mapAttrs (_: lib.generators.toINI { listsAsDuplicateKeys = true; }) {
    # Workspaces see each other and the Internet, by name on their own bridge; not the host's loopback.
    "workspaces.network".Network = {
      NetworkName = "workspaces";
      Subnet = "10.89.30.0/24";
    };
    "mirror.volume".Volume.VolumeName = "mirror";
    "mirror.image".Image = {
      Image = "docker-archive:${image}";
      ImageTag = "${image.imageName}:${image.imageTag}";
    };
    "mirror.container" = {
      Unit.Description = "Mirror of Docker Hub";
      Container = {
        ContainerName = "mirror";
        Image = "mirror.image";
        Network = "workspaces.network";
        Volume = "mirror.volume:/var/lib/registry";
        PublishPort = "127.0.0.1:${toString port}:${toString port}";
        # An answer of the registry's own API, from inside.
        HealthCmd = "${lib.getExe pkgs.curlMinimal} -fsS http://127.0.0.1:${toString port}/v2/";
        HealthInterval = "1m";
        HealthRetries = 3;
        HealthOnFailure = "kill";
        ReadOnly = true;
        NoNewPrivileges = true;
        DropCapability = "all";
      };
      Service = {
        Restart = "always";
        # newuidmap, which rootless Podman calls, is a wrapper with privileges.
        Environment = "PATH=/run/wrappers/bin:/run/current-system/sw/bin";
      };
      Install.WantedBy = "default.target";
    };
  };
in
{
  aether.podman.enable = true;
  systemd.user.generators.podman-user-generator = "${config.virtualisation.podman.package}/lib/systemd/user-generators/podman-user-generator";

  # A switch of the system leaves the managers of users alone.
  systemd.services.mirror-quadlets = {
    description = "Have the service manager of user ${user.name} read its quadlets";
    wantedBy = [ "multi-user.target" ];
    wants = [ "user@${toString user.uid}.service" ];
    after = [ "user@${toString user.uid}.service" ];
    restartTriggers = lib.attrValues quadlets;
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = [
        "${manager} daemon-reload"
        "${manager} restart --no-block mirror.service"
      ];
    };
  };

  environment.etc =
    lib.mapAttrs' (name: text: lib.nameValuePair "${folder}/${name}" { inherit text; }) quadlets
    // {
      # Podman asks the mirror first, and Docker Hub when there is none.
      "containers/registries.conf.d/50-mirror.conf".text = ''
        [[registry]]
        location = "docker.io"

        [[registry.mirror]]
        location = "127.0.0.1:${toString port}"
        insecure = true
      '';
    };
}
