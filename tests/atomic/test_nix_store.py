"""The Nix store of an Atomic host: the image alone owns /nix, and what is in it outlives reboots, rebases and the way back."""

from tests.atomic.sysroot import Machine


def add(machine: Machine, name: str) -> str:
    """A path that Nix's daemon has put into the store."""
    machine.run("sh", "-c", f"echo {name} >/tmp/{name}")
    return machine.run("nix-store", "--option", "sandbox", "false", "--store", "daemon", "--add", f"/tmp/{name}").strip()


def holds(machine: Machine, path: str) -> bool:
    """Nix knows it, and it is there."""
    asked = machine.run("nix-store", "--store", "daemon", "--query", "--hash", path, check=False)
    return asked.startswith("sha256:") and machine.run("cat", path, check=False).strip() == path.rpartition("-")[2]


def test_what_nix_has_outlives_reboot_rebase_and_rollback(machine: Machine) -> None:
    machine.boot()
    assert (
        machine.run("systemctl", "is-active", "nix.mount", "nix-daemon.socket", "aether-nix-directory.service").split()
        == ["active"] * 3
    )
    first = add(machine, "first")
    assert holds(machine, first)
    machine.reboot()
    assert holds(machine, first)
    assert machine.active("nix-daemon.socket") == "active"

    machine.derive("two", "one", {"/usr/lib/two": "two\n"})
    machine.run("ostree", "admin", "deploy", "--stage", "two")
    machine.reboot()
    assert machine.run("cat", "/usr/lib/two") == "two\n"
    assert [image for _, image in machine.deployments()] == ["two", "one"]
    second = add(machine, "second")
    assert holds(machine, first)

    machine.shutdown()
    machine.boot(1)
    assert machine.run("ls", "/usr/lib/two", check=False) == ""
    assert holds(machine, first) and holds(machine, second)


def test_the_image_alone_owns_the_mount(machine: Machine) -> None:
    """A unit in /etc would go before it: what brings one is a second owner."""
    assert (
        machine.run("systemctl", "show", "--property=FragmentPath", "--value", "nix.mount").strip()
        == "/usr/lib/systemd/system/nix.mount"
    )
    source = machine.run("findmnt", "--noheadings", "--output=SOURCE", "/nix").strip()
    assert source.endswith("[/sysroot/ostree/deploy/fedora/var/lib/nix]"), "of the part that all deployments share"
    # Nothing else can make it: the root is not writable.
    assert machine.run("sh", "-c", "mkdir /nix2 2>&1 || true").strip().endswith("Operation not permitted")
