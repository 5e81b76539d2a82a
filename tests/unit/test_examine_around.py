"""`doctor`: this machine (versions, Nix, disk, names), and what each node says of itself over SSH."""

import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from inventory.load import Inventory, load
from ops import nodes, workplace
from ops.finding import Finding
from ops.stack import Stack

INVENTORY = load(Path("inventory/homelab.toml"))
WELL = {"time": "1000", "synchronized": "yes", "free": str(8 * 2**20), "mirror": "deb.debian.org", "resolves": "yes"}


def of_node(facts: Mapping[str, str], now: float = 1000.0, *, simulated: bool = False) -> list[Finding]:
    """What is wrong with a node that says FACTS of itself."""
    return [found for found in nodes.of_node("pve", {**WELL, **facts}, now, simulated=simulated) if found.fix]


def test_a_node_that_is_well() -> None:
    assert of_node({}) == []


@pytest.mark.parametrize(
    ("facts", "now", "name", "state", "fix"),
    [
        ({}, 1100.0, "clock of pve", "100 s behind this machine's", "chronyc makestep"),
        ({}, 900.0, "clock of pve", "100 s ahead of this machine's", "chronyc makestep"),
        ({"synchronized": "no"}, 1000.0, "clock of pve", "right now, and kept so by nobody", "on pve: apt install chrony"),
        ({"resolves": "no"}, 1000.0, "names on pve", "deb.debian.org is not found", "pvesh set /nodes/pve/dns"),
        ({"free": str(2**20)}, 1000.0, "disk of pve", "1 GiB free on /", "apt clean"),
    ],
)
def test_what_is_wrong_with_a_node_has_its_line(facts: dict[str, str], now: float, name: str, state: str, fix: str) -> None:
    (found,) = of_node(facts, now)
    assert found.name == name and found.state.startswith(state) and fix in found.fix


def test_a_simulated_node_has_the_names_of_its_machine() -> None:
    assert of_node({"resolves": "no"}, simulated=True) == []


def test_nodes_that_answer_and_one_that_does_not() -> None:
    def asks(name: str) -> "CompletedProcess[str]":
        if name == "niobe":
            return CompletedProcess([], 255, "", "ssh: connect to host 192.168.1.12 port 22: No route to host\n")
        return CompletedProcess([], 0, "time=1000\nsynchronized=\nfree=9000000\nmirror=\nresolves=no\n", "")

    found = list(nodes.examine(Stack("homelab"), INVENTORY, asks))
    assert [each.state for each in found if each.name.startswith("SSH")] == [
        "answers, with its pinned key",
        "ssh: connect to host 192.168.1.12 port 22: No route to host",
        "answers, with its pinned key",
    ]
    assert {each.name for each in found if each.fix} == {"SSH to niobe", "clock of oracle", "clock of trinity"}


def test_the_script_says_what_is_compared() -> None:
    said = subprocess.run(["bash", nodes.QUESTIONS], capture_output=True, text=True, check=True).stdout
    facts = dict(line.split("=", 1) for line in said.splitlines())
    assert set(facts) == set(WELL)
    assert facts["time"].isdigit() and int(facts["free"]) > 0 and facts["resolves"] in ("yes", "no")


@pytest.mark.parametrize(
    ("sources", "mirror"),
    [
        ("deb http://ftp.debian.org/debian trixie main\n", "ftp.debian.org"),
        ("# deb http://old.example.org/debian x\nTypes: deb\nURIs: https://deb.debian.org:443/debian\n", "deb.debian.org"),
        ("deb [signed-by=/a.gpg] https://mirror.example.org/pve trixie\n", "mirror.example.org"),
        ("", ""),
    ],
)
def test_the_mirror_is_found_in_both_kinds_of_sources(tmp_path: Path, sources: str, mirror: str) -> None:
    (tmp_path / "sources.list").write_text(sources)
    script = nodes.QUESTIONS.read_text().replace("/etc/apt", str(tmp_path))
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    assert f"mirror={mirror}\n" in said


def nix(folder: Path, version: str, config: str) -> str:
    """A program that answers as a Nix of VERSION would, with CONFIG as its configuration."""
    program = folder / "nix"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *--version*) echo "nix (Nix) {version}";; *"config show"*) {config};; *) exit 1;; esac\n'
    )
    program.chmod(0o755)
    return str(program)


SHOWS = """echo '{"system": {"value": "x86_64-linux"}}'"""


@pytest.mark.parametrize(
    ("version", "config", "state", "fix"),
    [
        ("2.26.3", SHOWS, "2.26.3, builds for x86_64-linux", ""),
        ("2.8.0", "exit 1", "2.8.0 does not know `nix config show`: too old, or broken", "https://nixos.org/download/"),
    ],
)
def test_nix_is_asked_what_it_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, config: str, state: str, fix: str
) -> None:
    program = nix(tmp_path, version, config)
    monkeypatch.setattr(Stack, "setting", lambda self, key: program if key == "nix" else None)
    found = next(workplace.nix(Stack("homelab"), INVENTORY))
    assert (found.state, found.fix) == (state, fix)


def test_without_nix_it_is_said_what_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stack, "setting", lambda self, key: "/nowhere/nix" if key == "nix" else None)
    (found,) = workplace.nix(Stack("homelab"), INVENTORY)
    assert "is not installed; " in found.state and "evaluated here" in found.state and "nixos.org" in found.fix


def test_a_machine_that_nobody_can_build_for_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = nix(tmp_path, "2.26.3", """echo '{"system": {"value": "aarch64-darwin"}}'""")
    monkeypatch.setattr(Stack, "setting", lambda self, key: program if key == "nix" else None)
    found = [each for each in workplace.nix(Stack("homelab"), INVENTORY) if each.fix]
    assert found and all(each.name == "builds" and 'build_on = "target"' in each.fix for each in found)


def test_a_disk_that_is_nearly_full_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = type("Usage", (), {"free": 2**30})
    monkeypatch.setattr("ops.workplace.shutil.disk_usage", lambda path: usage)
    (found,) = workplace.disks({"the Nix store": tmp_path})
    assert found.state == "1 GiB free" and "nix-collect-garbage" in found.fix
    assert list(workplace.disks({"the Nix store": tmp_path / "none"})) == []


@pytest.mark.parametrize(
    ("endpoint", "wrong"),
    [("https://192.168.1.11:8006/", None), ("", None), ("https://localhost:8006/", False), ("https://pve.invalid:8006/", True)],
)
def test_the_name_of_the_api_is_looked_up(endpoint: str, wrong: bool | None) -> None:
    found = list(workplace.names(endpoint))
    assert [bool(each.fix) for each in found] == ([] if wrong is None else [wrong])


@pytest.fixture
def resolver() -> Iterator[int]:
    """Port of a server that answers every question with its own header, as a resolver that refuses it does."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                question, who = server.recvfrom(512)
            except OSError:
                return
            server.sendto(question[:2] + b"\x81\x05" + question[4:], who)

    threading.Thread(target=answer, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


def with_nameservers(*addresses: str) -> Inventory:
    networks = {"lan": next(iter(INVENTORY.networks.values())).model_copy(update={"nameservers": addresses})}
    return type("Fleet", (), {"hosts": INVENTORY.hosts, "networks": networks, "path": INVENTORY.path})  # type: ignore[return-value]


def test_name_servers_are_asked_and_the_fleets_own_are_not(resolver: int) -> None:
    own = next(host.address for host in INVENTORY.hosts.values())
    (found,) = workplace.resolvers(with_nameservers("127.0.0.1", own), port=resolver)
    assert (found.name, found.state, found.fix) == ("name server 127.0.0.1", "answers", "")


def test_a_name_server_that_does_not_answer_is_told_with_who_is_given_it() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        (found,) = workplace.resolvers(with_nameservers("127.0.0.1"), timeout=0.2, port=silent.getsockname()[1])
    assert "guests of lan are given it" in found.state and "[networks.lan] nameservers" in found.fix
