{ pkgs, nixosConfigurations }:
let
  inherit (pkgs) lib;
  # The Nix files alone: a changed document rebuilds no check.
  source = lib.fileset.toSource {
    root = ../..;
    fileset = lib.fileset.union ../../flake.nix (lib.fileset.fileFilter (file: file.hasExt "nix") ../.);
  };
  tests = import ../../tests/nix/lib.nix {
    lib = import ../lib;
    fixture = ../../tests/nix/fixture;
  };
  wrong = lib.attrNames (lib.filterAttrs (_: test: test.expr != test.expected) tests);
in
{
  format = pkgs.runCommand "aether-format" { nativeBuildInputs = [ pkgs.nixfmt-rs ]; } ''
    find ${source} -name '*.nix' -exec nixfmt --check {} +
    touch $out
  '';
  dead-code = pkgs.runCommand "aether-dead-code" { nativeBuildInputs = [ pkgs.deadnix ]; } ''
    deadnix --fail ${source}
    touch $out
  '';
  lib =
    if wrong == [ ] then
      pkgs.runCommand "aether-lib" { } "touch $out"
    else
      throw "tests/nix/lib.nix: ${lib.concatStringsSep ", " wrong} do not hold";
}
// lib.mapAttrs' (
  name: host: lib.nameValuePair "host-${name}" host.config.system.build.toplevel
) nixosConfigurations
