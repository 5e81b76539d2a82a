# Texts for the cluster's owner; JSON is YAML. {} where the inventory has no cluster.
{ aetherLib }:
let
  inherit (aetherLib) cluster inventory;
  openbao = inventory.services.bao;
  read = file: builtins.readFile (../pki + "/${file}");
  document = value: builtins.toJSON value + "\n";
  arguments = { inherit cluster read; };
in
if cluster == null then
  { }
else
  {
    # Two documents of Talos 1.14 and later.
    talos = builtins.concatStringsSep "---\n" (map document (import ./talos.nix arguments));
    manifests = document {
      apiVersion = "v1";
      kind = "List";
      items = import ./manifests.nix (
        arguments
        // {
          server = "https://${inventory.fqdn openbao.host}:${toString openbao.port}";
        }
      );
    };
    kubeconfig = document (import ./kubeconfig.nix arguments);
  }
