"""The tour: what Aether does, command by command, on a small fleet in the simulator, and docs/tour.md that it writes.

A step's commands are typed as the page shows them. Of what they print the page has the lines that a step names, in their order:
all of it would be another page each time, for hosts work side by side.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from bench.fleet import public_key
from inventory.files import REPOSITORY
from tests.system.checkout import Checkout, Result, kill_group, wait_until
from tests.system.small import atomic, small_checkout

PAGE = REPOSITORY / "docs/tour.md"
FIRST, SECOND = (f"sha256:{digit * 64}" for digit in "12")
_STATION = atomic(
    "station", 20, 'image = "ghcr.io/ublue-os/bazzite"', f'digest = "{FIRST}"', 'health = [{ unit = "sshd.service" }]'
)
_MORE = f"""\
{_STATION}
[hosts.files]
kind = "ansible"
os = "debian"
address = "192.168.10.21"
playbook = "files.yml"
host_key = "{public_key("files")}"
"""
_SSH = "ssh -F .aether/ssh/sim/config -n"
_PLAY = """\
- name: Files
  hosts: all
  gather_facts: false
  tasks:
    - name: Message of the day
      ansible.builtin.copy:
        content: "Files of the house\\n"
        dest: /etc/motd
        mode: "0644"
"""


_HEAD = """\
# A tour

Ten things, each by a command, on a fleet of two Proxmox nodes, three NixOS guests, a Fedora Atomic host and a Debian host that
stays on Ansible. `tests/system/test_tour.py` types these commands in [the simulator](simulator.md) and compares what they print
with this page. Of what a command prints the page has the lines that say it, and dots for the others."""


@dataclass(frozen=True)
class Command:
    """A line as it is typed, and patterns of the lines of its output that the page shows."""

    line: str
    shows: tuple[str, ...] = ()
    code: int = 0
    beside: Literal["", "at work", "killed"] = ""
    """What another operator does meanwhile: is at work, or was killed at it."""


@dataclass(frozen=True)
class Step:
    """A section of the page."""

    title: str
    text: str
    commands: tuple[Command, ...]


STEPS = (
    Step(
        "From nothing to configured, in one graph",
        """Guests are made, get their own SSH host key through their node, are given their system, tried and confirmed. The Atomic
host is rebased and the Ansible host converged by the same command.""",
        (
            Command(
                "./aether up",
                (
                    r"\+ VmLegacy web created",
                    r"web: gives it its SSH host key through pve1",
                    r"web: answers with its own key",
                    r"web: activates .* for a trial",
                    r"web: committed as generation 2",
                    r"\+ \d+ created",
                ),
            ),
        ),
    ),
    Step(
        "A mixed fleet",
        "NixOS in virtual machines and containers, Fedora Atomic, Debian on Ansible, and the nodes that they stand on.",
        (Command("./aether status", (r"host +kind", r"pve1 ", r"web ", r"dns ", r"log ", r"station ", r"files ")),),
    ),
    Step(
        "Commands that mean what they say",
        """Again is nothing. `preview` changes nothing, `--help` runs nothing, and a word that nobody knows is refused before
anything is touched.""",
        (
            Command("./aether up", (r"\d+ unchanged",)),
            Command("./aether drift --help", (r"Hosts whose running system",)),
            Command("./aether reboot wep", (r"'wep' is no NixOS or Fedora Atomic host",), code=1),
        ),
    ),
    Step(
        "What changes inside, before it does",
        """A system and a playbook change. The preview names both hosts and what changes in them. Without Nix, as here, that is
the files that a system is made of; with Nix it is packages with their versions, units, files, ports and users.""",
        (
            Command("sed -i 's/{ }/{ networking.firewall.enable = true; }/' nix/hosts/pve1/web.nix"),
            Command("sed -i 's/of the house/of the whole house/' ansible/files.yml"),
            Command(
                "./aether preview",
                (
                    r"~ sources: ansible/files.yml|\+ sources: ansible/files.yml",
                    r"\+ sources: nix/hosts/pve1/web.nix",
                    r"~ 2 to update",
                    r"files:",
                    r"~ sources: ansible/files.yml",
                    r"web:",
                    r"~ sources: nix/hosts/pve1/web.nix",
                ),
            ),
        ),
    ),
    Step(
        "Back by itself when it is not healthy",
        """The simulator breaks web's new system and station's next image. Each host goes back by itself, what depends on neither
is done, and the end says which is which. Mended, the same command goes on from there.""",
        (
            Command("./aether sim fault web health", (r"health is on",)),
            Command(f"sed -i 's/{FIRST}/{SECOND}/' inventory/homelab.toml"),
            Command("./aether sim fault station greenboot-red", (r"greenboot-red is on",)),
            Command(
                "./aether up",
                (
                    r"did not finish",
                    r"station: greenboot found the new deployment red and rolled back|web: not healthy after activation",
                    r"Done: ",
                    r"Not done: ",
                ),
                code=1,
            ),
            Command("./aether sim fault --clear", (r"all faults are off",)),
            Command("./aether up", (r"web: committed as generation 3", r"~ \d+ updated")),
        ),
    ),
    Step(
        "Back over a bad reboot",
        "A new system that does not come up is left by the boot loader, and the profile follows it.",
        (
            Command("./aether sim fault web no-boot", (r"no-boot is on",)),
            Command("echo '# another kernel' >> nix/hosts/pve1/web.nix"),
            Command("./aether up", (r"web: committed as generation 4",)),
            Command("./aether reboot web", (r"web: reboots", r"the boot loader fell back"), code=35),
            Command("./aether sim fault --clear", (r"all faults are off",)),
            Command("./aether up --config aether:detectDrift=true", (r"web: committed as generation",)),
        ),
    ),
    Step(
        "Somebody changed it by hand",
        "On dns the system before was switched to, on station a package was layered over the image.",
        (
            Command(f"{_SSH} dns nix-env -p /nix/var/nix/profiles/system --rollback"),
            Command(f"{_SSH} dns /nix/var/nix/profiles/system/bin/switch-to-configuration switch"),
            Command(f"{_SSH} station rpm-ostree install htop"),
            Command("./aether sim power station reboot"),
            Command("./aether drift", (r"dns: runs", r"station: has htop layered", r"Repair:"), code=1),
            Command("./aether drift --fix", (r"dns: committed as generation",)),
        ),
    ),
    Step(
        "A canary for every kind",
        "dns goes before every other NixOS host. It fails, and the others were never touched.",
        (
            Command('printf \'[rollout]\\nstrategy = "canary"\\ncanary = ["dns"]\\n\' >> inventory/homelab.toml'),
            Command("for host in pve1/web pve1/dns pve2/log; do echo '# next' >> nix/hosts/$host.nix; done"),
            Command("./aether sim fault dns health", (r"health is on",)),
            Command("./aether up", (r"dns: not healthy", r"Not done: dns"), code=1),
            Command("./aether sim fault --clear", (r"all faults are off",)),
            Command("./aether up", (r"dns: committed as generation", r"~ \d+ updated")),
        ),
    ),
    Step(
        "Two operators",
        "Another operator is at work. He is named; when his machine dies, his lock is seen to be nobody's, and taken over.",
        (
            Command("./aether up", (r"is at work from", r"Nothing was changed\. Wait for it"), code=1, beside="at work"),
            Command("./aether up", (r"\d+ unchanged|\d+ updated",), beside="killed"),
        ),
    ),
    Step(
        "Keys pinned from birth",
        "A machine that answers at web's address with another key is told nothing.",
        (
            Command("echo '# one more' >> nix/hosts/pve1/web.nix"),
            Command("./aether sim fault web key-mismatch", (r"key-mismatch is on",)),
            Command("./aether up", (r"web: .*key", r"Not done: web"), code=1),
            Command("./aether sim fault --clear", (r"all faults are off",)),
            Command("./aether up", (r"web: committed as generation",)),
        ),
    ),
)


def make(path: Path) -> Checkout:
    """The tour's fleet, not deployed: the small one with checks of health that have to go on holding, and two hosts more."""
    checkout = small_checkout(path, _MORE, {"ansible/files.yml": _PLAY})
    inventory = path / "inventory/homelab.toml"
    text = inventory.read_text().replace("settle = 0", "settle = 2")
    for name in ("web", "dns"):
        text = text.replace(f'description = "{name}"\n', f'description = "{name}"\nhealth = [{{ unit = "{name}.service" }}]\n')
    inventory.write_text(text)
    return checkout


def walk(checkout: Checkout) -> Iterator[str]:
    """The page's text, line by line, as the commands are run. Raises AssertionError with what a command printed."""
    yield from _HEAD.splitlines()
    for number, step in enumerate(STEPS, 1):
        yield from ("", f"## {number}. {step.title}", "", *step.text.splitlines(), "", "```console")
        for command in step.commands:
            yield f"$ {command.line}"
            with _beside(checkout, command.beside):
                result = checkout.run("bash", "-c", command.line, timeout=600)
            assert result.code == command.code, f"{command.line}: {result.code}\n{result.text}"
            yield from _shown(command, result)
        yield "```"


def _shown(command: Command, result: Result) -> Iterator[str]:
    """The lines of RESULT that COMMAND names, dots where there are others, and the exit code where it is not 0."""
    lines = result.text.splitlines()
    at = 0
    for pattern in command.shows:
        found = next((number for number in range(at, len(lines)) if re.search(pattern, lines[number])), None)
        assert found is not None, f"{command.line}: no line with {pattern!r} after line {at}\n{result.text}"
        yield _timeless(lines[found])
        at = found + 1
    if command.shows and len(lines) > len(command.shows):
        yield "…"
    if command.code:
        yield f"[exit code {command.code}]"


def _timeless(line: str) -> str:
    """LINE without what is another one each time."""
    if listed := re.fullmatch(r"(Done: |Not done: )([\w, -]+?)((?:, and what depends on it)?\.)", line):
        # In the order in which they ended.
        line = f"{listed[1]}{', '.join(sorted(listed[2].split(', ')))}{listed[3]}"
    line = re.sub(r"/nix/store/[0-9a-z]{32}-([\w-]+)-25\.05(\.[0-9a-f]{7})?", r"/nix/store/…-\1", line)
    line = re.sub(r"127\.\d+\.", "127.N.", line)
    line = re.sub(r"sha256:([0-9a-f]{6})[0-9a-f]{6,}", r"sha256:\1…", line)
    line = re.sub(r"(: )[0-9a-f]{12}$", r"\1…", line)
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "…", line)
    line = re.sub(r"\d+ min ago", "just now", line)
    line = re.sub(r"\(\d+m?\d*\.?\d*m?s\)", "(…)", line)
    line = re.sub(r"\S+ is at work from \S+ \(process \d+\).*", "owner is at work from desk (process 4711), since …", line)
    return line.rstrip()


@contextmanager
def _beside(checkout: Checkout, what: Literal["", "at work", "killed"]) -> Iterator[None]:
    """Another operator's `up`, which waits for a host that does not answer, at work or killed when this is entered."""
    if not what:
        yield
        return
    path = checkout.path / "ansible/files.yml"
    path.write_text(path.read_text() + f"# {what}\n")
    checkout.fault("files", "unreachable")
    locks = checkout.path / ".aether/state/.pulumi/locks"
    process = checkout.start("./aether", "up")
    try:
        wait_until("the other operator is at work", lambda: any(locks.rglob("*.json")), 120)
        if what == "killed":
            kill_group(process)
            checkout.clear_faults()
        yield
    finally:
        checkout.clear_faults()
        if what == "at work":
            process.communicate(timeout=300)


def main() -> None:
    """Write the page."""
    with TemporaryDirectory() as folder:
        checkout = make(Path(folder) / "tour")
        try:
            lines = []
            for line in walk(checkout):
                print(line, flush=True)
                lines.append(line)
        finally:
            checkout.close()
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
