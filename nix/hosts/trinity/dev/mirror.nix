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
  rootless.uid = user.uid;
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
  inherit (config.virtualisation.quadlet) images networks volumes;
in
{
  virtualisation.quadlet = {
    networks.workspaces = {
      rootlessConfig = rootless;
      networkConfig = {
        # Workspaces see each other and the Internet, by name on their own bridge; not the host's loopback.
        name = "workspaces";
        subnets = [ "10.89.30.0/24" ];
      };
    };
    volumes.mirror = {
      rootlessConfig = rootless;
      volumeConfig.name = "mirror";
    };
    images.mirror = {
      rootlessConfig = rootless;
      imageConfig = {
        image = "docker-archive:${image}";
        tag = "${image.imageName}:${image.imageTag}";
      };
    };
    containers.mirror = {
      rootlessConfig = rootless;
      containerConfig = {
        name = "mirror";
        image = images.mirror.ref;
        networks = [ networks.workspaces.ref ];
        volumes = [ "${volumes.mirror.ref}:/var/lib/registry" ];
        publishPorts = [ "127.0.0.1:${toString port}:${toString port}" ];
        # An answer of the registry's own API, from inside.
        healthCmd = "${lib.getExe pkgs.curlMinimal} -fsS http://127.0.0.1:${toString port}/v2/";
        healthInterval = "1m";
        healthRetries = 3;
        healthOnFailure = "kill";
        readOnly = true;
        noNewPrivileges = true;
        dropCapabilities = [ "all" ];
      };
      serviceConfig.Restart = "always";
    };
  };

  # Podman asks the mirror first, and Docker Hub when there is none.
  environment.etc."containers/registries.conf.d/50-mirror.conf".text = ''
    [[registry]]
    location = "docker.io"

    [[registry.mirror]]
    location = "127.0.0.1:${toString port}"
    insecure = true
  '';
}
