#!/usr/bin/env python3
# mypy: ignore-errors
"""syncthing of a simulated host, as far as it is configured: `generate`, `serve`, `--version`.

Imitates Syncthing 2: the default folder and its flag are gone; an identity that is there is kept, and one that is no
certificate is refused. `serve` reads its configuration and waits to be stopped; nothing is synced.
"""

import base64
import hashlib
import os
import signal
import ssl
import xml.etree.ElementTree as ET

from simlib import Refused, read, run, write

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
FLAGS = {
    "generate": {"home", "config", "data", "gui-user", "gui-password", "no-port-probing"},
    "serve": {"home", "config", "data", "no-browser", "no-restart", "no-port-probing", "no-upgrade", "gui-address", "logflags"},
}
CONFIG = """<configuration version="51">
    <device id="{ident}" name="{name}" compression="metadata"><address>dynamic</address></device>
    <gui enabled="true" tls="false"><address>127.0.0.1:8384</address><apikey>simulated</apikey></gui>
    <options><listenAddress>default</listenAddress><urAccepted>0</urAccepted></options>
</configuration>
"""
# A certificate of nobody, for who brings none.
OWN = "-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def check_digit(text):
    """Luhn mod 32, as device ids have it."""
    total = 0
    for i, digit in enumerate(text):
        product = DIGITS.index(digit) * (1 + i % 2)
        total += product // 32 + product % 32
    return DIGITS[-total % 32]


def device_id(certificate):
    """The id of a certificate (PEM)."""
    try:
        der = ssl.PEM_cert_to_DER_cert(certificate.strip())
    except ValueError as error:
        raise Refused(f"syncthing: error: failed to load certificate: {error}") from error
    digest = base64.b32encode(hashlib.sha256(der).digest()).decode().rstrip("=")
    whole = "".join(part + check_digit(part) for part in (digest[i : i + 13] for i in range(0, 52, 13)))
    return "-".join(whole[i : i + 7] for i in range(0, 56, 7))


def generate(home):
    """Make what is missing of certificate, key and configuration."""
    if not os.path.exists(f"{home}/cert.pem"):
        write(f"{home}/cert.pem", OWN.format(body=base64.b64encode(os.urandom(48)).decode()))
        write(f"{home}/key.pem", "simulated\n", 0o600)
    ident = device_id(read(f"{home}/cert.pem"))
    if not os.path.exists(f"{home}/config.xml"):
        write(f"{home}/config.xml", CONFIG.format(ident=ident, name=os.uname().nodename), 0o600)
    print(f"INF Device identity (device={ident})")


def serve(home):
    """Say who it is, and wait."""
    ident = device_id(read(f"{home}/cert.pem"))
    folders = ET.fromstring(read(f"{home}/config.xml")).findall("folder")
    print(f"INF My ID: {ident}; {len(folders)} folders", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


def main(argv):
    if "--version" in argv:
        print('syncthing v2.1.1 "Hafnium Hornet" (simulated)')
        return 0
    verb = argv[0] if argv else "serve"
    if verb not in FLAGS:
        raise Refused(f"syncthing: error: {verb}: not simulated", 80)
    given = dict(word.removeprefix("--").partition("=")[::2] for word in argv[1:])
    for flag in given:
        if flag not in FLAGS[verb]:
            raise Refused(f"syncthing: error: unknown flag --{flag}", 80)
    home = given.get("home") or os.path.expanduser("~/.local/state/syncthing")
    {"generate": generate, "serve": serve}[verb](home)
    return 0


if __name__ == "__main__":
    run(main)
