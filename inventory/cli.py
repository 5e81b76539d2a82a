"""``./aether inventory``: check, show and draw the facts; make the files that follow from them; keep secrets."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from inventory import ansible, graph, sops
from inventory.load import FILES, Inventory, InventoryError, all_files, load_all, production
from inventory.problems import explained


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 something is wrong (and said), 2 wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Whoever reads (head, less) has seen enough; the interpreter must not write to it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except InventoryError as error:
        print(error, file=sys.stderr if options.command != "check" else sys.stdout)
        count = len(error.problems)
        print(f"{count} problem{'s' if count > 1 else ''}", file=sys.stderr)
        print(explained(problem.code for problem in error.problems), file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aether inventory", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    check = commands.add_parser("check", help="print every error at once, one a line; exit 1 when there is one")
    check.add_argument("files", nargs="*", metavar="FILE", help=f"default: {' and '.join(FILES)} and all overlays, together")
    check.add_argument("--secrets", help="directory of the sops files (default: secrets/ of the repository)")
    check.set_defaults(run=_check)

    show = commands.add_parser("show", help="all hosts, or one in detail")
    show.add_argument("host", nargs="?", help="a host, node or service")
    show.add_argument("--json", action="store_true", help="for programs: every fact, defaults filled in")
    _file(show)
    show.set_defaults(run=_show)

    draw = commands.add_parser("graph", help="picture of the fleet (Mermaid)")
    draw.add_argument("--write", metavar="FILE", help=f"replace the block after {graph.BEGIN} in FILE")
    draw.add_argument("--check", metavar="FILE", help="exit 1 when the block in FILE is not current")
    _file(draw)
    draw.set_defaults(run=_graph)

    config = commands.add_parser("sops", help="who may decrypt what: .sops.yaml")
    config.add_argument("--write", action="store_true", help="write .sops.yaml (default: print it)")
    config.add_argument("--check", action="store_true", help="exit 1 when .sops.yaml is not current")
    _file(config)
    config.set_defaults(run=_sops)

    listing = commands.add_parser("ansible", help="what ansible/inventory.py prints, of AETHER_INVENTORY or production")
    listing.add_argument("--list", action="store_true", help="all groups and hosts (default)")
    listing.add_argument("--host", help="variables of one host")
    _file(listing)
    listing.set_defaults(run=_ansible)

    known = commands.add_parser("known-hosts", help="OpenSSH known_hosts with the key of every host and node")
    _file(known)
    known.set_defaults(run=_known_hosts)

    diff = commands.add_parser("diff", help="what an environment (an overlay file) has otherwise than its base")
    diff.add_argument("environment", help="like staging: the overlay's file, or its site's name")
    diff.add_argument("--json", action="store_true", help="for programs")
    diff.set_defaults(run=_diff)

    schema = commands.add_parser("schema", help="JSON schema of an inventory file, for editors")
    schema.set_defaults(run=_schema)

    effects = commands.add_parser("effects", help="what a changed field does to a guest that is there")
    effects.add_argument("--write", metavar="FILE", help="replace the block of tables in FILE")
    effects.add_argument("--cloud", action="store_true", help="what it does at AWS")
    effects.set_defaults(run=_effects)

    from inventory.secretcli import add_to

    add_to(commands)
    return parser


def _file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", action="append", metavar="FILE", help=f"default: {' and '.join(FILES)}")


def read(options: argparse.Namespace) -> list[Inventory]:
    """The inventories that the options name.

    Raises:
        InventoryError: when one cannot be used.
    """
    return load_all(options.file or production())


def _check(options: argparse.Namespace) -> int:
    files = options.files or all_files()
    inventories = load_all(files, options.secrets)
    counts = {
        table: sum(len(getattr(inventory, table)) for inventory in inventories)
        for table in ("networks", "nodes", "hosts", "services")
    }
    print(f"OK: {', '.join(files)}: {', '.join(f'{count} {table}' for table, count in counts.items())}")
    return 0


def _show(options: argparse.Namespace) -> int:
    inventories = read(options)
    if options.json:
        found = [_as_json(inventory, options.host) for inventory in inventories]
        found = [entry for entry in found if entry is not None]
        if not found:
            return _unknown(options.host, inventories)
        print(json.dumps(found[0] if options.host or len(found) == 1 else found, indent=2))
        return 0
    from inventory import show

    return 0 if show.show(inventories, options.host) else _unknown(options.host, inventories)


def _as_json(inventory: Inventory, name: str | None) -> object | None:
    if name is None:
        return inventory.content.model_dump(mode="json")
    for table in (inventory.hosts, inventory.nodes, inventory.services):
        if name in table:
            return {"name": name, **table[name].model_dump(mode="json")}
    return None


def _unknown(name: str, inventories: list[Inventory]) -> int:
    from inventory.problems import did_you_mean

    names = {each for one in inventories for each in (*one.hosts, *one.nodes, *one.services)}
    print(f"'{name}' is no host, node or service{did_you_mean(name, names)}", file=sys.stderr)
    return 1


def _graph(options: argparse.Namespace) -> int:
    picture = graph.mermaid(read(options))
    target = options.write or options.check
    if target is None:
        print(picture)
        return 0
    path = Path(target)
    try:
        current = path.read_text()
        wanted = graph.replace_block(current, picture)
    except (OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    if options.check and wanted != current:
        print(f"{path}: the picture is not current. Fix: ./aether inventory graph --write {path}", file=sys.stderr)
        return 1
    if options.write and wanted != current:
        path.write_text(wanted)
    return 0


def _diff(options: argparse.Namespace) -> int:
    from inventory.difference import differences, overlay_named, summary

    try:
        path = overlay_named(options.environment)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    found = list(differences(path))
    if options.json:
        print(json.dumps([each.as_json() for each in found], indent=2))
        return 0
    print(summary(path), *found, sep="\n")
    return 0


def _sops(options: argparse.Namespace) -> int:
    text, path = sops.config(load_all(options.file or all_files())), Path(".sops.yaml")
    if options.check and (not path.exists() or path.read_text() != text):
        print(f"{path}: is not current. Fix: ./aether inventory sops --write", file=sys.stderr)
        return 1
    if options.write:
        path.write_text(text)
    elif not options.check:
        print(text, end="")
    return 0


def _ansible(options: argparse.Namespace) -> int:
    listing = ansible.listing(load_all(options.file or _of_stack()))
    if options.host:
        listing = listing["_meta"]["hostvars"].get(options.host, {})
    print(json.dumps(listing, indent=2))
    return 0


def _of_stack() -> Sequence[str]:
    """What playbooks of the stack at work read: the environment's own file, or all of production's."""
    named = os.environ.get("AETHER_INVENTORY")
    return production() if not named or named in FILES else (named,)


def _known_hosts(options: argparse.Namespace) -> int:
    print(ansible.known_hosts(load_all(options.file or all_files()), ansible.endpoints()), end="")
    return 0


def _schema(options: argparse.Namespace) -> int:
    from inventory.models import InventoryFile

    print(json.dumps(InventoryFile.model_json_schema(), indent=2))
    return 0


def _effects(options: argparse.Namespace) -> int:
    from inventory import cloud_effects, effects

    table = cloud_effects if options.cloud else effects
    if options.write:
        path = Path(options.write)
        path.write_text(table.replace_block(path.read_text()))
    else:
        print(table.markdown())
    return 0
