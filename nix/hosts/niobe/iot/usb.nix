# The USB sticks of the inventory, each under its own name: /dev/zwave, /dev/thread. Which ttyUSB or ttyACM they get
# depends on the order of plugging in; vendor and product do not.
{ lib, aether, ... }:
let
  taken = lib.filter (device: lib.elem device.name (aether.host.usb or [ ])) (
    aether.nodes.${aether.host.node}.usb or [ ]
  );
  rule =
    device:
    let
      id = lib.splitString ":" device.id;
    in
    lib.concatStringsSep ", " [
      ''SUBSYSTEM=="tty"''
      ''ATTRS{idVendor}=="${lib.head id}"''
      ''ATTRS{idProduct}=="${lib.last id}"''
      ''SYMLINK+="${device.name}"''
      ''GROUP="dialout"''
      ''MODE="0660"''
      # systemd then knows it as dev-NAME.device: services come with the stick and go with it.
      ''TAG+="systemd"''
    ];
  missing = lib.subtractLists (map (device: device.name) taken) (aether.host.usb or [ ]);
in
{
  services.udev.extraRules = lib.concatMapStrings (device: rule device + "\n") taken;
  # Serial sticks of both kinds: CDC ACM, and the UART bridges of Silicon Labs and WCH.
  boot.kernelModules = [
    "cdc_acm"
    "ch341"
    "cp210x"
  ];

  assertions = [
    {
      assertion = missing == [ ];
      message = "[hosts.${aether.name}] takes USB devices that [nodes.${aether.host.node}] does not have: ${lib.concatStringsSep ", " missing}. Add { name = \"…\", id = \"vendor:product\" } to its usb.";
    }
    {
      assertion = lib.all (name: lib.elem name (aether.host.usb or [ ])) [
        "zwave"
        "thread"
      ];
      message = "[hosts.${aether.name}] needs both radios; write usb = [\"zwave\", \"thread\"].";
    }
  ];
}
