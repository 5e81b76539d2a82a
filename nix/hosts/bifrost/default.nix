# Bifrost: the NixOS half of the Surface Pro 8, beside Kinoite in one encrypted pool (docs/bifrost).
{
  imports = [
    ../../profiles/dev.nix
    ../../profiles/personal.nix
    ./surface.nix
    ./storage.nix
    ./security.nix
  ];
  aether.features = {
    openbox.enable = true;
    plasma.touch = true;
    portable.enable = true;
    boot-menu = {
      enable = true;
      entries.kinoite = {
        title = "Kinoite";
        loader = "/EFI/fedora/shimx64.efi";
        icon = "/EFI/refind/icons/os_fedora.png";
      };
    };
  };
}
