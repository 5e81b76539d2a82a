# mypy: ignore-errors
"""Home Manager on a simulated host: `nix build …#….activationPackage` and `nix run … home-manager -- switch`.

Imitates what `home-manager switch` leaves behind (home-manager's modules/lib-bash/activation-init.sh): a generation named by
the hash of what it is made of, and the numbered links of the profile below ~/.local/state/nix/profiles. Refuses a flake that
is not there and a configuration that no host of the inventory names. There is no daemon: generations are kept in the user's
state directory.
"""

import hashlib
import os
import re
import tomllib
from pathlib import Path

from simlib import Refused

STATE = Path(os.path.expanduser("~/.local/state"))
PROFILES = STATE / "nix/profiles"


def output_path(reference):
    """The generation that a flake reference stands for, made when it is new."""
    flake, _, attribute = reference.partition("#")
    source = Path(flake.removeprefix("path:"))
    if not (source / "flake.nix").exists():
        raise Refused(f"error: path '{source}' does not contain a 'flake.nix'")
    quoted = re.search(r'"([^"]+)"', attribute)
    name = quoted[1] if quoted else attribute
    files = sorted((source / "inventory").glob("*.toml"))
    hosts = [host for file in files for host in tomllib.loads(file.read_text()).get("hosts", {}).values()]
    if name not in [host.get("home", {}).get("configuration") for host in hosts]:
        raise Refused(f"error: flake '{flake}' does not provide attribute 'homeConfigurations.\"{name}\".activationPackage'")
    digest = hashlib.sha256(name.encode())
    for file in sorted([source / "flake.nix", source / "flake.lock", *(source / "nix/home").rglob("*")]):
        if file.is_file():
            digest.update(file.relative_to(source).as_posix().encode() + file.read_bytes())
    path = STATE / "aether-sim/store" / f"{digest.hexdigest()[:32]}-home-manager-generation"
    path.mkdir(parents=True, exist_ok=True)
    return path


def switch(words):
    """home-manager switch --flake REFERENCE: a new generation of the profile, unless it is the active one."""
    if words[:1] != ["switch"] or "--flake" not in words:
        raise Refused(f"home-manager {' '.join(words)}: only switch --flake is simulated")
    path = output_path(words[words.index("--flake") + 1])
    profile = PROFILES / "home-manager"
    if profile.exists() and profile.resolve() == path:
        return 0
    PROFILES.mkdir(parents=True, exist_ok=True)
    numbers = [int(link.name.split("-")[2]) for link in PROFILES.glob("home-manager-*-link")]
    link = PROFILES / f"home-manager-{max(numbers, default=0) + 1}-link"
    link.symlink_to(path)
    profile.unlink(missing_ok=True)
    profile.symlink_to(link.name)
    print(f"Activating {path.name}")
    return 0
