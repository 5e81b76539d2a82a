# Who may reach what, by name. nftables, default deny; rules with a source are limited to it.
{
  config,
  lib,
  aether,
  ...
}:
let
  inherit (lib) types mkOption;
  cfg = config.aether.firewall;
  ports = mkOption {
    type = types.listOf types.port;
    default = [ ];
    description = "Ports to open.";
  };
  limited = lib.filterAttrs (_: rule: rule.from != [ ]) cfg.allow;
  open = lib.filterAttrs (_: rule: rule.from == [ ]) cfg.allow;
  portsOf = protocol: rules: lib.concatMap (rule: rule.${protocol}) (lib.attrValues rules);

  ruleFor =
    name: rule: protocol:
    lib.optional (rule.${protocol} != [ ]) (
      let
        sources = lib.unique (lib.concatMap aether.inventory.cidrs rule.from);
      in
      "ip saddr { ${lib.concatStringsSep ", " sources} } ${protocol} dport { ${
        lib.concatMapStringsSep ", " toString (lib.unique rule.${protocol})
      } } accept comment \"${name}\""
    );
in
{
  options.aether.firewall = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Filter incoming traffic, default deny.";
    };
    allow = mkOption {
      default = { };
      description = "What may come in, and from where, by the name of its purpose.";
      example = {
        metrics = {
          tcp = [ 9100 ];
          from = [ "monitoring" ];
        };
      };
      type = types.attrsOf (
        types.submodule {
          options = {
            tcp = ports;
            udp = ports;
            from = mkOption {
              type = types.listOf types.str;
              default = [ ];
              description = "Hosts, nodes or networks of the inventory, or CIDRs; empty for anyone.";
            };
          };
        }
      );
    };
    openPorts = mkOption {
      readOnly = true;
      type = types.attrsOf (types.listOf types.port);
      description = "All ports that answer somebody, `tcp` and `udp`: for tests and docs/hosts.md.";
      default = {
        tcp = lib.sort lib.lessThan (
          lib.unique (portsOf "tcp" cfg.allow ++ config.networking.firewall.allowedTCPPorts)
        );
        udp = lib.sort lib.lessThan (
          lib.unique (portsOf "udp" cfg.allow ++ config.networking.firewall.allowedUDPPorts)
        );
      };
      defaultText = lib.literalMD "computed";
    };
  };

  config = lib.mkIf cfg.enable {
    networking.nftables.enable = lib.mkDefault true;
    aether.persist.volatile."/var/lib/nftables" =
      "what is loaded now, to take back; after a boot nothing is";
    networking.firewall = {
      enable = true;
      allowedTCPPorts = portsOf "tcp" open;
      allowedUDPPorts = portsOf "udp" open;
      extraInputRules = lib.concatStringsSep "\n" (
        lib.concatLists (
          lib.mapAttrsToList (name: rule: ruleFor name rule "tcp" ++ ruleFor name rule "udp") limited
        )
      );
      logRefusedConnections = lib.mkDefault true;
    };
  };
}
