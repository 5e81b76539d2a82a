# Every feature of Aether. Importing one costs nothing: each is off, or a default, until a host says otherwise.
{ imports = (import ../lib/files.nix).modulesIn ./.; }
