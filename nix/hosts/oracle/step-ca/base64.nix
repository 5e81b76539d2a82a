# Base64 of ASCII text: step-ca wants a PEM file inside JSON in it, and a constant needs no build.
{ lib }:
text:
let
  alphabet = lib.stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  digit = lib.elemAt alphabet;
  bytes = map lib.strings.charToInt (lib.stringToCharacters text);
  size = lib.length bytes;
  byte = n: if n < size then lib.elemAt bytes n else 0;
  group =
    n:
    let
      word = byte (3 * n) * 65536 + byte (3 * n + 1) * 256 + byte (3 * n + 2);
    in
    [
      (digit (word / 262144))
      (digit (lib.mod (word / 4096) 64))
      (if 3 * n + 1 < size then digit (lib.mod (word / 64) 64) else "=")
      (if 3 * n + 2 < size then digit (lib.mod word 64) else "=")
    ];
in
lib.concatStrings (lib.concatLists (lib.genList group ((size + 2) / 3)))
