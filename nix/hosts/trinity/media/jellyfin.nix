# Jellyfin, with its own users: television apps know neither OIDC nor the gateway's login page.
# Transcoding is the GPU's work (VA-API on the render node that trinity passes to this VM).
{ pkgs, aether, ... }:
let
  renderNode = "/dev/dri/renderD128";
in
{
  services.jellyfin = {
    enable = true;
    cacheDir = "/srv/media/.cache/jellyfin";
    hardwareAcceleration = {
      enable = true;
      type = "vaapi";
      device = renderNode;
    };
    # This file decides, not the last click in the dashboard.
    forceEncodingConfig = true;
    transcoding = {
      enableHardwareEncoding = true;
      enableToneMapping = true;
      throttleTranscoding = true;
      maxConcurrentStreams = 4;
      hardwareDecodingCodecs = {
        h264 = true;
        hevc = true;
        hevc10bit = true;
        mpeg2 = true;
        vc1 = true;
        vp9 = true;
        av1 = true;
      };
      hardwareEncodingCodecs.hevc = true;
    };
  };

  hardware.graphics = {
    enable = true;
    extraPackages = [
      pkgs.intel-media-driver
      pkgs.vpl-gpu-rt
    ];
  };
  environment.sessionVariables.LIBVA_DRIVER_NAME = "iHD";
  systemd.services.jellyfin = {
    environment.LIBVA_DRIVER_NAME = "iHD";
    unitConfig.RequiresMountsFor = "/srv/media";
    serviceConfig = {
      # It reads the library and writes no file there.
      SupplementaryGroups = [
        "media"
        "render"
      ];
      ReadOnlyPaths = [
        "/srv/media/films"
        "/srv/media/series"
        "/srv/media/music"
      ];
    };
  };
  systemd.tmpfiles.rules = [ "d /srv/media/.cache 0711 root root -" ];

  # Players at home connect to it directly; everyone else comes through the gateway.
  aether.firewall.allow.jellyfin = {
    tcp = [ aether.services.jellyfin.port ];
    from = [ "clients" ];
  };
}
