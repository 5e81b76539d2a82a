# What all machines of this fleet have in common. Each imports it beside its profile.
{ lib, ... }:
let
  # Stronger than a profile's default, weaker than what a host sets itself.
  ours = lib.mkOverride 900;
in
{
  aether = {
    # One flat network.
    ssh.from = ours [ "servers" ];
    ssh.operators = ours [ "servers" ];
    # Logs and metrics go to a host `monitoring`, and Cockpit is a host `cockpit`: remove the line of each once there is one.
    otel.enable = ours false;
    console.enable = ours false;
    # SSH certificates are given by a host `step-ca`.
    ssh.certificates = ours false;
  };
}
