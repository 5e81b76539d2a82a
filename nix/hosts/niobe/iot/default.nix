# IoT: Home Assistant and the radios it speaks through, Z-Wave and Thread, on USB sticks passed to this VM.
{ ... }:
{
  imports = [
    ../../../profiles/appliance.nix
    ./usb.nix
    ./home-assistant.nix
    ./zwave.nix
    ./thread.nix
    ./mqtt.nix
  ];
}
