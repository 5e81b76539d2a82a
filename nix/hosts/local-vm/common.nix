# What VMs have in common that nobody deployed to: QEMU's network, no secrets, nobody to report to.
{
  aether.network.enable = false;
  aether.otel.enable = false;
  aether.console.enable = false;
  aether.users.passwordSecret = null;
}
