# Services of this host as OCI images, for an engine elsewhere: the program, the texts, the environment and the preparation
# that its unit has. Secrets and certificates stay out: what is not in the store is a volume.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.aether.oci;
  host = config.networking.hostName;
  # systemd's own words for the folders of a system's services.
  resolved = lib.replaceStrings [ "%S" "%t" ] [ "/var/lib" "/run" ];
  words = value: lib.concatMap (lib.splitString " ") (lib.toList value);

  imageOf =
    name: oci:
    let
      unit = config.systemd.services.${oci.unit};
      service = unit.serviceConfig;
      state = map (folder: "/var/lib/${folder}") (words (service.StateDirectory or [ ]));
      runtime = map (folder: "/run/${folder}") (words (service.RuntimeDirectory or [ ]));
      # As systemd says where they are.
      folders =
        lib.optionalAttrs (state != [ ]) { STATE_DIRECTORY = lib.concatStringsSep ":" state; }
        // lib.optionalAttrs (runtime != [ ]) { RUNTIME_DIRECTORY = lib.concatStringsSep ":" runtime; };
      # An empty one takes back what the package's unit says.
      command = resolved (lib.last (lib.filter (line: line != "") (lib.toList service.ExecStart)));
      start = pkgs.writeShellScript "${name}-start" ''
        set -e
        mkdir -p ${lib.escapeShellArgs (state ++ runtime ++ [ "/tmp" ])}
        ${unit.preStart}
        exec ${command} "$@"
      '';
      settings = {
        Entrypoint = [ "${start}" ];
        Env =
          lib.mapAttrsToList (key: value: "${key}=${resolved (toString value)}") (
            lib.filterAttrs (_: value: value != null) (config.systemd.globalEnvironment // unit.environment)
            // folders
          )
          ++ map resolved (lib.toList (service.Environment or [ ]));
        ExposedPorts = lib.genAttrs oci.ports (_: { });
        Volumes = lib.genAttrs (state ++ oci.volumes) (_: { });
        StopSignal = service.KillSignal or "SIGTERM";
        Labels = {
          "org.opencontainers.image.title" = name;
          "org.opencontainers.image.description" = unit.description;
        };
      };
    in
    {
      inherit settings;
      archive = pkgs.dockerTools.buildLayeredImage {
        name = "aether/${host}-${name}";
        contents = [
          pkgs.dockerTools.fakeNss
          (pkgs.linkFarm "${name}-etc" (
            map (path: {
              name = "etc/${path}";
              path = config.environment.etc.${path}.source;
            }) ([ "ssl/certs/ca-certificates.crt" ] ++ oci.etc)
          ))
        ];
        config = settings;
      };
    };
  images = lib.mapAttrs imageOf cfg;
in
{
  options.aether.oci = mkOption {
    default = { };
    description = "Services that are exported as OCI images (`aether image HOST oci`), by name.";
    example = {
      resolver = {
        unit = "adguardhome";
        ports = [ "53/udp" ];
      };
    };
    type = types.attrsOf (
      types.submodule (
        { name, ... }:
        {
          options = {
            unit = mkOption {
              type = types.str;
              default = name;
              description = "Its service, without `.service`.";
            };
            ports = mkOption {
              type = types.listOf (types.strMatching "[0-9]+/(tcp|udp)");
              default = [ ];
              description = "Ports that it listens on.";
            };
            etc = mkOption {
              type = types.listOf types.str;
              default = [ ];
              description = "Files of /etc that it reads, beside the authorities that the host trusts.";
            };
            volumes = mkOption {
              type = types.listOf types.str;
              default = [ ];
              description = "What it needs from outside beside its state: secrets, certificates.";
            };
          };
        }
      )
    );
  };

  config.system.build.oci =
    pkgs.linkFarm "oci-${host}" (
      lib.mapAttrsToList (name: image: {
        name = "${name}.tar.gz";
        path = image.archive;
      }) images
    )
    // {
      settings = lib.mapAttrs (_: image: image.settings) images;
    };
}
