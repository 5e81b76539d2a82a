# Directory listings as import lists.
rec {
  hasSuffix =
    suffix: string:
    let
      n = builtins.stringLength suffix;
      m = builtins.stringLength string;
    in
    m >= n && builtins.substring (m - n) n string == suffix;

  # A file as a store path of its own. A path inside the flake would carry the whole repository with it, and a change
  # anywhere would then change every host.
  alone =
    path:
    builtins.path {
      inherit path;
      name = builtins.unsafeDiscardStringContext (baseNameOf path);
    };

  # All modules of a directory: every `*.nix` but default.nix, and every folder that holds a default.nix.
  # Adding a feature is adding a file.
  modulesIn =
    dir:
    let
      entries = builtins.readDir dir;
      isModule =
        name:
        if entries.${name} == "directory" then
          builtins.pathExists (dir + "/${name}/default.nix")
        else
          hasSuffix ".nix" name && name != "default.nix";
    in
    map (name: dir + "/${name}") (builtins.filter isModule (builtins.attrNames entries));
}
