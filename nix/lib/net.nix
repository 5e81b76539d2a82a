# IPv4 arithmetic for facts of the inventory.
rec {
  split = separator: text: builtins.filter builtins.isString (builtins.split separator text);

  # "192.168.10.11" -> [ 192 168 10 11 ]
  octets =
    address:
    let
      parts = split "\\." address;
    in
    if builtins.match "[0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+" address == null then
      throw "nix/lib/net.nix: '${address}' is not an IPv4 address; write it as 192.168.10.11"
    else
      map builtins.fromJSON parts;

  toInteger = address: builtins.foldl' (sum: octet: sum * 256 + octet) 0 (octets address);

  # 3232238091 -> "192.168.10.11"
  fromInteger =
    number:
    let
      octet = size: toString (number / size - (number / (size * 256)) * 256);
    in
    "${octet 16777216}.${octet 65536}.${octet 256}.${octet 1}";

  power2 = n: if n == 0 then 1 else 2 * power2 (n - 1);

  # "192.168.10.0/24" -> 24
  prefixLength =
    cidr:
    let
      parts = split "/" cidr;
    in
    if builtins.length parts != 2 then
      throw "nix/lib/net.nix: '${cidr}' is not a network; write it as 192.168.10.0/24"
    else
      builtins.fromJSON (builtins.elemAt parts 1);

  # Is this address inside this network?
  contains =
    cidr: address:
    let
      size = power2 (32 - prefixLength cidr);
      base = builtins.head (split "/" cidr);
    in
    (toInteger base) / size == (toInteger address) / size;
}
