# Dev: workspaces by Coder, in rootless containers, and a machine to log in to with the same tools.
# Relaxed on purpose (`security = "relaxed"` in the inventory): only its developers reach it.
{ aether, ... }:
let
  operator = aether.site.user;
in
{
  imports = [
    ../../../profiles/server.nix
    ../../../profiles/toolchains.nix
    ./coder.nix
    ./workspaces.nix
    ./mirror.nix
    ./templates.nix
    ./toolchains.nix
  ];

  # Containers of one's own keep running after logging out. (No group `podman`: its socket is root's.)
  users.users.${operator}.linger = true;

  aether.backup = {
    paths = [ "/home" ];
    exclude = [
      # Layers and caches can be had again; the volumes of workspaces cannot, and are kept.
      "/home/*/.cache"
      "/home/*/.local/share/containers/storage/overlay*"
      "/home/*/.local/share/containers/cache"
      "**/node_modules"
      "**/.venv"
      "**/target/debug"
    ];
  };
}
