# MQTT for devices on Wi-Fi. Home Assistant connects on loopback; devices by TLS, with a password, and only to
# their own topics.
{ config, ... }:
let
  cert = config.aether.certificates.hosts.mqtt;
  securePort = 8883;
  users = {
    home-assistant = {
      acl = [ "readwrite #" ];
      passwordFile = config.sops.secrets.mqtt-home-assistant-password.path;
    };
    devices = {
      acl = [
        "readwrite devices/#"
        "readwrite homeassistant/#"
      ];
      passwordFile = config.sops.secrets.mqtt-devices-password.path;
    };
  };
  secret = {
    owner = "mosquitto";
    restartUnits = [ "mosquitto.service" ];
  };
in
{
  services.mosquitto = {
    enable = true;
    listeners = [
      {
        address = "127.0.0.1";
        port = 1883;
        inherit users;
      }
      {
        port = securePort;
        users = { inherit (users) devices; };
        settings = {
          certfile = cert.cert;
          keyfile = cert.key;
          tls_version = "tlsv1.2";
        };
      }
    ];
  };

  aether.certificates.hosts.mqtt = {
    group = "mosquitto";
    units = [ "mosquitto.service" ];
  };
  aether.secrets = {
    mqtt-home-assistant-password = secret;
    mqtt-devices-password = secret;
  };
  aether.firewall.allow.mqtt = {
    tcp = [ securePort ];
    from = [
      "clients"
      "servers"
    ];
  };
}
