# Home Assistant: what is configuration is here; what people click together (automations, devices, dashboards) stays
# theirs, in /var/lib/hass, and is backed up.
{
  config,
  lib,
  pkgs,
  aether,
  ...
}:
let
  service = aether.services.home;
  state = config.services.home-assistant.configDir;
  # Written by the editors of the user interface; they must exist before they are included.
  edited = [
    "automations"
    "scenes"
    "scripts"
  ];
  dumps = "/var/backup/sqlite";
in
{
  services.home-assistant = {
    enable = true;
    # Integrations that are set up in the user interface, but whose dependencies must be in the closure.
    extraComponents = [
      "default_config"
      "esphome"
      "matter"
      "met"
      "mqtt"
      "otbr"
      "radio_browser"
      "thread"
      "zwave_js"
    ];
    config = {
      default_config = { };
      homeassistant = {
        name = "Home";
        unit_system = "metric";
        currency = "EUR";
        country = "DE";
        internal_url = "https://${service.fqdn}";
        external_url = "https://${service.publicFqdn}";
      };
      http = {
        server_host = [ "0.0.0.0" ];
        server_port = service.port;
        use_x_forwarded_for = true;
        trusted_proxies = [ (aether.inventory.address config.aether.web.gateway) ];
        ip_ban_enabled = true;
        login_attempts_threshold = 5;
      };
      recorder = {
        purge_keep_days = 30;
        commit_interval = 30;
        # Each would be half of the database, and says nothing.
        exclude.entity_globs = [
          "sensor.*_linkquality"
          "sensor.*_uptime"
        ];
      };
      logger.default = "warning";
      "automation ui" = "!include automations.yaml";
      "scene ui" = "!include scenes.yaml";
      "script ui" = "!include scripts.yaml";
    };
  };

  systemd.tmpfiles.rules = map (
    name: "f ${state}/${name}.yaml 0644 hass hass - ${if name == "scripts" then "{}" else "[]"}"
  ) edited;

  systemd.services.home-assistant = {
    wants = [ "mosquitto.service" ];
    after = [
      "matter-server.service"
      "mosquitto.service"
      "zwave-js-ui.service"
    ];
  };

  aether.backup = {
    paths = [
      state
      dumps
    ];
    exclude = [
      "${state}/home-assistant.log*"
      # Written to all the time: copied by SQLite instead.
      "${state}/home-assistant_v2.db*"
      "${state}/tts"
    ];
    prepare = ''
      mkdir -p -m 0700 ${dumps}
      if [ -e ${state}/home-assistant_v2.db ]; then
        ${lib.getExe pkgs.sqlite} ${state}/home-assistant_v2.db ".backup '${dumps}/home-assistant.db'"
      fi
    '';
  };
}
