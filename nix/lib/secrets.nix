# What can be known of the encrypted files without a key: that they exist, and which keys they hold
# (sops leaves the names of YAML keys readable).
{ root }:
rec {
  # The file of a host's own secrets, relative to secrets/ as in the inventory.
  fileOf = host: "hosts/${host}.yaml";

  path = file: root + "/secrets/${file}";

  exists = file: builtins.pathExists (path file);

  # Top-level keys of a sops YAML file, without sops' own `sops` block.
  keysIn =
    file:
    let
      lines = builtins.filter builtins.isString (builtins.split "\n" (builtins.readFile (path file)));
      key =
        line:
        let
          m = builtins.match "([A-Za-z0-9_.-]+):.*" line;
        in
        if m == null then [ ] else m;
    in
    builtins.filter (name: name != "sops") (builtins.concatMap key lines);

  # What to tell the owner when a secret cannot be read; null when it can.
  # `granted`: the files that the inventory lets the host read.
  problem =
    {
      host,
      granted,
      name,
      file,
      key,
    }:
    let
      top = builtins.head (builtins.filter builtins.isString (builtins.split "/" key));
    in
    if !builtins.elem file granted then
      "host '${host}' uses secret '${name}' of secrets/${file}, which the inventory does not let it read. Add \"${file}\" to `secrets` of [hosts.${host}]."
    else if !exists file then
      "host '${host}' uses secret '${name}', but secrets/${file} does not exist. Create it: `sops secrets/${file}` with a line `${top}: …`, then `git add secrets/${file}`."
    else if !builtins.elem top (keysIn file) then
      "host '${host}' uses secret '${name}', but secrets/${file} holds no key '${top}'. Add it: `sops secrets/${file}`, line `${top}: …`."
    else
      null;
}
