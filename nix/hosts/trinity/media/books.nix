# Books: one Calibre library, read and added to by Calibre-web. The gateway has asked who it is before a request
# arrives, and says so in a header; only the gateway reaches the port.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  service = aether.services.books;
  library = "/srv/media/books";
  operator = "${aether.site.user}@${aether.site.public_domain}";
in
{
  services.calibre-web = {
    enable = true;
    group = "media";
    listen = {
      ip = "0.0.0.0";
      inherit (service) port;
    };
    options = {
      calibreLibrary = library;
      enableBookUploading = true;
      enableBookConversion = true;
      reverseProxyAuth = {
        enable = true;
        header = "X-Auth-Request-Email";
      };
    };
  };

  # An empty disk has no library yet, and Calibre-web refuses to start without one.
  systemd.services.calibre-library = {
    description = "Create the Calibre library where there is none";
    after = [ "systemd-tmpfiles-setup.service" ];
    unitConfig = {
      RequiresMountsFor = library;
      ConditionPathExists = "!${library}/metadata.db";
    };
    environment = {
      CALIBRE_CONFIG_DIRECTORY = "/tmp/calibre";
      CALIBRE_CACHE_DIRECTORY = "/tmp/calibre-cache";
      QT_QPA_PLATFORM = "offscreen";
    };
    serviceConfig = {
      Type = "oneshot";
      User = config.services.calibre-web.user;
      Group = "media";
      UMask = "0002";
      ExecStart = "${lib.getExe' pkgs.calibre "calibredb"} --with-library ${library} list";
      PrivateTmp = true;
      ProtectSystem = "strict";
      ReadWritePaths = [ library ];
    };
  };
  systemd.services.calibre-web.requires = [ "calibre-library.service" ];
  systemd.services.calibre-web.after = [ "calibre-library.service" ];
  systemd.services.calibre-web.serviceConfig = {
    UMask = "0002";
    # The administrator it is born with (admin, admin123) becomes the operator, who needs no password: the gateway
    # knows them. "!" is no hash, so no password fits.
    ExecStartPost = "${lib.getExe pkgs.sqlite} /var/lib/calibre-web/app.db \"update user set name = '${operator}', password = '!' where name = 'admin'\"";
  };
}
