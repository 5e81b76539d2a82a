"""``./aether secrets``: the commands; ``secret_manager.py`` does the work."""

import argparse
import os
import re
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from inventory import breakglass, keeping, rotation
from inventory.load import all_files, load_all
from inventory.newcomers import give_keys
from inventory.owner import recipient_of
from inventory.secret_manager import SecretManager
from inventory.secret_store import DEFAULT_KEY_FILE, SecretStore, SecretStoreError
from inventory.sheet import sheet
from inventory.sops import owner_recipients


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``secrets`` and its commands."""
    parser = commands.add_parser("secrets", prog="aether secrets", help="make, rotate, re-encrypt, list and check the sops files")
    parser.add_argument("--secrets", default="secrets", help="directory of the sops files (default: secrets)")
    parser.add_argument(
        "--key-file", type=Path, help=f"the owner's private key, age or SSH (default: SOPS_AGE_KEY_FILE, {DEFAULT_KEY_FILE})"
    )
    parser.add_argument("--file", action="append", metavar="FILE", help="inventory files (default: all)")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    init = actions.add_parser("init", help="make the SSH host key of every host that has none in secrets/")
    init.add_argument("hosts", nargs="*", metavar="HOST", help="only these")
    init.add_argument("--from", dest="source", type=Path, metavar="DIR", help="take private keys DIR/HOST, where there")
    init.add_argument(
        "--new-owner", action="store_true", help="make every key and value again, readable by you alone and the hosts"
    )
    init.add_argument("--ssh-key", type=Path, default=Path("~/.ssh/id_ed25519.pub"), help="with --new-owner: your SSH public key")
    init.set_defaults(run=_run, act=_init)

    rotate = actions.add_parser("rotate", help="a host's new SSH host key (and age key), one secret, or all that is old")
    rotate.add_argument("name", nargs="?", metavar="HOST or HOST/KEY", help="whose host key, or which secret of `secrets list`")
    rotate.add_argument("--finish", action="store_true", help="of HOST/KEY: its next step, once make up was healthy")
    rotate.add_argument(
        "--deployed-elsewhere", action="store_true", help="with --finish: all was deployed from elsewhere, and is healthy"
    )
    rotate.add_argument("--older", type=_days, metavar="DAYS", help="like 90d: what is older, and may be rotated (names.toml)")
    rotate.add_argument("--dry-run", action="store_true", help="with --older: say what would be rotated")
    rotate.set_defaults(run=_run, act=_rotate)

    leave = actions.add_parser("leave", help="an operator goes: no login, no secrets from now on, and what that person has seen")
    leave.add_argument("operator", metavar="OPERATOR", help="comment of an authorized key of [site]")
    leave.add_argument("--recipient", metavar="AGE", help="that person's age recipient, where it is not of the same key")
    leave.set_defaults(run=_run, act=lambda manager, options: keeping.leave(manager, options.operator, options.recipient))

    glass = actions.add_parser(
        "break-glass", help="a new emergency key: lets root in to every host, readable by an offline key alone"
    )
    glass.add_argument(
        "--recipient", required=True, metavar="AGE", help="of an age key that is kept offline, and is nobody's here"
    )
    glass.set_defaults(run=_run, act=lambda manager, options: breakglass.make(manager, options.recipient))

    signing = actions.add_parser("signing", help="make the key that signs what hosts are sent, where there is none")
    signing.set_defaults(run=_run, act=lambda manager, options: manager.signing())

    device = actions.add_parser("syncthing", help="a new Syncthing certificate for a host; its id goes into the inventory")
    device.add_argument("host", metavar="HOST")
    device.set_defaults(run=_run, act=lambda manager, options: manager.syncthing(options.host))

    rekey = actions.add_parser("rekey", help="encrypt every file to whom the inventory says; write .sops.yaml")
    rekey.set_defaults(run=_run, act=lambda manager, options: manager.rekey())

    put = actions.add_parser("set", help="set a value, read from standard input")
    put.add_argument("host", metavar="HOST")
    put.add_argument("key", metavar="KEY")
    put.set_defaults(run=_run, act=lambda manager, options: manager.put(options.host, options.key, sys.stdin.read()))

    listing = actions.add_parser("list", help="every secret: its age, who reads it, what it opens; never a value")
    listing.add_argument("--files", action="store_true", help="files, the names in them and who reads them")
    listing.set_defaults(run=_run, act=_list)

    paper = actions.add_parser("sheet", help="the emergency sheet: one page, for paper, for the day when all is lost but backups")
    paper.add_argument("--with-keys", action="store_true", help="with the owner's private key on it; no other secret ever is")
    paper.set_defaults(run=_run, act=_sheet)

    check = actions.add_parser("check", help="names that Nix declares, readers, and host keys against the inventory")
    check.set_defaults(run=_run, act=lambda manager, options: manager.check())


def _run(options: argparse.Namespace) -> int:
    files = [Path(file) for file in options.file or all_files()]
    store = SecretStore(Path(options.secrets), options.key_file)
    try:
        made = give_keys(files, named) if (named := _newcomers(options)) is not None else {}
        manager = SecretManager(files, store)
        manager.settle(made)
        act: Callable[[SecretManager, Any], list[str]] = options.act
        # Who has just been given a key needs no other one.
        problems = manager.rekey() if made and options.action == "rotate" else act(manager, options)
    except (SecretStoreError, ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    for problem in problems:
        print(problem)
    if options.action == "check" and not problems:
        print(f"OK: {len(store.files())} files, each with what its host wants, for whom the inventory names")
    return 1 if problems else 0


def _newcomers(options: argparse.Namespace) -> list[str] | None:
    """Hosts that the command may give their first key to; all of them when empty, None: it gives none."""
    if options.action == "init" and not options.new_owner:
        return list(options.hosts)
    if options.action == "rotate" and options.name and "/" not in options.name:
        return [options.name]
    return None


def _days(text: str) -> int:
    if not re.fullmatch(r"\d+d?", text):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of days; write 90d")
    return int(text.removesuffix("d"))


def _rotate(manager: SecretManager, options: argparse.Namespace) -> list[str]:
    if (options.name is None) == (options.older is None):
        raise ValueError("rotate what? Fix: ./aether secrets rotate HOST, HOST/KEY, or --older 90d")
    if (options.finish or options.deployed_elsewhere) and "/" not in (options.name or ""):
        raise ValueError("--finish is of one secret. Fix: ./aether secrets rotate HOST/KEY --finish")
    if options.finish:
        return rotation.finish(manager, options.name, deployed_elsewhere=options.deployed_elsewhere)
    if options.name:
        return rotation.rotate(manager, options.name) if "/" in options.name else manager.rotate(options.name)
    return keeping.rotate_old(manager, options.older, dry=options.dry_run)


def _list(manager: SecretManager, options: argparse.Namespace) -> list[str]:
    if options.files:
        return manager.show()
    between = {shared: rotation.said_of(each) for shared, each in rotation.Rotating(manager.store.root).found.items()}
    print("\n".join(keeping.listing(keeping.secrets(manager), date.today(), between)))
    print("\n".join(breakglass.listed(manager, date.today())), end="")
    return []


def _sheet(manager: SecretManager, options: argparse.Namespace) -> list[str]:
    key = None
    if options.with_keys:
        given = options.key_file or Path(os.environ.get("SOPS_AGE_KEY_FILE") or DEFAULT_KEY_FILE)
        try:
            key = given.expanduser().read_text()
        except OSError as error:
            raise ValueError(f"{given}: {error.strerror}. Fix: --key-file FILE, the owner's private key") from None
        if (recipient := recipient_of(key)) not in (owners := owner_recipients(manager.inventories)):
            whose = f"{given} is the key of {recipient}, who is no owner: {', '.join(owners)}"
            raise ValueError(f"{whose}. Fix: --key-file FILE, the owner's own")
    print("\n".join(sheet(manager, date.today(), key)))
    return []


def _init(manager: SecretManager, options: argparse.Namespace) -> list[str]:
    if options.new_owner:
        key_file = (options.key_file or DEFAULT_KEY_FILE).expanduser()
        manager.new_owner(key_file, options.ssh_key.expanduser())
        load_all(manager.files, manager.store.root)
        return []
    return manager.init(options.hosts, options.source)
