# The database (what was issued and revoked, ACME accounts) is copied while step-ca rests: badger's files are not
# whole while it writes. Keys are not in it; they are in secrets/.
{ lib, pkgs, ... }:
{
  aether.backup = {
    paths = [ "/var/backup/step-ca" ];
    calendar = "03:10";
    prepare = ''
      ${lib.getExe pkgs.bash} ${./copy-database.sh} step-ca.service /var/lib/private/step-ca/db /var/backup/step-ca/db
    '';
  };
  systemd.tmpfiles.rules = [ "d /var/backup/step-ca 0700 root root -" ];
}
