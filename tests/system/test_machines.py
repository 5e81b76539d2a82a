"""Machines that stay on Ansible, in the same graph: a changed playbook or variable runs again exactly where it matters."""

import re

import pytest

from tests.system.lab import Lab


def ran(text: str) -> set[str]:
    """Hosts on which a playbook ran."""
    return set(re.findall(r"^ +(\S+): runs \S+\.yml", text, re.MULTILINE))


def test_a_changed_role_runs_on_its_hosts_alone(settled: Lab) -> None:
    path = settled.path / "ansible/roles/smith_base/defaults/main.yml"
    path.write_text(path.read_text() + "# touched\n")
    up = settled.up()
    assert up.code == 0, up.text
    assert ran(up.text) == {"smith-storage", "smith-files"}
    # They are as they should be already: a second run changes nothing.
    assert len(re.findall(r"smith-\w+: ok=\d+ changed=0", up.text)) == 2, up.text


def test_a_changed_network_reaches_the_router(settled: Lab) -> None:
    settled.replace("inventory/homelab.toml", 'cidr = "192.168.30.0/24"', 'cidr = "192.168.30.0/25"')
    up = settled.up()
    assert up.code == 0, up.text
    assert "router" in ran(up.text)
    assert "192.168.30.0/25" in settled.ssh("router", "cat /config/config.boot 2>/dev/null || cat /config/*").text


@pytest.mark.fault
def test_a_playbook_that_fails_half_way_heals(settled: Lab) -> None:
    path = settled.path / "ansible/roles/smith_base/tasks/main.yml"
    good = path.read_text()
    path.write_text(f"{good}\n- name: Fail on purpose\n  ansible.builtin.fail:\n    msg: half-way\n")
    up = settled.up()
    assert up.code != 0
    assert "smith-storage: smith.yml failed half-way" in up.text, up.text
    assert "half-way" in up.text
    path.write_text(f"{good}# mended\n")
    healed = settled.up()
    assert healed.code == 0, healed.text
    assert ran(healed.text) == {"smith-storage", "smith-files"}


@pytest.mark.fault
def test_an_unreachable_machine_is_named_and_the_others_go_on(settled: Lab) -> None:
    path = settled.path / "ansible/roles/smith_base/defaults/main.yml"
    path.write_text(path.read_text() + "# touched again\n")
    settled.fault("smith-files", "unreachable")
    up = settled.up()
    assert up.code != 0
    assert "smith-files: smith-files does not answer on SSH at 127." in up.text, up.text
    assert re.search(r"smith-storage: ok=\d+", up.text), up.text


def test_a_check_at_preview_finds_what_was_changed_by_hand_and_nothing_else(settled: Lab) -> None:
    ask = ("--config", "aether:ansibleCheck=true")
    assert settled.ssh("smith-files", "echo '# by hand' >> /etc/samba/smb.conf").code == 0
    preview = settled.preview(*ask)
    assert "smith-files: smith.yml would change" in preview.text, preview.text
    assert "smith-storage: smith.yml would change" not in preview.text
    up = settled.up(*ask)
    assert up.code == 0, up.text
    assert "by hand" not in settled.ssh("smith-files", "cat /etc/samba/smb.conf").text
    assert "smith-files: smith.yml would change" not in settled.preview(*ask).text
