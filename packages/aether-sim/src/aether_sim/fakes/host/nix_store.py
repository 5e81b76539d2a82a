#!/usr/bin/env python3
# mypy: ignore-errors
"""nix-store and nix-daemon of a simulated host.

Imitates what the operator and the scripts use of nix-store(1) of Nix 2.28: --query --requisites|--references|--hash, --realise,
--check-validity, --gc, --delete, --verify; and `nix-daemon --stdio`, which is what ssh-ng stores talk to. The daemon's
protocol is the simulator's own: a JSON line (have, put, get, sign), then a tar stream. A copy that ends early
leaves no valid path.
A copied path is taken only where a key of nix.conf's trusted-public-keys has signed it, also from root (NixOS/nix#7812). The
account that deploys without being root has the daemon do it (allowed-users); it may not say that nobody has to sign, nor sign.
--realise takes a path from the binary caches of --option extra-substituters URL (HTTP; narinfo and archive as the simulator's own
nix writes them) under the same rule.
Refuses: paths that are not valid, deleting what a profile or the running system needs, a full disk (fault disk-full).
"""

import errno
import io
import json
import os
import shutil
import sys
import tarfile
import urllib.error
import urllib.request

from simlib import Refused, faults, locked, read, run, write

STORE = "/nix/store"
SIGNATURES = "/nix/var/nix/signatures"
CONF = "/etc/nix/nix.conf"


def name_of(path):
    real = os.path.realpath(path) if os.path.islink(path) else path
    parts = real.split("/")
    if parts[:3] != ["", "nix", "store"] or len(parts) < 4:
        raise Refused(f"error: path '{path}' is not in the Nix store")
    return parts[3]


def valid(name):
    return os.path.isdir(f"{STORE}/{name}") or os.path.isfile(f"{STORE}/{name}")


def roots():
    """Store paths that must stay: generations and running systems."""
    found = set()
    for directory in ("/nix/var/nix/profiles", "/run"):
        for file in os.listdir(directory) if os.path.isdir(directory) else ():
            path = f"{directory}/{file}"
            if os.path.islink(path) and os.path.realpath(path).startswith(STORE):
                found.add(name_of(os.path.realpath(path)))
    return found


class Limited:
    """A stream that ends with ENOSPC after so many bytes."""

    def __init__(self, stream, left):
        self.stream, self.left = stream, left

    def read(self, size=-1):
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return data


def trusted():
    """The public keys of nix.conf."""
    for line in read(CONF).splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "trusted-public-keys":
            return set(value.split())
    return set()


def signatures(name):
    return read(f"{SIGNATURES}/{name}").split()


def note(name, by):
    os.makedirs(SIGNATURES, exist_ok=True)
    write(f"{SIGNATURES}/{name}", "\n".join(dict.fromkeys([*signatures(name), *by])) + "\n")


def put(request, stream):
    """Take paths from a tar stream; each becomes valid in one step."""
    names = request["names"]
    for name in names:
        if not request.get("built") and not trusted() & set(request.get("signatures", {}).get(name, [])):
            # The stream is read to its end: the other side listens afterwards.
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for _ in archive:
                    pass
            raise Refused(f"error: cannot add path '{STORE}/{name}' because it lacks a signature by a trusted key")
    source = Limited(stream, 512) if "disk-full" in faults() else stream
    staging = f"{STORE}/.incoming.{os.getpid()}"
    os.makedirs(staging, exist_ok=True)
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            for member in archive:
                first = member.name.split("/")[0]
                if first not in names or ".." in member.name.split("/") or member.name.startswith("/"):
                    raise Refused(f"error: unexpected path '{member.name}' in the stream")
                archive.extract(member, staging, set_attrs=True)
        with locked("/nix/var/nix/db/lock", "", wait=True):
            for name in names:
                if not os.path.lexists(f"{staging}/{name}"):
                    raise Refused(f"error: path '{STORE}/{name}' is missing in the stream")
                if not valid(name):
                    os.rename(f"{staging}/{name}", f"{STORE}/{name}")
                    note(name, request.get("signatures", {}).get(name, []))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise Refused(f"error: writing to file: {error.strerror}") from None
        raise Refused(f"error: unexpected end of the stream: {error}") from None
    except tarfile.TarError as error:
        raise Refused(f"error: unexpected end of the stream: {error}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def fetch(url):
    """What URL answers; None where it has no such file. Raises OSError where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def substitute(name, url):
    """Take a path from the binary cache at URL. Whether that was possible; says why not, as Nix does."""
    try:
        info = fetch(f"{url}/{name[:32]}.narinfo")
        if info is None:
            return False
        said = [line.partition(": ")[::2] for line in info.decode().splitlines()]
        by = [value for key, value in said if key == "Sig"]
        if not trusted() & set(by):
            print(
                f"warning: ignoring substitute for '{STORE}/{name}' from '{url}', as it's not signed by any of the keys in "
                "'trusted-public-keys'",
                file=sys.stderr,
            )
            return False
        archive = fetch(f"{url}/{dict(said)['URL']}")
    except OSError as error:
        print(f"warning: unable to download '{url}/{name[:32]}.narinfo': {error}", file=sys.stderr)
        return False
    if archive is None:
        return False
    print(f"copying path '{STORE}/{name}' from '{url}'...", file=sys.stderr)
    put({"names": [name], "signatures": {name: by}}, io.BytesIO(archive))
    return True


def realise(words):
    """Paths that are there, or can be had."""
    substituters, paths, words = [], [], list(words)
    while words:
        word = words.pop(0)
        if word == "--option":
            option, value = words.pop(0), words.pop(0)
            if option in ("substituters", "extra-substituters"):
                if os.geteuid() == 0:
                    substituters += value.split()
                else:
                    print(f"warning: ignoring untrusted substituter '{value}', you are not a trusted user.", file=sys.stderr)
        elif not word.startswith("-"):
            paths.append(word)
    for path in paths:
        name = name_of(path)
        if not valid(name) and not any(substitute(name, url) for url in substituters):
            print(f"don't know how to build these paths:\n  {path}", file=sys.stderr)
            raise Refused(f"error: build of '{path}' failed")
    print("\n".join(paths))
    return 0


def daemon():
    """Serve one ssh-ng client."""
    if os.geteuid() != 0:
        # What listens on the real daemon's socket is root's.
        os.execvp("nix-daemon-socket", ["nix-daemon-socket"])
    trusted_client = os.environ.get("AETHER_SIM_CLIENT", "root") == "root"
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    while line := stdin.readline():
        request = json.loads(line)
        if request["do"] == "have":
            answer = {"valid": [name for name in request["names"] if valid(name)]}
        elif request["do"] == "put":
            try:
                put({**request, "built": request.get("built") and trusted_client}, stdin)
                answer = {"ok": True}
            except Refused as refused:
                answer = {"error": str(refused)}
        elif request["do"] == "get":
            missing = [name for name in request["names"] if not valid(name)]
            if missing:
                answer = {"error": f"error: path '{STORE}/{missing[0]}' is not valid"}
            else:
                stdout.write(
                    json.dumps({"ok": True, "signatures": {n: signatures(n) for n in request["names"]}}).encode() + b"\n"
                )
                with tarfile.open(fileobj=stdout, mode="w|") as archive:
                    for name in request["names"]:
                        archive.add(f"{STORE}/{name}", name)
                stdout.flush()
                return 0
        elif request["do"] == "sign" and not trusted_client:
            answer = {"error": "error: you are not privileged to add signatures"}
        elif request["do"] == "sign":
            for name in request["names"]:
                note(name, [request["by"]])
            answer = {"ok": True}
        else:
            answer = {"error": "error: unknown operation"}
        stdout.write(json.dumps(answer).encode() + b"\n")
        stdout.flush()
        if "error" in answer:
            return 1
    return 0


def query(words):
    paths = [word for word in words if not word.startswith("-")]
    for path in paths:
        name = name_of(path)
        if not valid(name):
            raise Refused(f"error: path '{path}' is not valid")
        if "--hash" in words:
            print(f"sha256:{name[:32]}")
        else:
            print(f"{STORE}/{name}")
    return 0


def collect(words):
    keep = roots()
    freed = 0
    for name in os.listdir(STORE):
        if name not in keep and not name.startswith("."):
            freed += 1
            print(f"deleting '{STORE}/{name}'")
            shutil.rmtree(f"{STORE}/{name}", ignore_errors=True)
    print(f"{freed} store paths deleted, 0.00 MiB freed")
    return 0


def main(argv):
    if os.path.basename(sys.argv[0]) == "nix-daemon":
        if argv != ["--stdio"]:
            raise Refused("error: nix-daemon: only --stdio is simulated")
        return daemon()
    action, *words = argv or [""]
    if action in ("-q", "--query"):
        return query(words)
    if action in ("-r", "--realise"):
        return realise(words)
    if action == "--check-validity":
        for path in words:
            if not path.startswith("-") and not valid(name_of(path)):
                raise Refused(f"error: path '{path}' is not valid")
        return 0
    if action == "--gc":
        return collect(words)
    if action == "--delete":
        for path in (word for word in words if not word.startswith("-")):
            if name_of(path) in roots():
                raise Refused(f"error: cannot delete path '{path}' since it is still alive")
            shutil.rmtree(f"{STORE}/{name_of(path)}", ignore_errors=True)
        return 0
    if action == "--verify":
        return 0
    if action == "--version":
        print("nix-store (Nix) 2.28.5")
        return 0
    raise Refused(f"error: nix-store {action}: not simulated")


if __name__ == "__main__":
    run(main)
