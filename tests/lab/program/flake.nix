# The flake of the lab's checkout: each host is a system of tests/lab/system, with the facts of its own file.
{
  outputs =
    _:
    let
      lab = builtins.fromJSON (builtins.readFile ./lab.json);
      # Of NixOS' options those that the program asks for.
      host =
        name:
        let
          facts = import ./nix/hosts/pve1/${name}.nix;
        in
        {
          config = {
            boot.isContainer = true;
            environment.etc = { };
            environment.systemPackages = [ ];
            networking.firewall.enable = false;
            system.build.toplevel.drvPath =
              (import ./tests/lab/system (lab // { inherit name; } // facts)).drvPath;
            system.nixos.release = "lab";
            system.stateVersion = "lab";
            systemd.units = builtins.mapAttrs (_: text: {
              enable = true;
              inherit text;
            }) facts.units;
            users.users = { };
          };
        };
    in
    {
      nixosConfigurations.dns = host "dns";
    };
}
