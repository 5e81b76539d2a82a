"""What a repository has in secrets/, by sops."""

import re
import subprocess
from pathlib import Path

from tests.lab.container import Container
from tests.lab.disk import REPOSITORY, Base
from tests.lab.node import made_key, public

TOOLS = REPOSITORY / ".aether/engine/bin"


def encrypted(folder: Path, guests: dict[str, Container], base: Base) -> tuple[str, dict[str, str]]:
    """Writes what a repository has in secrets/ by sops: an SSH host key for each of GUESTS, which is pinned from now on, and the
    fleet's signing key. Returns the recipient, and the environment that sops opens them with.
    """
    (folder / "hosts").mkdir(parents=True)
    age = folder / "age.txt"
    subprocess.run([TOOLS / "age-keygen", "-o", age], check=True, capture_output=True)
    recipient = re.findall(r"public key: (\S+)", age.read_text())[0]
    for name, guest in guests.items():
        key = folder / f"key-{name}"
        made_key(key)
        guest.host_key = public(key)
        _encrypt(folder / "hosts" / f"{name}.yaml", "ssh_host_ed25519_key", key.read_text(), recipient)
    _encrypt(folder / "fleet.yaml", "nix-signing-key", base.signing_key.read_text(), recipient)
    return recipient, {"SOPS_AGE_KEY_FILE": str(age)}


def _encrypt(file: Path, name: str, value: str, recipient: str) -> None:
    plain = f"{name}: |\n" + "".join(f"  {line}\n" for line in value.splitlines())
    command = [str(TOOLS / "sops"), "encrypt", "--age", recipient, "--input-type", "yaml", "--output-type", "yaml", "/dev/stdin"]
    done = subprocess.run(command, cwd=file.parent, input=plain, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    file.write_text(done.stdout)
