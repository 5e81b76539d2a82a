# Cloud workstation: the owner's environment on a rented machine, for when none of his own is at hand.
{
  imports = [
    ../../images/amazon.nix
    ../../profiles/dev.nix
  ];
}
