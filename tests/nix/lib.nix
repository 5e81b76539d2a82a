# Unit tests of nix/lib, without nixpkgs: each is an expression and what it must be.
{ lib, fixture }:
let
  inherit (lib { root = fixture; })
    files
    net
    inventory
    hosts
    secrets
    ;
  problem =
    override:
    secrets.problem (
      {
        host = "web";
        granted = [ "hosts/web.yaml" ];
        name = "token";
        file = "hosts/web.yaml";
        key = "token";
      }
      // override
    );
in
{
  prefix_length = {
    expr = net.prefixLength "10.1.0.0/16";
    expected = 16;
  };
  contains_inside = {
    expr = net.contains "192.168.10.0/24" "192.168.10.255";
    expected = true;
  };
  contains_outside = {
    expr = net.contains "192.168.10.0/24" "192.168.11.0";
    expected = false;
  };
  contains_odd_prefix = {
    expr = map (net.contains "10.0.0.64/26") [
      "10.0.0.63"
      "10.0.0.64"
      "10.0.0.127"
      "10.0.0.128"
    ];
    expected = [
      false
      true
      true
      false
    ];
  };
  suffix = {
    expr = map (files.hasSuffix ".nix") [
      "a.nix"
      "nix"
      ".nix"
      "a.nix.bak"
    ];
    expected = [
      true
      false
      true
      false
    ];
  };
  modules_in_skips_default_and_foreign_files = {
    expr = map baseNameOf (files.modulesIn (fixture + "/modules"));
    expected = [
      "folder"
      "one.nix"
    ];
  };
  both_files_are_read = {
    expr = builtins.attrNames inventory.hosts;
    expected = [
      "cloudy"
      "db"
      "lonely"
      "twice"
      "vanished"
      "web"
    ];
  };
  site_is_that_of_the_hosts_file = {
    expr = map (name: (inventory.siteOf name).domain) [
      "web"
      "cloudy"
      "an-image"
    ];
    expected = [
      "home.test"
      "cloud.test"
      "home.test"
    ];
  };
  fqdn = {
    expr = inventory.fqdn "web";
    expected = "web.home.test";
  };
  service_defaults = {
    expr = {
      inherit (inventory.services.shop)
        scheme
        login
        public
        fqdn
        publicFqdn
        address
        ;
    };
    expected = {
      scheme = "http";
      login = "proxy";
      public = false;
      fqdn = "shop.home.test";
      publicFqdn = "shop.test";
      address = "192.168.10.10";
    };
  };
  service_subdomain = {
    expr = inventory.services.wiki.fqdn;
    expected = "docs.home.test";
  };
  cidrs_of_names = {
    expr = builtins.concatMap inventory.cidrs [
      "servers"
      "web"
      "node1"
      "10.0.0.0/8"
    ];
    expected = [
      "192.168.10.0/24"
      "192.168.10.10/32"
      "192.168.1.11/32"
      "10.0.0.0/8"
    ];
  };
  network_defaults_to_servers = {
    expr = (inventory.networkOf inventory.hosts.web).cidr;
    expected = "192.168.10.0/24";
  };
  tagged = {
    expr = builtins.attrNames (inventory.tagged "data");
    expected = [ "db" ];
  };
  in_network = {
    expr = builtins.attrNames (inventory.inNetwork "servers");
    expected = [
      "db"
      "lonely"
      "twice"
      "vanished"
      "web"
    ];
  };
  nixos_hosts_only = {
    expr = builtins.attrNames hosts.nixos;
    expected = [
      "cloudy"
      "lonely"
      "twice"
      "vanished"
      "web"
    ];
  };
  written_hosts = {
    expr = hosts.written;
    expected = [
      "lonely"
      "twice"
      "web"
    ];
  };
  flake_attribute = {
    expr = hosts.byAttribute.elsewhere;
    expected = "lonely";
  };
  file_beside_its_node = {
    expr = hosts.file "web" == fixture + "/nix/hosts/node1/web/default.nix";
    expected = true;
  };
  file_without_node = {
    expr = hosts.file "lonely" == fixture + "/nix/hosts/lonely.nix";
    expected = true;
  };
  exports_of_a_folder = {
    expr = hosts.exports "web";
    expected = {
      watched = true;
      exporters = {
        node = 9100;
        collector = 8888;
        shop = 9999;
      };
      clients.shop = {
        redirects = [ "https://shop.home.test/callback" ];
        logouts = [ ];
        roles = [ ];
        public = false;
      };
    };
  };
  exports_of_a_host_that_says_nothing = {
    expr = hosts.exports "lonely";
    expected = {
      watched = true;
      exporters = {
        node = 9100;
        collector = 8888;
      };
      clients = { };
    };
  };
  exports_by_their_old_name_are_not_passed_over = {
    expr = (builtins.tryEval (hosts.exports "twice").watched).success;
    expected = false;
  };
  exports_of_an_image = {
    expr = (hosts.exports "no-host").watched;
    expected = true;
  };
  secret_keys = {
    expr = secrets.keysIn "hosts/web.yaml";
    expected = [
      "token"
      "nested"
    ];
  };
  secret_found = {
    expr = problem { };
    expected = null;
  };
  secret_nested_found = {
    expr = problem { key = "nested/inner"; };
    expected = null;
  };
  secret_of_another_host = {
    expr = problem { file = "hosts/db.yaml"; };
    expected = "host 'web' uses secret 'token' of secrets/hosts/db.yaml, which the inventory does not let it read. Add \"hosts/db.yaml\" to `secrets` of [hosts.web].";
  };
  secret_file_missing = {
    expr = problem {
      granted = [ "hosts/none.yaml" ];
      file = "hosts/none.yaml";
    };
    expected = "host 'web' uses secret 'token', but secrets/hosts/none.yaml does not exist. Create it: `sops secrets/hosts/none.yaml` with a line `token: …`, then `git add secrets/hosts/none.yaml`.";
  };
  secret_key_missing = {
    expr = problem { key = "sops"; };
    expected = "host 'web' uses secret 'token', but secrets/hosts/web.yaml holds no key 'sops'. Add it: `sops secrets/hosts/web.yaml`, line `sops: …`.";
  };
}
