# The flake of the lab's checkout: each host is a system of tests/lab/system, with the facts of its own file.
{
  outputs =
    _:
    let
      lab = builtins.fromJSON (builtins.readFile ./lab.json);
      host = name: {
        config = {
          boot.isContainer = true;
          system.build.toplevel.drvPath = system name;
        };
      };
      system =
        name:
        (import ./tests/lab/system (lab // { inherit name; } // import ./nix/hosts/pve1/${name}.nix))
        .drvPath;
    in
    {
      nixosConfigurations.dns = host "dns";
    };
}
