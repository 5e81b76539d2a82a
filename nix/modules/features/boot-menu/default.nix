# One menu for several systems: rEFInd, first in the firmware's order, with one hand-written entry a system. NixOS'
# entry leads to systemd-boot, which knows its generations; nothing is guessed by scanning.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) types mkOption;
  cfg = config.aether.features.boot-menu;
  esp = config.boot.loader.efi.efiSysMountPoint;
  backslash = lib.replaceStrings [ "/" ] [ "\\" ];

  stanza = entry: ''
    menuentry "${entry.title}" {
        icon ${entry.icon}
        loader ${backslash entry.loader}
    ${lib.optionalString (entry.options != "") "    options \"${entry.options}\"\n"}}
  '';
  # No `showtools`: 0.14.2 puts the list of it before its own, and shows most of them twice.
  refindConf = pkgs.writeText "refind.conf" ''
    timeout ${toString cfg.timeout}
    default_selection "${cfg.default}"
    scanfor manual
    use_nvram false
    enable_touch
    include themes/aether/theme.conf

    ${lib.concatMapStringsSep "\n" stanza (lib.attrValues cfg.entries)}
  '';
  # Paths of a theme begin at rEFInd's own directory, those of a stanza at the ESP's root.
  theme = pkgs.writeText "theme.conf" ''
    hideui singleuser,hints,badges
    icons_dir icons
    banner themes/aether/background.png
    banner_scale fillscreen
    big_icon_size 256
  '';
in
{
  options.aether.features.boot-menu = {
    enable = lib.mkEnableOption "rEFInd in front of several systems";
    timeout = mkOption {
      type = types.ints.unsigned;
      default = 10;
      description = "Seconds before the default starts.";
    };
    default = mkOption {
      type = types.str;
      default = "NixOS";
      description = "Title of the entry that starts by itself.";
    };
    entries = mkOption {
      description = "Systems in the menu.";
      type = types.attrsOf (
        types.submodule (
          { name, ... }:
          {
            options = {
              title = mkOption {
                type = types.str;
                default = name;
                description = "What the menu says.";
              };
              loader = mkOption {
                type = types.str;
                description = "EFI program, a path on the ESP.";
              };
              icon = mkOption {
                type = types.str;
                default = "/EFI/refind/icons/os_linux.png";
                description = "Picture, a path on the ESP.";
              };
              options = mkOption {
                type = types.str;
                default = "";
                description = "Arguments for the program.";
              };
            };
          }
        )
      );
    };
    conf = mkOption {
      type = types.package;
      readOnly = true;
      default = refindConf;
      defaultText = lib.literalMD "refind.conf";
      description = "The generated file, for tests.";
    };
    themeConf = mkOption {
      type = types.package;
      readOnly = true;
      default = theme;
      defaultText = lib.literalMD "theme.conf";
      description = "The generated theme, for tests.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = lib.any (entry: entry.title == cfg.default) (lib.attrValues cfg.entries);
        message = "aether.features.boot-menu.default is '${cfg.default}', which is no title of an entry (${
          lib.concatMapStringsSep ", " (entry: entry.title) (lib.attrValues cfg.entries)
        }).";
      }
    ];
    aether.features.boot-menu.entries.nixos = {
      title = "NixOS";
      loader = "/EFI/systemd/systemd-bootx64.efi";
      icon = "/EFI/refind/icons/os_nixos.png";
    };
    boot.loader.systemd-boot = {
      extraFiles = {
        "EFI/refind/refind_x64.efi" = "${pkgs.refind}/share/refind/refind_x64.efi";
        "EFI/refind/refind.conf" = refindConf;
        "EFI/refind/themes/aether/theme.conf" = theme;
        "EFI/refind/themes/aether/background.png" =
          pkgs.nixos-artwork.wallpapers.simple-dark-gray.gnomeFilePath;
        "EFI/refind/icons/os_nixos.png" =
          "${pkgs.nixos-icons}/share/icons/hicolor/256x256/apps/nix-snowflake.png";
      }
      //
        lib.genAttrs'
          [
            "os_linux"
            "os_fedora"
            "func_about"
            "func_hidden"
            "func_shutdown"
            "func_reset"
            "func_firmware"
          ]
          (
            name:
            lib.nameValuePair "EFI/refind/icons/${name}.png" "${pkgs.refind}/share/refind/icons/${name}.png"
          );
      # The way back from systemd-boot's own menu, should rEFInd be gone.
      extraEntries = lib.mapAttrs' (
        name: entry:
        lib.nameValuePair "${name}.conf" ''
          title ${entry.title}
          efi ${entry.loader}
          sort-key z_${name}
        ''
      ) (lib.removeAttrs cfg.entries [ "nixos" ]);
      # bootctl puts itself first at every installation of a boot loader; the menu goes before it again.
      extraInstallCommands = ''
        PATH=${
          lib.makeBinPath [
            pkgs.efibootmgr
            pkgs.util-linux
            pkgs.gnugrep
            pkgs.gnused
            pkgs.coreutils
          ]
        } ${pkgs.runtimeShell} ${./first.sh} ${lib.escapeShellArg esp} rEFInd '\EFI\refind\refind_x64.efi'
      '';
    };
  };
}
