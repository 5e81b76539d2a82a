# scripts NAME FILES: a folder of the store with FILES of components/, each at its place there. Texts alone, without nixpkgs.
name: files:
let
  components = dirOf (dirOf (dirOf (builtins.head files)));
  wanted = map toString files;
  isAbove =
    path:
    let
      start = path + "/";
    in
    builtins.any (file: builtins.substring 0 (builtins.stringLength start) file == start) wanted;
in
builtins.path {
  inherit name;
  path = components;
  filter = path: type: builtins.elem path wanted || (type == "directory" && isAbove path);
}
