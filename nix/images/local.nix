# Local VMs that are no host of the inventory: one to develop on, with a desktop and hardly a password, and one like the
# servers. `nix run` boots the first, `nix run .#local-server` the other.
{ systems }:
let
  local =
    name: module:
    systems.mkSystem {
      inherit name module;
      host = {
        kind = "nixos-vm";
        memory = 4096;
      };
    };
in
{
  local-vm = local "local-vm" ../hosts/local-vm;
  local-server = local "local-server" ../hosts/local-vm/server.nix;
}
