# Media: films and music (Jellyfin), books (Calibre and Calibre-web), torrents by the VPN and nothing but the VPN.
# One group, `media`, shares one tree on the second disk.
{ lib, pkgs, ... }:
let
  root = "/srv/media";
  # What each program writes, all of it readable by the group; the set-group bit keeps it so for what comes later.
  library = [
    "books"
    "films"
    "music"
    "series"
    "torrents"
    "torrents/complete"
    "torrents/incomplete"
  ];
  # SQLite files are copied by SQLite: a plain copy of one that is written to is not a backup.
  databases = {
    jellyfin = "/var/lib/jellyfin/data/jellyfin.db";
    calibre-web = "/var/lib/calibre-web/app.db";
    books = "${root}/books/metadata.db";
  };
  dumps = "/var/backup/sqlite";
in
{
  imports = [
    ../../../profiles/appliance.nix
    ./jellyfin.nix
    ./vpn.nix
    ./torrents.nix
    ./books.nix
  ];

  users.groups.media = { };
  systemd.tmpfiles.rules = [
    "d ${root} 0755 root root -"
  ]
  ++ map (folder: "d ${root}/${folder} 2775 root media -") library
  ++ [ "d ${dumps} 0700 root root -" ];

  # Films can be had again; what people made of them (lists, progress, users) and the books cannot.
  aether.backup = {
    paths = [
      "/var/lib/jellyfin"
      "/var/lib/calibre-web"
      "/var/lib/qBittorrent"
      "${root}/books"
      dumps
    ];
    exclude = [
      "/var/lib/jellyfin/log"
      "/var/lib/jellyfin/metadata/library"
    ]
    ++ lib.attrValues databases;
    prepare = lib.concatStringsSep "\n" (
      lib.mapAttrsToList (
        name: file:
        "if [ -e ${file} ]; then ${lib.getExe pkgs.sqlite} ${file} \".backup '${dumps}/${name}.db'\"; fi"
      ) databases
    );
  };
}
