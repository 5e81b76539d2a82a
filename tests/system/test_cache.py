"""The fleet's binary cache in the graph: closures go to it, hosts take theirs from it, and a change of it changes no host."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.checkout import Checkout, wait_until
from tests.system.small import running, small_checkout


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the address that serves it."""
    folder = tmp_path_factory.mktemp("cache") / "cache"
    folder.mkdir()
    log = folder.parent / "log"
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    with log.open("wb") as said:
        server = subprocess.Popen(command, stdout=said, stderr=said)
    wait_until("it serves", lambda: " port " in log.read_text())
    yield folder, f"http://127.0.0.1:{log.read_text().split(' port ')[1].split()[0]}"
    server.kill()
    server.wait()


@pytest.fixture(scope="module")
def fleet(served: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The small fleet; log is sent its system by the operator, the others take theirs from the cache."""
    folder, url = served
    checkout = small_checkout(tmp_path_factory.mktemp("cached"), f'[cache]\npush = "file://{folder}"\npull = "{url}"\n')
    checkout.replace("inventory/homelab.toml", 'description = "log"\n', 'description = "log"\npulls = false\n')
    yield from running(checkout)


def test_hosts_take_their_systems_from_the_cache_and_who_does_not_is_sent_it(fleet: Checkout, served: tuple[Path, str]) -> None:
    log = (served[0].parent / "log").read_text()
    for host in ("web", "dns"):
        name = Path(fleet.system(host)).name
        assert f"GET /{name[:32]}.narinfo" in log
        assert f"StorePath: /nix/store/{name}\n" in (served[0] / f"{name[:32]}.narinfo").read_text()
    assert not (served[0] / f"{Path(fleet.system('log')).name[:32]}.narinfo").exists()


def test_another_cache_and_other_builders_are_no_change_of_a_host(fleet: Checkout) -> None:
    text = (fleet.path / "inventory/homelab.toml").read_text()
    fleet.replace("inventory/homelab.toml", "[cache]\n", '[builders.web]\nfeatures = ["kvm"]\njobs = 2\n\n[cache]\n')
    fleet.replace("inventory/homelab.toml", 'push = "file://', 'push = "file:///')
    again = fleet.up()
    assert again.code == 0 and set(again.changes()) == {"unchanged"}, again.text
    (fleet.path / "inventory/homelab.toml").write_text(text)


@pytest.mark.fault
def test_a_cache_that_does_not_answer_leaves_the_host_as_it_is(fleet: Checkout) -> None:
    before = fleet.system("web")
    text = (fleet.path / "inventory/homelab.toml").read_text()
    url = text.split('pull = "')[1].split('"')[0]
    fleet.replace("inventory/homelab.toml", url, "http://127.0.0.1:9")
    fleet.touch("web", "one")
    up = fleet.up()
    assert up.code != 0 and "could not take" in up.text and "pulls = false" in up.text, up.text
    assert fleet.system("web") == before
    (fleet.path / "inventory/homelab.toml").write_text(text)
    assert fleet.up().code == 0 and fleet.system("web") != before


def test_what_nobody_signed_is_not_taken(fleet: Checkout, served: tuple[Path, str]) -> None:
    """By the simulated nix-store, as the real one: tests/lab/test_cache.py has the same."""
    name = Path(fleet.system("log")).name
    (served[0] / f"{name[:32]}.narinfo").write_text(f"StorePath: /nix/store/{name}\nURL: nar/x.nar\nSig: stranger:AAAA\n")
    asked = fleet.ssh("web", f"nix-store --realise /nix/store/{name} --option extra-substituters {served[1]}")
    assert (
        asked.code == 1 and "not signed by any of the keys" in asked.text and "don't know how to build these paths" in asked.text
    ), asked.text
