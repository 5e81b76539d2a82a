# Containers: Podman Quadlet units by quadlet-nix (`virtualisation.quadlet.*`). Images are pinned by digest and
# each container has a health check; an update is a commit, not a surprise at night.
{
  config,
  lib,
  ...
}:
let
  cfg = config.aether.podman;
  containers = config.virtualisation.quadlet.containers;
  used = containers != { };

  isPinned = image: image != null && (lib.hasInfix "@sha256:" image || lib.hasSuffix ".image" image);
  imageOf = container: container.containerConfig.image;
  unpinned = lib.filterAttrs (_: container: !isPinned (imageOf container)) containers;
  unchecked = lib.filterAttrs (_: container: container.containerConfig.healthCmd == null) containers;
  list = set: lib.concatStringsSep ", " (lib.attrNames set);
in
{
  options.aether.podman = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = used;
      defaultText = lib.literalMD "true where a quadlet container is declared";
      description = "Podman with its network stack, for quadlet containers or for people.";
    };
    socket = lib.mkEnableOption "the API socket, for tools that speak to Docker";
  };

  config = lib.mkIf cfg.enable {
    virtualisation.podman = {
      enable = true;
      dockerSocket.enable = lib.mkIf cfg.socket true;
      defaultNetwork.settings.dns_enabled = true;
      autoPrune = {
        enable = lib.mkDefault true;
        dates = lib.mkDefault "weekly";
        flags = [ "--filter=until=168h" ];
      };
    };
    # Images can be had again, volumes cannot.
    aether.persist.directories = [ "/var/lib/containers" ];
    # Digests do not move, so there is nothing to look for in a registry.
    virtualisation.quadlet.autoUpdate.enable = lib.mkDefault false;
    # Containers ask aardvark-dns on their bridge for each other's names.
    networking.firewall.interfaces."podman*".allowedUDPPorts = [ 53 ];

    assertions = [
      {
        assertion = unpinned == { };
        message = "Containers ${list unpinned} are not pinned: write containerConfig.image = \"registry/name:tag@sha256:…\" (`skopeo inspect --format '{{.Digest}}' docker://…`).";
      }
      {
        assertion = unchecked == { };
        message = "Containers ${list unchecked} have no health check: write containerConfig.healthCmd.";
      }
    ];
  };
}
