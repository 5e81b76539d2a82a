"""Writes docs/hosts.md: every NixOS host, what evaluating it costs, and what it runs and opens.

python -m nix.tools.hosts_table            writes the file (with NIXTREES: without a network)
python -m nix.tools.hosts_table gateway    prints the row of one host
"""

import sys

from nix.tools import evaluate

TARGET = evaluate.ROOT / "docs" / "hosts.md"
HEAD = """# NixOS hosts

Every host of the inventory that NixOS configures, evaluated to its system. Written by `python -m nix.tools.hosts_table`;
seconds (of the processor) and MiB are those of one evaluation on the machine that ran it, units are all that the system knows.

Evaluated is not built: no host of the example was ever built or booted, which takes a binary cache and machines. What
stands in for it is `tests/nix`: the programs that will read the generated files (Caddy, HAProxy, Prometheus, the collector,
nft, systemd, Quadlet, …) check them, several are started with them, and Keycloak's own types check the realm.

| host | platform | NixOS | posture | seconds | MiB | checked units | units | TCP ports | UDP ports |
|---|---|---|---|---:|---:|---|---:|---|---|
"""


def cells(host: str, result: evaluate.Result) -> list[str]:
    """What the table says of a host, in the order of its columns."""
    found = result.value
    ports = found["openPorts"]
    return [
        host,
        found["platform"],
        found["release"],
        "hardened" if found["hardened"] else "relaxed",
        f"{result.processor_seconds:.0f}",
        str(result.mebibytes),
        ", ".join(found["checkedUnits"]),
        str(len(found["unitNames"])),
        ", ".join(map(str, ports["tcp"])),
        ", ".join(map(str, ports["udp"])),
    ]


def row(host: str) -> str:
    """The table's line for a host."""
    return "| " + " | ".join(cells(host, evaluate.report(host))) + " |"


def main() -> int:
    if sys.argv[1:]:
        print(*map(row, sys.argv[1:]), sep="\n")
        return 0
    rows = []
    for host in evaluate.host_names():
        try:
            rows.append(row(host))
        except evaluate.NixError as error:
            print(f"{host}: {error}", file=sys.stderr)
            return 1
        print(rows[-1], flush=True)
    missing = evaluate.host_names(written=False)
    tail = f"\nIn the inventory, without a configuration yet: {', '.join(missing)}.\n" if missing else ""
    TARGET.write_text(HEAD + "\n".join(rows) + "\n" + tail)
    return 0


if __name__ == "__main__":
    sys.exit(main())
