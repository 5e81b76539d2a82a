# A system of the lab: a real store path, built by a real builder, with the shape that NixOS gives its own. The packages in it are
# the machine's (`sw` is /usr); what systemd starts, what the boot loader shows and what the scripts compare is real.
{
  # SRI hashes of `tools` (bin/busybox and its names), `kernel` and `initrd`, which are in the store already; with
  # `switch-to-configuration`, nixpkgs' own, that is the system's, and not the lab's script.
  parts,
  # What the machine calls itself; empty in the image.
  name ? "",
  # Unit files by name.
  units ? { },
  # Those that multi-user.target starts.
  wanted ? builtins.attrNames units,
  # Words on the kernel's command line.
  kernelParams ? [ ],
  # JSON of system.switch.inhibitors.
  inhibitors ? { },
  # Tries of a new boot entry.
  tries ? 3,
  # What activation does beside the rest.
  activation ? "",
  # Public keys that sign what may be copied.
  trusted ? [ ],
  # Something to tell two systems apart.
  stamp ? "",
  # Deployed by an account that is not root, as nix/modules/deploy-user.nix makes it, with these health checks.
  deploy ? false,
  health ? [ ],
  # The cache ({ push, pull }) where it finds orders, as nix/modules/orders.nix makes it.
  orders ? null,
}:
let
  deployUser = import ../../../nix/lib/deploy-user.nix;
  ordering = import ../../../nix/lib/orders.nix;
  orderUnits =
    if orders == null then
      { }
    else
      {
        "aether-order.service" = ''
          [Unit]
          Description=Takes the order that was left for this machine, if there is one
          X-StopOnRemoval=false

          [Service]
          X-RestartIfChanged=false
          Type=oneshot
          ExecStart=${
            builtins.concatStringsSep " " (
              ordering.command {
                shell = "/bin/bash";
                inherit (ordering) scripts;
                inherit name;
                cache = orders;
                keys = trusted;
              }
            )
          }
        '';
        "aether-order.timer" = ''
          [Unit]
          Description=Asks for orders

          [Timer]
          OnActiveSec=2
          OnUnitInactiveSec=2
        '';
      };
  present =
    name:
    derivation {
      inherit name;
      system = "x86_64-linux";
      builder = "/in-the-store-already";
      outputHashMode = "recursive";
      outputHash = parts.${name};
    };
  tools = present "tools";
  text = name: value: builtins.toFile name value;
  own = parts ? switch-to-configuration;
  # nixpkgs' program starts what changed by the targets that NixOS brings; Debian's are not its to touch.
  targets = {
    "multi-user.target" = ''
      [Unit]
      Description=Multi-User System
      Requires=basic.target
      Conflicts=rescue.service rescue.target
      After=basic.target rescue.service rescue.target
      AllowIsolate=yes
    '';
    "sysinit-reactivation.target" = ''
      [Unit]
      Description=Reactivate sysinit units
    '';
  };
  every = units // orderUnits // (if own then targets else { });
in
derivation {
  name = "nixos-system-${if name == "" then "image" else name}-lab";
  system = "x86_64-linux";
  builder = "${tools}/bin/sh";
  args = [ ./build.sh ];
  PATH = "${tools}/bin";
  kernel = present "kernel";
  initrd = present "initrd";
  init = ./init.sh;
  activate = ./activate.sh;
  switch = if own then ./wrapper.sh else ./switch-to-configuration.sh;
  program = if own then present "switch-to-configuration" else "";
  # One path as long as its text is the same, or systemd would be started again by each switch.
  manager = text "system.conf" "[Manager]\n";
  check = ./pre-switch-check.sh;
  loader = ./install-boot-loader.sh;
  hostname = name;
  kernelParams = builtins.concatStringsSep " " kernelParams;
  inhibitors = builtins.toJSON inhibitors;
  tries = toString tries;
  unitFiles = map (unit: text unit every.${unit}) (builtins.attrNames every);
  unitNames = builtins.attrNames every;
  wanted = wanted ++ (if orders == null then [ ] else [ "aether-order.timer" ]);
  inherit activation stamp;
  entry =
    if deploy then
      text "aether-host" (
        deployUser.entry {
          shell = "/bin/bash";
          key = builtins.concatStringsSep " " trusted;
        }
      )
    else
      "";
  checks = if deploy || orders != null then text "checks" (deployUser.checks health) else "";
  # As large as it likes to be.
  passAsFile = [ "activation" ];
  nixConf = "extra-experimental-features = nix-command flakes\nsubstituters =\ntrusted-public-keys = ${builtins.concatStringsSep " " trusted}\n${
    if deploy then "allowed-users = root ${deployUser.name}\n" else ""
  }";
}
