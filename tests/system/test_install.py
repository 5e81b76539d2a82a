"""`./aether install` of a guest in place: real SSH to a simulated machine and its node; nixos-anywhere is a fake."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.checkout import Checkout
from tests.system.small import running, small_checkout

pytestmark = pytest.mark.in_order("one machine, which is looked at, refused, and then installed")

# nix on the operator's machine: what the host's flake output says, and nixos-anywhere. Everything else is the simulator's.
NIX = r"""#!/bin/bash
set -eu
case " $* " in
  *' eval '*'--apply'*)
    case $* in
      *derivations*) printf '%s' '@facts@'; exit ;;
      *toString*) printf '""'; exit ;;
    esac
    ;;
  *' build '*diskoScript*) echo /nix/store/0000-disko; exit ;;
  *' build '*'.config.system.build.toplevel'*'--print-out-paths'* | *' build '*'--print-out-paths'*toplevel*)
    if [ -e '@real@' ]; then echo /nix/store/0000-nixos-system-web; exit; fi
    ;;
  *' copy '*'ssh://'*)
    # As Nix does: ssh with these options, and no question whom it reaches.
    all=$*; to=${all##*ssh://}; to=${to%%[?]*}
    # shellcheck disable=SC2086
    exec ssh $NIX_SSHOPTS "$to" "echo copy >>/root/steps"
    ;;
  *' run '*'nixpkgs#nixos-anywhere'*)
    while [ "$1" != -- ]; do shift; done
    shift
    if [ -e '@real@' ]; then PATH='@tools@':$PATH exec bash '@real@' "$@"; fi
    exec '@anywhere@' "$@"
    ;;
esac
exec '@nix@' "$@"
"""
# As the real one it asks for no host key, speaks to the machine by `ssh`, and unpacks the extra files over that.
ANYWHERE = r"""#!/bin/bash
set -euo pipefail
phases='' target='' port='' files=''
while (($#)); do
  case $1 in
    --phases) phases=$2 ;;
    --target-host) target=$2 ;;
    --ssh-port) port=$2 ;;
    --extra-files) files=$2 ;;
  esac
  shift
done
remote() { ssh -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -i '@key@' -p "$port" "$target" "$@"; }
echo "### $phases ###"
if [ "$phases" = kexec ]; then
  remote 'echo kexec >>/root/steps'
  exit
fi
remote 'echo disko >>/root/steps; mkdir -p /root/mnt'
tar -C "$files" -cpf- . | remote 'tar -C /root/mnt -xf- --no-same-owner'
if [ -e '@hang@' ]; then echo 'Installing NixOS'; sleep 60; fi
remote 'echo install >>/root/steps'
"""
LSBLK = """#!/bin/sh
echo '{"blockdevices":[{"name":"sda","path":"/dev/null","type":"disk","size":8589934592,"serial":"drive-scsi0","model":"QEMU",
"ro":false,"fstype":null,"label":null,"mountpoint":null,"children":[
{"name":"sda1","type":"part","fstype":"ext4","label":null,"mountpoint":null}]}]}'
"""
FACTS = {
    "disks": {"system": "/dev/null"}, "platform": "x86_64-linux", "efi": False, "encrypted": False, "store": "",
    "hostKey": "/etc/ssh/ssh_host_ed25519_key", "derivations": [],
}  # fmt: skip


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    for checkout in running(small_checkout(tmp_path_factory.mktemp("install") / "a folder")):
        settings = checkout.path / ".aether/sim/Pulumi.sim.yaml"
        found = re.search(r"^  aether:nix: (.*)$", settings.read_text(), re.MULTILINE)
        key = re.search(r"^  aether:operatorKeyFile: (.*)$", settings.read_text(), re.MULTILINE)
        assert found is not None and key is not None, settings.read_text()
        tools = checkout.path / ".aether/tools"
        tools.mkdir()
        words = {
            "facts": json.dumps(FACTS), "anywhere": str(tools / "anywhere"),
            "nix": found[1].strip("'\""), "hang": str(tools / "hang"),
            "key": str(checkout.path / key[1].strip("'\"")), "real": str(tools / "nixos-anywhere.sh"), "tools": str(tools),
        }  # fmt: skip
        for name, text in (("nix", NIX), ("anywhere", ANYWHERE)):
            filled = text
            for word, value in words.items():
                filled = filled.replace(f"@{word}@", value)
            (tools / name).write_text(filled)
            (tools / name).chmod(0o755)
        settings.write_text(settings.read_text().replace(found[0], f"  aether:nix: '{tools / 'nix'}'"))
        written = checkout.run(
            "ssh", "-F", ".aether/ssh/sim/config", "web",
            f"at=${{PATH%%:*}}; mkdir -p $at; cat >$at/lsblk <<'E'\n{LSBLK}E\nchmod +x $at/lsblk && lsblk",
        )  # fmt: skip
        assert written.code == 0, written.text
        yield checkout


def port(checkout: Checkout) -> str:
    return str(re.findall(r"^port (\d+)", checkout.run("ssh", "-F", ".aether/ssh/sim/config", "-G", "web").text, re.MULTILINE)[0])


def backups(checkout: Checkout) -> str:
    return checkout.ssh("pve1", "ls /var/lib/vz/dump | grep zst$ || true").text


def steps(checkout: Checkout) -> list[str]:
    return checkout.ssh("web", "cat /root/steps 2>/dev/null || true").text.split()


def keys_left() -> list[Path]:
    return list(Path("/dev/shm").glob("aether-install-*/files"))


def test_looking_shows_the_disks_and_changes_nothing(fleet: Checkout) -> None:
    looked = fleet.ops("install", "web", "--look")
    assert looked.code == 0, looked.text
    assert "/dev/null  9 GB  QEMU  serial drive-scsi0  (sda1 ext4)  <- ERASED (system)" in looked.text, looked.text
    assert backups(fleet) == "" and steps(fleet) == []


def test_without_the_name_nothing_is_touched(fleet: Checkout) -> None:
    refused = fleet.ops("install", "web")
    assert refused.code == 1
    assert "there is no terminal to ask at. Fix, if it is meant: --yes-erase web" in refused.text, refused.text
    assert fleet.ops("install", "dns").code == 1, "a container"
    assert backups(fleet) == "" and steps(fleet) == []


def test_another_machine_of_the_inventory_at_the_address_is_refused(fleet: Checkout) -> None:
    log = fleet.run("ssh", "-F", ".aether/ssh/sim/config", "-G", "log").text
    (address,) = re.findall(r"^hostname (.*)$", log, re.MULTILINE)
    refused = fleet.ops("install", "web", "--address", address, "--yes-erase", "web")
    assert refused.code == 1 and "the machine there is log" in refused.text, refused.text
    assert steps(fleet) == []


def test_ctrl_c_leaves_no_key_behind(fleet: Checkout) -> None:
    hang = fleet.path / ".aether/tools/hang"
    hang.touch()
    process = fleet.start(
        fleet.python, "-m", "ops", "--stack", "sim", "install", "web", "--yes-erase", "web", "--installer-port", port(fleet)
    )
    try:
        assert process.stdout is not None
        said = ""
        deadline = time.monotonic() + 120
        while "Installing NixOS" not in said:
            said += process.stdout.readline()
            assert time.monotonic() < deadline and process.poll() is None, said
        assert len(keys_left()) == 1
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
        hang.unlink()
    assert keys_left() == []
    assert "install" not in steps(fleet)


def test_it_is_backed_up_installed_with_its_own_key_and_answers(fleet: Checkout) -> None:
    before = len(backups(fleet).split())
    assert fleet.ssh("web", "rm -rf /root/steps /root/mnt").code == 0
    done = fleet.ops("install", "web", "--yes-erase", "web", "--installer-port", port(fleet))
    assert done.code == 0, done.text
    said = [
        done.text.index(word)
        for word in ("final backup to", "### kexec ###", "### disko,install,reboot ###", "answers with its own key")
    ]
    assert said == sorted(said), done.text
    assert len(backups(fleet).split()) == before + 1
    assert steps(fleet) == ["kexec", "disko", "install"]
    assert fleet.ssh("web", "stat -c %a /root/mnt/etc/ssh /root/mnt/etc/ssh/ssh_host_ed25519_key").text.split() == ["755", "600"]
    assert fleet.ssh("web", "cmp /root/mnt/etc/ssh/ssh_host_ed25519_key /etc/ssh/ssh_host_ed25519_key").code == 0
    assert keys_left() == []


def test_a_stranger_at_the_address_gets_nothing(fleet: Checkout) -> None:
    fleet.fault("web", "key-mismatch")
    try:
        refused = fleet.ops("install", "web", "--yes-erase", "web")
    finally:
        fleet.fault("web", "key-mismatch", off=True)
    assert refused.code == 1
    assert "There is no terminal to ask at. Fix, where it is the same: --host-key 'ssh-ed25519 " in refused.text, refused.text


# What a machine that has booted the installer has, and a simulated one has not.
INSTALLER = """\
at=${PATH%%:*}
cp /etc/os-release /root/os-release; echo VARIANT_ID=installer >>/etc/os-release
mkdir -p /mnt /nix/store
for name in cpio nixos-install; do printf '#!/bin/sh\\necho %s >>/root/steps\\n' $name >$at/$name; chmod +x $at/$name; done
printf '#!/bin/sh\\necho disko >>/root/steps\\n' >/nix/store/0000-disko; chmod +x /nix/store/0000-disko
rm -f /root/steps; rm -rf /mnt/etc
"""


def test_nixos_anywhere_itself_goes_through_with_one_trusted_key(fleet: Checkout, tmp_path: Path) -> None:
    """Its own script, where somebody has it, on a machine that is an installer already: nothing of it is replaced but Nix."""
    script = os.environ.get("AETHER_NIXOS_ANYWHERE")
    if not script:
        pytest.skip("set AETHER_NIXOS_ANYWHERE to src/nixos-anywhere.sh of nixos-anywhere")
    tools = fleet.path / ".aether/tools"
    for name in ("nixos-anywhere.sh", "get-facts.sh"):
        (tools / name).write_bytes((Path(script).parent / name).read_bytes())
    fleet.environment["HOME"] = str(tmp_path)
    assert fleet.ssh("web", INSTALLER).code == 0
    boot = fleet.ssh("web", "cat /proc/sys/kernel/random/boot_id").text
    # It waits until the machine is away; a simulated boot would be over before it looked.
    fleet.fault("web", "boot-slow=12")
    try:
        done = fleet.ops("install", "web", "--yes-erase", "web")
    finally:
        fleet.fault("web", "boot-slow", off=True)
        (tools / "nixos-anywhere.sh").unlink()
        del fleet.environment["HOME"]
    assert done.code == 0, done.text
    assert "### Formatting hard drive with disko ###" in done.text and "### Done! ###" in done.text, done.text
    assert steps(fleet) == ["copy", "disko", "copy", "nixos-install"], done.text
    assert fleet.ssh("web", "stat -c %a /mnt /mnt/etc/ssh /mnt/etc/ssh/ssh_host_ed25519_key").text.split() == [
        "755",
        "755",
        "600",
    ]
    assert fleet.ssh("web", "cat /proc/sys/kernel/random/boot_id").text != boot
    assert keys_left() == []
    assert fleet.ssh("web", "mv /root/os-release /etc/os-release").code == 0
