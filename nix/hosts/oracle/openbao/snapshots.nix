# Raft snapshots: a consistent copy of everything, encrypted as it lies in storage. Restoring needs the seal key of
# secrets/hosts/openbao.yaml (README.md).
{
  config,
  lib,
  pkgs,
  ...
}:
let
  directory = "/var/backup/openbao";
in
{
  aether.secrets.snapshot-password = { };

  systemd.services.openbao-snapshot = {
    description = "Snapshot of OpenBao";
    requires = [ "openbao.service" ];
    after = [ "openbao-configuration.service" ];
    path = [
      config.services.openbao.package
      pkgs.coreutils
      pkgs.findutils
    ];
    environment.BAO_ADDR = "http://${config.services.openbao.settings.listener.local.address}";
    # The command line looks for a token of its user's here.
    environment.HOME = "/run/openbao-snapshot";
    serviceConfig = {
      Type = "oneshot";
      ExecStart = "${lib.getExe pkgs.bash} ${./snapshot.sh} ${directory} 28";
      LoadCredential = "snapshot-password:${config.sops.secrets.snapshot-password.path}";
      RuntimeDirectory = "openbao-snapshot";
      ReadWritePaths = [ directory ];
      ProtectSystem = "strict";
      ProtectHome = true;
      PrivateTmp = true;
      NoNewPrivileges = true;
      UMask = "0077";
    };
  };
  systemd.timers.openbao-snapshot = {
    wantedBy = [ "timers.target" ];
    timerConfig = {
      OnCalendar = "*-*-* 00/6:00:00";
      Persistent = true;
      RandomizedDelaySec = "10min";
    };
  };
  systemd.tmpfiles.rules = [ "d ${directory} 0700 root root -" ];

  aether.backup = {
    paths = [ directory ];
    calendar = "03:30";
    prepare = "${lib.getExe' config.systemd.package "systemctl"} start openbao-snapshot.service";
  };
}
