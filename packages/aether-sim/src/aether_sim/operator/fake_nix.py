"""nix on the operator's machine, for the simulated datacentre.

Imitates what the program uses of nix(1) of Nix 2.28 (https://nix.dev/manual/nix/2.28/command-ref/new-cli/nix):
`eval` of nixosConfigurations.…drvPath (one host, or many by --apply), `build` of a host's toplevel and of the images, `copy`
--to/--from ssh-ng stores (real SSH with NIX_SSHOPTS), --to file:// binary caches, `store sign`, `store diff-closures`,
`path-info`, `flake metadata`, `config show --json` of an x86 operator, `--version`.
Signatures are the key's public half, not arithmetic: a host refuses a path that no key it trusts has signed, as Nix does.
Refuses: hosts that the inventory does not know, a host file that throws, paths that are not in the store, every other command.
The operator's store is `.aether/sim/store`; store paths are printed as /nix/store/….
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from aether_sim.operator.errors import NixError

# A deployment runs four of these: what one command needs is imported where it is needed.

REPO = Path(__file__).resolve().parents[5]

# The image's fingerprint: one small file that stands for a disk.
_IMAGES = {"proxmox-vm": "nixos.qcow2", "proxmox-lxc": "nixos.tar.xz"}
_VALUED = {"--option": 2, "--extra-experimental-features": 1, "--experimental-features": 1, "--to": 1, "--from": 1,
           "--apply": 1, "--store": 1, "--eval-store": 1, "--override-input": 2, "--max-jobs": 1, "-j": 1, "--cores": 1,
           "--builders": 1, "--out-link": 1, "-o": 1, "--file": 1, "-f": 1, "--expr": 1, "--inputs-from": 1,
           "--key-file": 1, "-k": 1}  # fmt: skip


def store() -> Path:
    """The operator's store."""
    directory = Path(os.environ.get("AETHER_SIM_DIR") or REPO / ".aether" / "sim") / "store"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def main(argv: Sequence[str]) -> int:
    """Run one nix command."""
    options, words = _parse(list(argv))
    if "--version" in options:
        print("nix (Nix) 2.28.5 (simulated)")
        return 0
    try:
        return _command(words, options)
    except NixError as error:
        print(error, file=sys.stderr)
        return 1


def _parse(argv: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    options: dict[str, list[str]] = {}
    words: list[str] = []
    while argv:
        word = argv.pop(0)
        if word.startswith("-"):
            count = _VALUED.get(word, 0)
            options[word] = options.get(word, []) + [argv.pop(0) for _ in range(min(count, len(argv)))]
        else:
            words.append(word)
    return options, words


def _command(words: list[str], options: dict[str, list[str]]) -> int:  # noqa: PLR0911 - one a command
    match words:
        case ["eval", *installables]:
            return _eval(installables, options)
        case ["build", *installables]:
            return _build(installables, options)
        case ["copy", *paths]:
            return _copy(paths, options)
        case ["store", "diff-closures", before, after]:
            return _diff(before, after)
        case ["store", "sign", *paths]:
            return _sign(paths, options)
        case ["store", ("info" | "ping")]:
            print("Store URL: local\nVersion: 2.28.5", file=sys.stderr)
            return 0
        case ["path-info", *paths]:
            for path in paths:
                _local(path)
                print(path)
            return 0
        case ["flake", ("metadata" | "check"), *_]:
            return 0
        case ["config", "show"]:
            shown = {"system": "x86_64-linux", "extra-platforms": [], "builders": ""}
            print(json.dumps({name: {"value": value} for name, value in shown.items()}))
            return 0
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


def _eval(installables: list[str], options: dict[str, list[str]]) -> int:
    import re

    if not installables:
        raise NixError("error: eval needs an installable")
    attribute = installables[0].partition("#")[2]
    value: Any
    if "--apply" in options:
        # What the program asks (components/nixos/desired.py).
        wanted = re.findall(r'"([^"]+)" = host all\."([^"]+)"\.config;', options["--apply"][0])
        if not wanted:
            raise NixError("error: the function of --apply is not simulated")
        value = {name: {"drv": _drv(host), "boots": {}, "system": {}} for name, host in wanted}
    else:
        found = re.fullmatch(r'nixosConfigurations\."?([\w-]+)"?\.config\.system\.build\.toplevel\.drvPath', attribute)
        if not found:
            raise NixError(f"error: attribute '{attribute}' is not simulated")
        value = _drv(found[1])
    if "--raw" in options:
        sys.stdout.write(value)
    else:
        print(json.dumps(value))
    return 0


def _derivation_of(installable: str) -> dict[str, Any] | None:
    """The derivation of a host that an installable names, evaluated where it is none; None where it is not of a host."""
    if installable.startswith("/nix/store/"):
        drv = store() / Path(installable.partition("^")[0]).name
        if not drv.name.endswith(".drv") or not drv.exists():
            raise NixError(f"error: path '{installable.partition('^')[0]}' is not valid")
        return dict(json.loads(drv.read_text()))
    import re

    from aether_sim.operator import closure

    attribute = installable.partition("#")[2]
    found = re.fullmatch(r'nixosConfigurations\."?([\w-]+)"?\.config\.system\.build\.toplevel', attribute)
    return closure.evaluated(REPO, found[1]) if found else None


def _build(installables: list[str], options: dict[str, list[str]]) -> int:
    from aether_sim.operator import closure

    for installable in installables:
        derivation = _derivation_of(installable)
        if derivation is not None:
            name = closure.build(REPO, store(), derivation)
            path = f"/nix/store/{name}"
            for remote in options.get("--store", []):
                _send(remote, [name], built=True)
        else:
            path = _build_image(installable)
        if "--print-out-paths" in options:
            print(path)
    return 0


def _build_image(installable: str) -> str:
    """A package of the flake that is an image: a small file with the image's name and what it was made from."""
    import hashlib
    import io
    import tarfile

    from aether_sim.fakes.store import store_name

    attribute = installable.rpartition(".")[2].strip('"')
    if attribute not in _IMAGES:
        raise NixError(f"error: flake does not provide attribute '{installable.partition('#')[2]}'")
    digest = hashlib.sha256(attribute.encode())
    digest.update((REPO / "flake.lock").read_bytes() if (REPO / "flake.lock").exists() else b"")
    name = store_name(digest.digest(), attribute)
    target = store() / name
    target.mkdir(exist_ok=True)
    data = f"aether simulated image {attribute} {digest.hexdigest()}\n".encode()
    if attribute.endswith("template"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
            entry = tarfile.TarInfo("etc/nixos-image")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        data = buffer.getvalue()
    file = target / _IMAGES[attribute]
    if not file.exists():
        file.write_bytes(data)
    # A path that exists: the caller reads the image. A store elsewhere than /nix has no other name for it.
    return str(target)


def _local(path: str) -> Path:
    name = Path(path).name
    found = store() / name
    if not path.startswith("/nix/store/") or not found.exists():
        raise NixError(f"error: path '{path}' is not valid")
    return found


class _Remote:
    """An ssh-ng store: `nix-daemon --stdio` at the other end of a real SSH connection."""

    def __init__(self, url: str) -> None:
        import shlex
        import subprocess

        scheme, _, rest = url.partition("://")
        if scheme not in ("ssh-ng", "ssh"):
            raise NixError(f"error: don't know how to open Nix store '{url}'")
        self.host = rest.partition("/")[0].partition("?")[0]
        options = shlex.split(os.environ.get("NIX_SSHOPTS", ""))
        self.process = subprocess.Popen(
            ["ssh", *options, "-x", "-a", self.host, "--", "nix-daemon", "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdin: IO[bytes] = self.process.stdin
        self.stdout: IO[bytes] = self.process.stdout

    def __enter__(self) -> _Remote:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        self.process.wait()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request line and read its answer. Raises NixError."""
        try:
            self.stdin.write(json.dumps(request).encode() + b"\n")
            self.stdin.flush()
        except BrokenPipeError:
            pass
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next answer."""
        line = self.stdout.readline()
        if not line:
            raise NixError(f"error: cannot connect to '{self.host}'")
        answer = dict(json.loads(line))
        if "error" in answer:
            raise NixError(f"{answer['error']} (on '{self.host}')")
        return answer


def _sign(paths: list[str], options: dict[str, list[str]]) -> int:
    """Note that the key of --key-file (NAME:BASE64 of seed and public key) has signed PATHS, here or in the store of --store."""
    import base64

    files = [*options.get("--key-file", []), *options.get("-k", [])]
    if len(files) != 1:
        raise NixError("error: you must specify a secret key file using '-k'")
    name, _, key = Path(files[0]).read_text().strip().partition(":")
    secret = base64.b64decode(key or "-", validate=False)
    if len(secret) != 64:
        raise NixError("error: secret key is not valid")
    by = f"{name}:{base64.b64encode(secret[32:]).decode()}"
    names = [Path(path).name for path in paths]
    for remote in options.get("--store", []):
        with _Remote(remote) as there:
            there.ask({"do": "sign", "names": names, "by": by})
    if not options.get("--store"):
        for path in paths:
            _local(path)
        _note({each: [*_signatures(each), by] for each in names})
    return 0


def _signatures(name: str) -> list[str]:
    """Who has signed a path of the operator's store."""
    file = store() / ".signatures" / name
    return file.read_text().split() if file.exists() else []


def _note(signatures: dict[str, list[str]]) -> None:
    (store() / ".signatures").mkdir(exist_ok=True)
    for name, by in signatures.items():
        (store() / ".signatures" / name).write_text("\n".join(dict.fromkeys(by)) + "\n")


def _send(url: str, names: list[str], *, built: bool = False) -> None:
    import tarfile

    from aether_sim.operator.binary_cache import as_root

    with _Remote(url) as remote:
        present = set(remote.ask({"do": "have", "names": names})["valid"])
        missing = [name for name in names if name not in present]
        if not missing:
            return
        for name in missing:
            print(f"copying path '/nix/store/{name}' to '{url}'...", file=sys.stderr)
        remote.stdin.write(
            json.dumps(
                {"do": "put", "names": missing, "built": built, "signatures": {n: _signatures(n) for n in missing}}
            ).encode()
            + b"\n"
        )
        try:
            with tarfile.open(fileobj=remote.stdin, mode="w|") as archive:
                for name in missing:
                    archive.add(store() / name, name, filter=as_root)
            remote.stdin.flush()
        except BrokenPipeError:
            pass
        remote.answer()


def _receive(url: str, names: list[str]) -> None:
    missing = [name for name in names if not (store() / name).exists()]
    if not missing:
        return
    import tarfile

    with _Remote(url) as remote:
        _note(remote.ask({"do": "get", "names": missing})["signatures"])
        with tarfile.open(fileobj=remote.stdout, mode="r|") as archive:
            archive.extractall(store(), filter="tar")


def _copy(paths: list[str], options: dict[str, list[str]]) -> int:
    names = [Path(path).name for path in paths]
    for source in options.get("--from", []):
        _receive(source, names)
    for path in paths:
        _local(path)
    for target in options.get("--to", []):
        if target.startswith("file://"):
            from urllib.parse import urlsplit

            from aether_sim.operator.binary_cache import push

            for name in push(Path(urlsplit(target).path), store(), names, _signatures):
                print(f"copying path '/nix/store/{name}' to '{target}'...", file=sys.stderr)
            continue
        # Hosts are asked as root, whom their daemon trusts.
        _send(target, names, built="--no-check-sigs" in options)
    return 0


def _diff(before: str, after: str) -> int:
    old, new = (json.loads((_local(path) / "packages.json").read_text()) for path in (before, after))
    for package in sorted({*old, *new}):
        was, now = old.get(package, "∅"), new.get(package, "∅")
        if was != now:
            print(f"{package}: {was} → {now}")
    return 0
