{
  inputs,
  systems,
  system,
}:
let
  vm = systems.mkSystem {
    name = "nixos-vm";
    host = {
      kind = "nixos-vm";
      disks = [ { size = 8; } ];
    };
    module = ./vm.nix;
  };
in
{
  # qcow2 for Proxmox (`qm importdisk`, or a file of content type `import`).
  proxmox-vm = vm.config.system.build.diskoImages;

  # Container template for Proxmox (`pct create`).
  proxmox-lxc = inputs.nixos-generators.nixosGenerate {
    inherit system;
    format = "proxmox-lxc";
    specialArgs = systems.arguments "nixos-lxc" { kind = "nixos-lxc"; };
    modules = systems.modules ++ [ ./lxc.nix ];
  };
}
