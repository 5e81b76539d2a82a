"""What a server at Hetzner Cloud is born with: the script that nix/images/hetzner.nix runs before sshd."""

import subprocess
from pathlib import Path

import pytest

from components.cloud.user_data import nixos
from inventory.keys import new_ssh_key

SCRIPT = Path(__file__).resolve().parents[2] / "nix/images/hetzner-host-key.sh"


def born(folder: Path, user_data: str) -> subprocess.CompletedProcess[str]:
    """Run the script against a metadata service of files."""
    (folder / "metadata").mkdir()
    (folder / "userdata").write_text(user_data)
    (folder / "metadata/public-keys").write_text('- "ssh-ed25519 AAAA owner"\n')
    environment = {
        "METADATA": f"file://{folder}",
        "ETC": str(folder / "etc"),
        "HOME_OF_ROOT": str(folder / "root"),
        "PATH": "/usr/bin:/bin",
    }
    return subprocess.run(["bash", SCRIPT], env=environment, text=True, capture_output=True, check=False, timeout=60)


def test_the_host_key_is_the_one_of_the_inventory(tmp_path: Path) -> None:
    private, public = new_ssh_key("outpost")
    done = born(tmp_path, nixos(private, public))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "etc/ssh_host_ed25519_key.pub").read_text().split()[:2] == public.split()[:2]
    assert (tmp_path / "etc/ssh_host_ed25519_key").stat().st_mode & 0o077 == 0
    assert (tmp_path / "root/.ssh/authorized_keys").read_text() == "ssh-ed25519 AAAA owner\n"


@pytest.mark.parametrize("text", ["", "#cloud-config\n"])
def test_other_user_data_makes_no_key(tmp_path: Path, text: str) -> None:
    done = born(tmp_path, text)
    assert done.returncode != 0 and "holds no SSH_HOST_ED25519_KEY" in done.stderr
    assert not (tmp_path / "etc/ssh_host_ed25519_key").exists()
