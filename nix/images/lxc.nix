# The container template: Proxmox writes name and network into the container before it starts.
{
  imports = [ ./common.nix ];
  proxmoxLXC.manageHostName = false;
  proxmoxLXC.manageNetwork = false;
}
