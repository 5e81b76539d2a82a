# The abilities of personal machines, each a file of this folder.
{ imports = (import ../../lib/files.nix).modulesIn ./.; }
