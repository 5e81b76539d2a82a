# What is not answered. Lists by their number in AdGuard's registry, so that two of them are never the same.
{ lib, aether, ... }:
let
  registry =
    number: "https://adguardteam.github.io/HostlistsRegistry/assets/filter_${toString number}.txt";
  lists = {
    "AdGuard DNS filter" = 1;
    "Phishing URL Blocklist" = 30;
    "Malicious URL Blocklist" = 11;
    "HaGeZi's Threat Intelligence Feeds" = 44;
    "Dandelion Sprout's Anti-Malware List" = 12;
  };
in
{
  services.adguardhome.settings = {
    filters = lib.mapAttrsToList (name: id: {
      inherit name id;
      enabled = true;
      url = registry id;
    }) lists;

    # Own names are never filtered, whatever a list says.
    user_rules = map (domain: "@@||${domain}^$important") (
      lib.unique [
        aether.site.domain
        aether.site.public_domain
      ]
    );

    filtering = {
      protection_enabled = true;
      filtering_enabled = true;
      filters_update_interval = 24;
      blocking_mode = "default";
      blocked_response_ttl = 10;
      safe_search.enabled = false;
    };
  };
}
