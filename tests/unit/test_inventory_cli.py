"""What ``./aether inventory`` prints, and what Ansible is given."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from inventory import ansible, graph
from inventory.cli import main
from inventory.load import load_all
from inventory.models import CHECKS, HOSTS, InventoryFile
from tests.unit.inventory_example import GOOD, KEYS

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "inventory" / "homelab.toml", ROOT / "inventory" / "cloud.toml"]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AETHER_ENDPOINTS", raising=False)
    (tmp_path / "lab.toml").write_text(GOOD)
    return tmp_path / "lab.toml"


def test_check_counts_what_is_right(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(lab)]) == 0
    assert capsys.readouterr().out == f"OK: {lab}: 2 networks, 1 nodes, 4 hosts, 2 services\n"


def test_check_prints_one_error_a_line(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab.write_text(GOOD.replace("vmid = 111", "vmid = 110").replace("port = 8081", "port = 8080"))
    assert main(["check", str(lab)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{lab}:") and "hosts.dns.vmid" in lines[0] and "Fix: " in lines[0]


def test_check_contacts_nothing(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the inventory opened a connection")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("subprocess.Popen", refuse)
    assert main(["check", str(lab)]) == 0


def test_this_repositorys_inventory_is_right(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["check"]) == 0, capsys.readouterr().out


def test_show_names_every_host_and_what_hangs_together(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--file", str(lab)]) == 0
    overview = capsys.readouterr().out
    assert all(name in overview for name in ("metal", "web", "dns", "desk", "talos", "192.168.10.20"))
    assert main(["show", "dns", "--file", str(lab)]) == 0
    assert "needed by" in (detail := capsys.readouterr().out) and "web" in detail and "tcp 53" in detail
    assert main(["show", "web", "--file", str(lab)]) == 0
    assert "http://files.lab.example.org -> :8080" in capsys.readouterr().out
    assert main(["show", "wep", "--file", str(lab)]) == 1
    assert "did you mean 'web'" in capsys.readouterr().err


def test_show_json_is_the_inventory_again(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--json", "--file", str(lab)]) == 0
    (one,) = load_all([lab])
    assert InventoryFile.model_validate_json(capsys.readouterr().out) == one.content
    assert main(["show", "dns", "--json", "--file", str(lab)]) == 0
    assert json.loads(capsys.readouterr().out)["vmid"] == 111


def test_the_schema_knows_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    definitions = json.loads(capsys.readouterr().out)["$defs"]
    assert {model.__name__ for model in (*HOSTS, *CHECKS.values())} <= set(definitions)


def test_the_schema_that_files_name_is_the_models(capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the files, for editors: a first line names it."""
    assert main(["schema"]) == 0
    schema, fix = ROOT / "inventory/schema.json", "./aether inventory schema > inventory/schema.json"
    assert schema.read_text() == capsys.readouterr().out, f"the models have changed. Fix: {fix}"
    whole = [path for path in sorted((ROOT / "inventory").glob("*.toml")) if "\nbase = " not in path.read_text()]
    for path in whole:
        assert path.read_text().startswith("#:schema ./schema.json\n"), f"{path.name} does not name the schema"
        jsonschema.validate(tomllib.loads(path.read_text()), json.loads(schema.read_text()))


def test_the_picture_has_every_host_and_every_dependency(lab: Path) -> None:
    picture = graph.mermaid(load_all([lab]))
    assert "h_dns --> h_web" in picture
    for host in ("web", "dns", "desk", "talos"):
        assert picture.count(f'h_{host}["') == 1


def test_the_picture_is_replaced_and_nothing_else(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = lab.with_name("page.md")
    page.write_text(f"before\n{graph.BEGIN}\nold\n{graph.END}\nafter\n")
    arguments = ["graph", "--file", str(lab)]
    assert main([*arguments, "--check", str(page)]) == 1
    assert main([*arguments, "--write", str(page)]) == 0
    assert main([*arguments, "--check", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    page.write_text("no block")
    assert main([*arguments, "--write", str(page)]) == 1
    assert "add the two lines" in capsys.readouterr().err


def test_pictures_in_the_documentation_are_current() -> None:
    picture = graph.mermaid(load_all(FILES))
    pages = [page for page in (ROOT / "README.md", ROOT / "docs" / "fleet.md") if page.exists()]
    drawn = [page for page in pages if graph.BEGIN in page.read_text()]
    assert ROOT / "docs" / "fleet.md" in drawn
    for page in drawn:
        assert graph.replace_block(page.read_text(), picture) == page.read_text(), f"inventory graph --write {page}"


def test_ansible_gets_groups_addresses_and_pinned_keys(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoints = lab.with_name("endpoints.json")
    endpoints.write_text(json.dumps({"desk": {"address": "127.9.20.10", "port": 2222, "hostKey": KEYS[5]}}))
    monkeypatch.setenv("AETHER_ENDPOINTS", str(endpoints))
    listing = ansible.listing(load_all([lab]))
    hosts: dict[str, Any] = listing["_meta"]["hostvars"]
    assert set(hosts) == {"metal", "web", "dns", "desk"}, "an external host is never logged in to"
    assert listing["kind_nixos_vm"]["hosts"] == ["web"] and listing["node_metal"]["hosts"] == ["web", "dns"]
    assert listing["playbook_proxmox"]["hosts"] == ["metal"] and listing["home"]["hosts"] == ["desk"]
    assert listing["tag_ingress"]["hosts"] == ["web"] and listing["os_nixos"]["hosts"] == ["web", "dns"]
    desk = hosts["desk"]
    assert (desk["ansible_host"], desk["ansible_port"]) == ("127.9.20.10", 2222)
    known = Path(desk["aether_known_hosts"]).read_text().splitlines()
    assert f"desk,[127.9.20.10]:2222 {KEYS[5]}" in known
    assert f"web,192.168.10.10 {KEYS[2]}" in known
    assert "StrictHostKeyChecking=yes" in desk["ansible_ssh_common_args"]
    assert listing["all"]["vars"]["aether_services"]["wiki"]["login"] == "proxy"


def test_ansible_is_told_who_syncs_and_where() -> None:
    listing = ansible.listing(load_all(FILES))
    peers = listing["all"]["vars"]["aether_peers"]
    assert {"homelab-vm", "desktop", "laptop"} <= set(peers)
    server = load_all(FILES)[0].hosts["homelab-vm"]
    assert peers["homelab-vm"] == {"id": server.syncthing_id, "address": server.address}


def test_vyos_is_reached_as_a_network_device() -> None:
    router = ansible.listing(load_all(FILES))["_meta"]["hostvars"]["router"]
    assert router["ansible_network_os"] == "vyos.vyos.vyos"
    assert router["ansible_connection"] == "ansible.netcommon.network_cli"
    assert "ansible_python_interpreter" not in router


def test_a_wrong_endpoints_file_is_named(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.with_name("endpoints.json").write_text('{"desk": {"port": "x"}}')
    monkeypatch.setenv("AETHER_ENDPOINTS", "endpoints.json")
    with pytest.raises(SystemExit, match=r"AETHER_ENDPOINTS=endpoints\.json: .*Fix: "):
        ansible.listing(load_all([lab]))


def test_ansible_itself_reads_the_script() -> None:
    """The script runs from anywhere, and beside a package of the same name."""
    done = subprocess.run(
        [sys.executable, ROOT / "ansible" / "inventory.py", "--list"],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "gateway" in json.loads(done.stdout)["_meta"]["hostvars"]


def test_playbooks_of_an_environment_see_its_hosts() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "ansible" / "inventory.py", "--list"],
        env={**os.environ, "AETHER_INVENTORY": "inventory/staging.toml"},
        capture_output=True,
        text=True,
        check=True,
    )
    hosts = json.loads(done.stdout)["_meta"]["hostvars"]
    assert "staging-gateway" in hosts and "gateway" not in hosts and "workstation" not in hosts


def test_ansibles_answer_is_kept_until_something_changes_that_it_is_made_of(tmp_path: Path) -> None:
    for folder in ("ansible", "inventory"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / "uv.lock", tmp_path)
    kept, facts = tmp_path / ".aether/cache/ansible", tmp_path / "inventory/homelab.toml"

    def asked() -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(tmp_path / "ansible/inventory.py"), "--list"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    first = asked()
    (answer,) = kept.iterdir()
    assert json.loads(first.stdout) and answer.read_text() == first.stdout
    answer.write_text("as it was kept")
    assert asked().stdout == "as it was kept"
    facts.write_text(facts.read_text().replace("[site]", "[site]  # changed"))
    assert asked().stdout == first.stdout
    facts.write_text("[site")
    wrong = asked()
    assert wrong.returncode == 1 and "inventory/homelab.toml" in wrong.stderr and len([*kept.iterdir()]) == 2


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    command = f"'{sys.executable}' -m inventory show --json | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_fleet_without_a_cloud_is_checked_by_its_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 1
    assert "inventory/homelab.toml" in capsys.readouterr().out
    Path("inventory").mkdir()
    Path("inventory/homelab.toml").write_text(GOOD)
    assert main(["check"]) == 0
    assert capsys.readouterr().out.startswith("OK: inventory/homelab.toml: ")
