# Backups of what matters, by restic: each feature names its own paths, one job a host carries them off.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  inherit (lib) types mkOption mkDefault;
  cfg = config.aether.backup;
  server = "smith-storage";
  ssh = aether.inventory.way aether.name server 22;
  # A relay is at another address and port; the key is the server's own.
  at =
    if ssh.relayed then
      "//restic@${ssh.address}:${toString ssh.port}/"
    else
      "restic@${aether.inventory.address server}:";
in
{
  options.aether.backup = {
    paths = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "/var/lib/hass" ];
      description = "Directories that hold what cannot be made again.";
    };
    exclude = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Patterns to leave out.";
    };
    prepare = mkOption {
      type = types.lines;
      default = "";
      description = "Commands before the backup: dumps of databases into a directory of `paths`.";
    };
    repository = mkOption {
      type = types.str;
      default = "sftp:${at}/srv/backup/${aether.name}";
      description = "restic repository; host smith-storage keeps one a host (ansible/roles/restic_server).";
    };
    calendar = mkOption {
      type = types.str;
      default = "03:00";
      description = "When (systemd calendar).";
    };
  };

  config = lib.mkIf (cfg.paths != [ ]) {
    aether.secrets = {
      restic-password = { };
      restic-ssh-key = { };
    };
    services.restic.backups.aether = {
      inherit (cfg) paths exclude repository;
      passwordFile = config.sops.secrets.restic-password.path;
      initialize = true;
      backupPrepareCommand = lib.mkIf (cfg.prepare != "") cfg.prepare;
      extraOptions = [
        "sftp.args='-i ${config.sops.secrets.restic-ssh-key.path} -o StrictHostKeyChecking=yes -o HostKeyAlias=${server}'"
      ];
      timerConfig = {
        OnCalendar = cfg.calendar;
        Persistent = true;
        # Fifteen hosts do not knock in the same second.
        RandomizedDelaySec = "1h";
      };
      pruneOpts = [
        "--keep-daily 7"
        "--keep-weekly 5"
        "--keep-monthly 12"
      ];
      checkOpts = mkDefault [ "--with-cache" ];
    };
    aether.persist.volatile."/var/cache" = "restic's cache, filled from the repository again";
    # Runs only when every command before it succeeded; monitoring alerts on the age of this number.
    systemd.services.restic-backups-aether.serviceConfig.ExecStartPost = [
      "+${pkgs.writeShellScript "aether-backup-done" (builtins.readFile ./backup-done.sh)} ${config.aether.otel.textfiles}/backup.prom"
    ];
  };
}
