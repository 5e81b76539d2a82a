"""nix on the operator's machine, for the simulated datacentre.

Imitates what the program uses of nix(1) of Nix 2.28 (https://nix.dev/manual/nix/2.28/command-ref/new-cli/nix):
`eval` of nixosConfigurations.…drvPath (one host, or many by --apply), `build` of a host's toplevel and of the images, `copy`
--to/--from ssh-ng stores (real SSH with NIX_SSHOPTS), --to file:// binary caches (files as Nix's own, an archive being a tar:
nix.dev/manual/nix/2.28/store/types/local-binary-cache-store), `store sign`, `store diff-closures`, `path-info`, `config show`.
Signatures are the key's public half, not arithmetic: a host refuses a path that no key it trusts has signed, as Nix does.
Refuses: hosts that the inventory does not know, a host file that throws, paths that are not in the store, every other command.
The operator's store is `.aether/sim/store`; store paths are printed as /nix/store/….
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from aether_sim.fakes.host.simlib import options
from aether_sim.operator.errors import NixError

# A deployment runs four of these: what one command needs is imported where it is needed.

REPO = Path(__file__).resolve().parents[5]
# The image's fingerprint: one small file that stands for a disk.
_IMAGES = {"proxmox-vm": "nixos.qcow2", "proxmox-lxc": "nixos.tar.xz"}
_VALUED = (
    "--option:2 --extra-experimental-features --experimental-features --to --from --apply --store --eval-store --override-input:2"
    " --max-jobs/-j --cores --builders --out-link/-o --file/-f --expr --inputs-from --key-file/-k"
)
_SHOWN = {"system": "x86_64-linux", "extra-platforms": [], "builders": ""}
_TOPLEVEL = re.compile(r'nixosConfigurations\."?([\w-]+)"?\.config\.system\.build\.toplevel')


def store() -> Path:
    """The operator's store."""
    directory = Path(os.environ.get("AETHER_SIM_DIR") or REPO / ".aether" / "sim") / "store"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def main(argv: Sequence[str]) -> int:
    """Run one nix command."""
    given, words = options(list(argv), _VALUED)
    try:
        _command(words, given)
    except NixError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _command(words: list[str], given: dict[str, list[str]]) -> None:
    match words:
        case [] if "--version" in given:
            print("nix (Nix) 2.28.5 (simulated)")
        case ["eval", installable]:
            _eval(installable, given)
        case ["build", *installables]:
            _build(installables, given)
        case ["copy", *paths]:
            _copy(paths, given)
        case ["store", "diff-closures", before, after]:
            _diff(before, after)
        case ["store", "sign", *paths]:
            _sign(paths, given)
        case ["path-info", *paths]:
            for path in paths:
                _local(path)
                print(path)
        case ["config", "show"]:
            print(json.dumps({name: {"value": value} for name, value in _SHOWN.items()}))
        case _:
            raise NixError(f"error: '{' '.join(words[:2])}' is not simulated")


def _drv(host: str) -> str:
    import hashlib

    from aether_sim.fakes.store import store_name
    from aether_sim.operator import closure

    derivation = closure.evaluated(REPO, host)
    digest = derivation["digest"]
    name = closure.name_of(host, digest).partition("-")[2]
    path = f"/nix/store/{store_name(hashlib.sha256(f'drv {host} {digest}'.encode()).digest(), name)}.drv"
    # The derivation says what it builds: `nix build DRV^out` evaluates nothing.
    (store() / Path(path).name).write_text(json.dumps(derivation, default=str))
    return path


def _eval(installable: str, given: dict[str, list[str]]) -> None:
    # What the program asks (components/nixos/desired.py).
    wanted = re.findall(r'"([^"]+)" = host all\."([^"]+)"\.config;', "".join(given.get("--apply", [])))
    one = re.fullmatch(_TOPLEVEL.pattern + r"\.drvPath", installable.partition("#")[2])
    if not wanted and not one:
        raise NixError(f"error: attribute '{installable.partition('#')[2]}' is not simulated")
    value: Any = {name: {"drv": _drv(host), "boots": {}, "system": {}} for name, host in wanted}
    value = _drv(one[1]) if one else value
    print(value if "--raw" in given else json.dumps(value), end="" if "--raw" in given else "\n")


def _derivation_of(installable: str) -> dict[str, Any] | None:
    """The derivation of a host that an installable names, evaluated where it is none; None where it is not of a host."""
    if installable.startswith("/nix/store/"):
        return dict(json.loads(_local(installable.partition("^")[0]).read_text()))
    from aether_sim.operator import closure

    found = _TOPLEVEL.fullmatch(installable.partition("#")[2])
    return closure.evaluated(REPO, found[1]) if found else None


def _build(installables: list[str], given: dict[str, list[str]]) -> None:
    from aether_sim.operator import closure

    for installable in installables:
        derivation = _derivation_of(installable)
        if derivation is not None:
            name = closure.build(REPO, store(), derivation)
            path = f"/nix/store/{name}"
            for remote in given.get("--store", []):
                _send(remote, [name], built=True)
        else:
            path = _build_image(installable)
        if "--print-out-paths" in given:
            print(path)


def _build_image(installable: str) -> str:
    """A package of the flake that is an image: a small file with the image's name and what it was made from."""
    import hashlib

    from aether_sim.fakes.store import store_name

    attribute = installable.rpartition(".")[2].strip('"')
    if attribute not in _IMAGES:
        raise NixError(f"error: flake does not provide attribute '{installable.partition('#')[2]}'")
    lock = REPO / "flake.lock"
    digest = hashlib.sha256(attribute.encode() + (lock.read_bytes() if lock.exists() else b""))
    target = store() / store_name(digest.digest(), attribute)
    target.mkdir(exist_ok=True)
    (target / _IMAGES[attribute]).write_text(f"aether simulated image {attribute} {digest.hexdigest()}\n")
    # A path that exists: the caller reads the image. A store elsewhere than /nix has no other name for it.
    return str(target)


def _local(path: str) -> Path:
    found = store() / Path(path).name
    if not path.startswith("/nix/store/") or not found.exists():
        raise NixError(f"error: path '{path}' is not valid")
    return found


class _Remote:
    """An ssh-ng store: `nix-daemon --stdio` at the other end of a real SSH connection."""

    def __init__(self, url: str) -> None:
        import shlex
        import subprocess

        scheme, _, rest = url.partition("://")
        if scheme != "ssh-ng":
            raise NixError(f"error: don't know how to open Nix store '{url}'")
        self.host = rest.partition("/")[0].partition("?")[0]
        command = ["ssh", *shlex.split(os.environ.get("NIX_SSHOPTS", "")), "-x", "-a", self.host, "--", "nix-daemon", "--stdio"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdin: IO[bytes] = self.process.stdin
        self.stdout: IO[bytes] = self.process.stdout

    def __enter__(self) -> _Remote:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        self.process.wait()

    def ask(self, do: str, names: list[str], **more: Any) -> dict[str, Any]:
        """Send a request line, with `put` the paths themselves, and read its answer. Raises NixError."""
        with contextlib.suppress(BrokenPipeError):
            self.stdin.write(json.dumps({"do": do, "names": names, **more}).encode() + b"\n")
            if do == "put":
                _pack(self.stdin, names)
            self.stdin.flush()
        line = self.stdout.readline()
        answer: dict[str, Any] = json.loads(line or f'{{"error": "error: cannot connect to \'{self.host}\'"}}')
        if "error" in answer:
            raise NixError(f"{answer['error']} (on '{self.host}')")
        return answer


def _pack(stream: IO[bytes], names: list[str]) -> None:
    """Paths as a tar stream: root's, and of no time, as in a store."""
    import tarfile

    def as_stored(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = 1
        return entry

    with tarfile.open(fileobj=stream, mode="w|") as archive:
        for name in names:
            archive.add(store() / name, name, filter=as_stored)


def _sign(paths: list[str], given: dict[str, list[str]]) -> None:
    """Note that the key of --key-file (NAME:BASE64 of seed and public key) has signed PATHS, here or in the store of --store."""
    import base64

    files = given.get("--key-file", [])
    if len(files) != 1:
        raise NixError("error: you must specify a secret key file using '-k'")
    name, _, key = Path(files[0]).read_text().strip().partition(":")
    secret = base64.b64decode(key or "-", validate=False)
    if len(secret) != 64:
        raise NixError("error: secret key is not valid")
    by, names = f"{name}:{base64.b64encode(secret[32:]).decode()}", [Path(path).name for path in paths]
    for remote in given.get("--store", []):
        with _Remote(remote) as there:
            there.ask("sign", names, by=by)
    if not given.get("--store"):
        for path in paths:
            _local(path)
        _note({each: [*_signatures(each), by] for each in names})


def _signatures(name: str) -> list[str]:
    """Who has signed a path of the operator's store."""
    file = store() / ".signatures" / name
    return file.read_text().split() if file.exists() else []


def _note(signatures: dict[str, list[str]]) -> None:
    (store() / ".signatures").mkdir(exist_ok=True)
    for name, by in signatures.items():
        (store() / ".signatures" / name).write_text("\n".join(dict.fromkeys(by)) + "\n")


def _copy(paths: list[str], given: dict[str, list[str]]) -> None:
    names = [Path(path).name for path in paths]
    for source in given.get("--from", []):
        _receive(source, [name for name in names if not (store() / name).exists()])
    for path in paths:
        _local(path)
    for target in given.get("--to", []):
        if target.startswith("file://"):
            _push(target, names)
        else:
            # Hosts are asked as root, whom their daemon trusts.
            _send(target, names, built="--no-check-sigs" in given)


def _send(url: str, names: list[str], *, built: bool = False) -> None:
    with _Remote(url) as remote:
        present = remote.ask("have", names)["valid"]
        missing = [name for name in names if name not in present]
        _tell(missing, url)
        if missing:
            remote.ask("put", missing, built=built, signatures={name: _signatures(name) for name in missing})


def _tell(names: list[str], url: str) -> None:
    for name in names:
        print(f"copying path '/nix/store/{name}' to '{url}'...", file=sys.stderr)


def _receive(url: str, names: list[str]) -> None:
    import tarfile

    if names:
        with _Remote(url) as remote:
            _note(remote.ask("get", names)["signatures"])
            with tarfile.open(fileobj=remote.stdout, mode="r|") as archive:
                archive.extractall(store(), filter="tar")


def _push(url: str, names: list[str]) -> None:
    """Into a binary cache; what it has already is left as it is (NixOS/nix, src/libstore/nar-info.cc)."""
    import hashlib
    import io
    from urllib.parse import urlsplit

    cache = Path(urlsplit(url).path)
    (cache / "nar").mkdir(parents=True, exist_ok=True)
    (cache / "nix-cache-info").write_text("StoreDir: /nix/store\n")
    names = [name for name in names if not (cache / f"{name[:32]}.narinfo").exists()]
    _tell(names, url)
    for name in names:
        buffer = io.BytesIO()
        _pack(buffer, [name])
        digest = hashlib.sha256(buffer.getvalue()).hexdigest()
        (cache / f"nar/{digest}.nar").write_bytes(buffer.getvalue())
        lines = [f"StorePath: /nix/store/{name}", f"URL: nar/{digest}.nar", "Compression: none", f"NarHash: sha256:{digest}"]
        lines += [f"NarSize: {len(buffer.getvalue())}", "References: ", *(f"Sig: {signature}" for signature in _signatures(name))]
        (cache / f"{name[:32]}.narinfo").write_text("".join(f"{line}\n" for line in lines))


def _diff(before: str, after: str) -> None:
    old, new = (json.loads((_local(path) / "packages.json").read_text()) for path in (before, after))
    for package in sorted({*old, *new}):
        was, now = old.get(package, "∅"), new.get(package, "∅")
        if was != now:
            print(f"{package}: {was} → {now}")
