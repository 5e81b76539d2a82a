# mypy: ignore-errors
"""Small programs of simulated hosts that keep a note of what was asked: containers, Flatpaks, accounts, keys, synced folders.

Imitates podman(1) 5.5 (container exists), toolbox(1) 0.1 and distrobox 1.8 (create): containers of a user exist, and none runs;
flatpak(1) 1.16 (remote-add, remote-list, install, list), of the system and of a user; smbpasswd(8) of Samba 4.20 (-s -a);
nvidia-ctk 1.17 (cdi generate); tailscale 1.84 (up, status --json); `wg show`; Syncthing 2 (generate, serve). Others only say
their version.
Refuses: names that are taken, a remote or an application that is not there, system changes by another user than root, an account
that passwd does not have, a network without its daemon or with a key that is none, an identity that is no certificate.
"""

import base64
import hashlib
import json
import os
import re
import sys

from simlib import Refused, load, need_root, options, read, save, write

APPLICATION = re.compile(r"^[A-Za-z][\w-]*(\.[\w-]+){2,}$")
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
CONFIG = """<configuration version="51">
    <device id="{}" name="{}" compression="metadata"><address>dynamic</address></device>
    <gui enabled="true" tls="false"><address>127.0.0.1:8384</address><apikey>simulated</apikey></gui>
    <options><listenAddress>default</listenAddress><urAccepted>0</urAccepted></options>
</configuration>
"""


def notes(path, **first):
    """What a program keeps in the user's home, and what writes it back."""
    path = os.path.expanduser(path)
    kept = json.loads(read(path) or json.dumps(first))
    return kept, lambda: write(path, json.dumps(kept))


def containers(argv):
    found, words = options(argv, "--name/-n --image/-i --volume")
    kept, keep = notes("~/.local/share/containers/sim.json")
    name = (found.get("--name") or words or [""])[-1]
    if words[:2] == ["container", "exists"]:
        return int(name not in kept)
    if words[:1] != ["create"]:
        raise Refused(f"Error: {' '.join(words[:1])}: not simulated", 125)
    if name in kept:
        raise Refused(f"Error: container {name} already exists")
    kept[name] = found.get("--image", [""])[-1]
    keep()
    return 0


def flatpak(argv):
    found, (verb, *words) = options(argv)[0], options(argv)[1] or [""]
    user = "--user" in found
    kept, keep = notes("~/.local/share/flatpak/sim.json" if user else "/var/lib/aether-sim/flatpak.json", remotes={}, apps={})
    if verb == "remote-list":
        print("\n".join(f"{name}\t{'user' if user else 'system'}" for name in sorted(kept["remotes"])))
        return 0
    if verb == "list":
        sys.stdout.write("".join(f"{name}\n" for name in sorted(kept["apps"])))
        return 0
    if not user:
        need_root("error: Flatpak system operation not allowed for user")
    if verb == "remote-add":
        if words[0] in kept["remotes"] and "--if-not-exists" not in found:
            raise Refused(f"error: Remote {words[0]} already exists")
        kept["remotes"].setdefault(*words[:2])
    elif verb == "install":
        remote, *names = words
        if remote not in kept["remotes"]:
            raise Refused(f'error: Remote "{remote}" not found in the {"user" if user else "system"} installation')
        if unknown := [name for name in names if not APPLICATION.match(name)]:
            raise Refused(f"error: Nothing matches {unknown[0]} in remote {remote}")
        kept["apps"] |= dict.fromkeys(names, remote)
    else:
        raise Refused(f"error: flatpak {verb}: not simulated")
    keep()
    return 0


def smbpasswd(argv):
    import pwd

    need_root("smbpasswd: must be run as root")
    try:
        pwd.getpwnam(argv[-1])
    except KeyError:
        raise Refused(f"Failed to add entry for user {argv[-1]}.") from None
    lines = sys.stdin.read().splitlines()
    if len(lines) < 2 or lines[0] != lines[1]:
        raise Refused("Mismatch - password unchanged.\nUnable to get new password.")
    save("samba", {**load("samba", {}), argv[-1]: hashlib.sha256(lines[0].encode()).hexdigest()})
    return 0


def nvidia_ctk(argv):
    found, words = options(argv, "--output")
    if words != ["cdi", "generate"] or "--output" not in found:
        return version(argv)
    need_root("ERRO[0000] failed to save CDI spec: permission denied")
    write(found["--output"][0], 'cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n  - name: "0"\n  - name: all\n')
    return 0


def tailscale(argv):
    import subprocess

    if subprocess.run(["systemctl", "is-active", "--quiet", "tailscaled.service"]).returncode:
        raise Refused(
            "failed to connect to local tailscaled; it doesn't appear to be running (sudo systemctl start tailscaled ?)"
        )
    found, words = options(argv, "--auth-key")
    if words == ["status"]:
        print(json.dumps({"BackendState": "Running" if load("tailscale", None) else "NeedsLogin"}))
        return 0
    need_root("Access denied: prefs write access denied")
    if words != ["up"]:
        return version(argv)
    if not re.match("tskey-|file:", found.get("--auth-key", [""])[-1]):
        raise Refused("backend error: invalid key: unable to validate API key")
    save("tailscale", argv)
    return 0


def wg(argv):
    if argv != ["show"]:
        return version(argv)
    for name in sorted(os.listdir("/etc/wireguard")):
        if name.endswith(".conf"):
            print(f"interface: {name.removesuffix('.conf')}")
    return 0


def device_id(certificate):
    """The id of a certificate (PEM), with check digits by Luhn mod 32."""
    import ssl

    try:
        der = ssl.PEM_cert_to_DER_cert(certificate.strip())
    except ValueError as error:
        raise Refused(f"syncthing: error: failed to load certificate: {error}") from error
    digest, whole = base64.b32encode(hashlib.sha256(der).digest()).decode(), ""
    for part in (digest[i : i + 13] for i in range(0, 52, 13)):
        products = [DIGITS.index(digit) * (1 + i % 2) for i, digit in enumerate(part)]
        whole += part + DIGITS[-sum(each // 32 + each % 32 for each in products) % 32]
    return "-".join(whole[i : i + 7] for i in range(0, 56, 7))


def syncthing(argv):
    found, words = options(argv, "--home --logflags")
    if not words or "--home" not in found:
        return version(argv)
    home = found["--home"][0]
    print(f"INF My ID: {device_id(read(f'{home}/cert.pem'))}", flush=True)
    if words == ["generate"]:
        write(f"{home}/config.xml", CONFIG.format(device_id(read(f"{home}/cert.pem")), os.uname().nodename), 0o600)
        return 0
    import signal

    read(f"{home}/config.xml") or sys.exit("syncthing: error: no configuration")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return 0


def version(argv):
    """A program of a package that is there but does nothing here."""
    name = os.path.basename(sys.argv[0])
    if argv[:1] not in (["--version"], ["version"]):
        raise Refused(f"{name} {' '.join(argv)}: not simulated")
    print(f"{name} 1.0 (simulated)")
    return 0
