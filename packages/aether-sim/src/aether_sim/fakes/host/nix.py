# mypy: ignore-errors
"""nix-env, nix-store, nix-daemon and nix of a simulated host: profiles, a store of folders, Home Manager's generations.

Imitates what scripts, operators and roles use of Nix 2.28 (https://nix.dev/manual/nix/2.28/command-ref): nix-env -p PROFILE with
--set, --rollback, --list-generations, --switch-generation, --delete-generations; nix-store --realise, --delete; nix path-info
[--json], store verify (of signatures); `nix build …#….activationPackage` and `nix run … home-manager -- switch`, which leave what
home-manager's activation-init.sh does: numbered links of a profile, a generation being the hash of what it is made of; and
`nix-daemon --stdio`, which is what ssh-ng stores talk to, in a protocol of the simulator's own: a JSON line (have, put, get,
sign), then a tar stream. A copy that ends early leaves no valid path.
A copied path is taken only where a key of nix.conf's trusted-public-keys has signed it, also from root (NixOS/nix#7812). The
account that deploys without being root has the daemon do it (allowed-users); it may not say that nobody has to sign, nor sign.
--realise takes a path from the binary caches of --option extra-substituters URL under the same rule.
Refuses: paths that are not valid, deleting what a profile or the running system needs, a full disk (fault disk-full), a flake
that is not there, a configuration that no host of the inventory names. Systems are built by the operator's fake alone.
"""

import errno
import io
import json
import os
import re
import shutil
import sys

from simlib import Refused, faults, link, locked, options, read, write

STORE = "/nix/store"
SIGNATURES = "/nix/var/nix/signatures"


def name_of(path):
    """The store name of a path, or of what it leads to."""
    found = re.match(rf"{STORE}/([^/]+)", os.path.realpath(path) if os.path.islink(path) else path)
    if not found:
        raise Refused(f"error: path '{path}' is not in the Nix store")
    return found[1]


def valid(name):
    return os.path.exists(f"{STORE}/{name}")


# Profiles


def generations(profile):
    """Generation number -> link path, and the number of the current one."""
    directory, name = os.path.split(profile)
    pattern = re.compile(rf"{re.escape(name)}-(\d+)-link$")
    files = os.listdir(directory) if os.path.isdir(directory) else ()
    known = {int(match[1]): f"{directory}/{match[0]}" for match in map(pattern.match, files) if match}
    now = pattern.match(os.readlink(profile)) if os.path.islink(profile) else None
    return known, int(now[1]) if now else None


def new_generation(profile, target):
    """Let a profile lead to TARGET; the last generation is taken again when it is that, whichever is the current one."""
    known, _ = generations(profile)
    number = max(known, default=0)
    if not known or os.readlink(known[number]) != target:
        number += 1
        link(target, f"{profile}-{number}-link")
    link(f"{os.path.basename(profile)}-{number}-link", profile)


def nix_env(argv):
    found, words = options(argv, "--profile/-p --set --switch-generation/-G --delete-generations")
    profile = found["--profile"][0]
    if os.geteuid() != 0 and profile.startswith("/nix/var"):
        raise Refused(f"error: opening lock file '{profile}.lock': Permission denied")
    with locked(f"{profile}.lock", "", wait=True):
        known, now = generations(profile)
        if "--set" in found:
            path = os.path.realpath(found["--set"][0])
            if not re.match(rf"{STORE}/[0-9a-z]{{32}}-[^/]+$", path) or not os.path.exists(path):
                raise Refused(f"error: path '{path}' is not {'valid' if STORE in path else 'in the Nix store'}")
            new_generation(profile, path)
        elif "--list-generations" in found:
            import time

            for number, path in sorted(known.items()):
                when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(os.lstat(path).st_mtime))
                print(f"{number:4}   {when}   {'(current)' if number == now else ''}")
        elif "--delete-generations" in found:
            for number in map(int, [*found["--delete-generations"], *words]):
                if number == now:
                    raise Refused(f"error: cannot delete current version of profile '{profile}'")
                print(f"removing profile version {number}")
                os.unlink(known[number])
        else:
            number = int((found.get("--switch-generation") or [0])[0])
            if "--rollback" in found:
                number = max((each for each in known if now is not None and each < now), default=0)
                if not number:
                    raise Refused(f"error: no generation older than the current ({now}) exists")
                print(f"switching profile from version {now} to {number}")
            if number not in known:
                raise Refused(f"error: profile version {number} does not exist")
            link(os.path.basename(known[number]), profile)
    return 0


# The store


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
    return set(" ".join(re.findall(r"^trusted-public-keys *=(.*)$", read("/etc/nix/nix.conf"), re.M)).split())


def signatures(name):
    return read(f"{SIGNATURES}/{name}").split()


def note(name, by):
    write(f"{SIGNATURES}/{name}", "\n".join(dict.fromkeys([*signatures(name), *by])) + "\n")


def put(names, by, stream, built=False):
    """Take paths from a tar stream; each becomes valid in one step. BY: who has signed each; BUILT: nobody has to."""
    import tarfile

    unsigned = [] if built else [name for name in names if not trusted() & set(by.get(name, []))]
    staging = f"{STORE}/.incoming.{os.getpid()}"
    try:
        with tarfile.open(fileobj=Limited(stream, 512) if "disk-full" in faults() else stream, mode="r|") as archive:
            # To its end, whatever is in it: the other side listens afterwards.
            for member in archive:
                if member.name.split("/")[0] not in names or ".." in member.name:
                    raise Refused(f"error: unexpected path '{member.name}' in the stream")
                if not unsigned:
                    archive.extract(member, staging, set_attrs=True)
        if unsigned:
            raise Refused(f"error: cannot add path '{STORE}/{unsigned[0]}' because it lacks a signature by a trusted key")
        with locked("/nix/var/nix/db/lock", "", wait=True):
            for name in names:
                if not valid(name):
                    os.rename(f"{staging}/{name}", f"{STORE}/{name}")
                    note(name, by.get(name, []))
    except (OSError, tarfile.TarError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC
        raise Refused(f"error: {'writing to file' if full else 'unexpected end of the stream'}: {error}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def substitute(name, url):
    """Take a path from the binary cache at URL. Whether that was possible; says why not, as Nix does."""
    import urllib.error
    import urllib.request

    def fetch(file):
        with urllib.request.urlopen(f"{url}/{file}", timeout=10) as answer:
            return answer.read()

    try:
        said = [line.partition(": ")[::2] for line in fetch(f"{name[:32]}.narinfo").decode().splitlines()]
        by = [value for key, value in said if key == "Sig"]
        if not trusted() & set(by):
            sys.stderr.write(
                f"warning: ignoring substitute for '{STORE}/{name}' from '{url}', as it's not signed by any of the keys in "
                "'trusted-public-keys'\n"
            )
            return False
        put([name], {name: by}, io.BytesIO(fetch(dict(said)["URL"])))
    except OSError as error:
        if getattr(error, "code", None) != 404:
            sys.stderr.write(f"warning: unable to download '{url}/{name[:32]}.narinfo': {error}\n")
        return False
    return True


def nix_store(argv):
    found, paths = options(argv, "--option:2")
    if "--realise" in found:
        given = found.get("--option", [])
        caches = (
            given[given.index("extra-substituters") + 1].split() if "extra-substituters" in given and not os.geteuid() else []
        )
        for path in paths:
            name = name_of(path)
            if not valid(name) and not any(substitute(name, url) for url in caches):
                sys.stderr.write(f"don't know how to build these paths:\n  {path}\n")
                raise Refused(f"error: build of '{path}' failed")
            print(path)
        return 0
    if "--delete" in found:
        links = [f"{place}/{file}" for place in ("/nix/var/nix/profiles", "/run") for file in os.listdir(place)]
        alive = {os.path.realpath(path) for path in links if os.path.islink(path)}
        for path in paths:
            if f"{STORE}/{name_of(path)}" in alive:
                raise Refused(f"error: cannot delete path '{path}' since it is still alive")
            shutil.rmtree(f"{STORE}/{name_of(path)}", ignore_errors=True)
        return 0
    raise Refused(f"error: nix-store {' '.join(argv[:1])}: not simulated")


def nix_daemon(argv):
    """Serve one ssh-ng client."""
    if os.geteuid() != 0:
        # What listens on the real daemon's socket is root's.
        os.execvp("nix-daemon-socket", ["nix-daemon-socket"])
    trusted_client = os.environ.get("AETHER_SIM_CLIENT", "root") == "root"
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        do, names, answer = request["do"], request["names"], {}
        try:
            if do == "have":
                answer = {"valid": [name for name in names if valid(name)]}
            elif do == "put":
                put(names, request["signatures"], sys.stdin.buffer, request["built"] and trusted_client)
            elif do == "sign" and not trusted_client:
                raise Refused("error: you are not privileged to add signatures")
            elif do == "sign":
                for name in names:
                    note(name, [request["by"]])
            elif missing := [name for name in names if not valid(name)]:
                raise Refused(f"error: path '{STORE}/{missing[0]}' is not valid")
            else:
                answer = {"signatures": {name: signatures(name) for name in names}}
        except Refused as refused:
            answer = {"error": str(refused)}
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        if do == "get" and "error" not in answer:
            import tarfile

            with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
                for name in names:
                    archive.add(f"{STORE}/{name}", name)
        sys.stdout.buffer.flush()
    return 0


# Home Manager


def home(reference):
    """The generation that a flake reference stands for, made when it is new."""
    import hashlib
    import tomllib
    from pathlib import Path

    flake, _, attribute = reference.partition("#")
    source, name = Path(flake.removeprefix("path:")), attribute.split('"')[1] if '"' in attribute else attribute
    if not (source / "flake.nix").exists():
        raise Refused(f"error: path '{source}' does not contain a 'flake.nix'")
    tables = [tomllib.loads(file.read_text()).get("hosts", {}) for file in (source / "inventory").glob("*.toml")]
    if name not in [host.get("home", {}).get("configuration") for table in tables for host in table.values()]:
        raise Refused(f"error: flake '{flake}' does not provide attribute 'homeConfigurations.\"{name}\".activationPackage'")
    digest = hashlib.sha256(name.encode())
    for file in sorted([source / "flake.nix", source / "flake.lock", *(source / "nix/home").rglob("*")]):
        if file.is_file():
            digest.update(file.relative_to(source).as_posix().encode() + file.read_bytes())
    path = Path.home() / ".local/state/aether-sim/store" / f"{digest.hexdigest()[:32]}-home-manager-generation"
    path.mkdir(parents=True, exist_ok=True)
    return str(path)


def nix(argv):
    found, words = options(argv, "--extra-experimental-features --option:2 --sigs-needed --inputs-from --flake -b")
    if words[:1] == ["path-info"] or words[:2] == ["store", "verify"]:
        path = words[-1]
        name = name_of(path)
        if not valid(name):
            raise Refused(f"error: path '{path}' is not valid")
        keys = set(found["--option"][1].split()) if "--option" in found else trusted()
        if words[0] == "store" and not keys & set(signatures(name)):
            raise Refused(f"error: path '{path}' is untrusted", 2)
        if words[0] == "path-info":
            known = {f"{STORE}/{name}": {"ca": None, "signatures": signatures(name)}}
            print(json.dumps(known) if "--json" in found else "\n".join(known))
    elif words[:1] == ["build"] and words[-1].endswith(".activationPackage"):
        print(home(words[-1]))
    elif words[:3] == ["run", "home-manager", "switch"]:
        new_generation(os.path.expanduser("~/.local/state/nix/profiles/home-manager"), home(argv[argv.index("--flake") + 1]))
    else:
        raise Refused(f"error: nix {' '.join(words[:2])}: not simulated on a host")
    return 0
