# The intermediate's key is a file (sops), so step-ca needs no driver for hardware keys: without C it needs no libpcsclite, and
# is the program that the tests start (nix/tools/get-checkers.sh). It builds in two minutes.
_: prev: {
  step-ca = prev.step-ca.override { hsmSupport = false; };
}
