"""Whole runs against the simulator's SSH hosts: the second changes nothing, a failure half-way heals."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inventory.load import load
from tests.ansible.conftest import NOWHERE, REPO, Result, ansible, environment, variables

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.in_order("hosts are configured once, and then asked, spoilt and healed"),
]
EXAMPLE = load(REPO / "inventory/homelab.toml")
SITE = EXAMPLE.site
SHARING = {name: ident for name, host in EXAMPLE.hosts.items() if (ident := getattr(host, "syncthing_id", None))}
# Example of the WireGuard documentation; opens nothing.
WIREGUARD_KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
RUNS = [
    ("smith.yml", "smith-storage"),
    ("smith.yml", "smith-files"),
    ("proxmox.yml", "trinity"),
    ("gpu-workstation.yml", "gpu"),
    ("vyos.yml", "router"),
    ("bootstrap.yml", "desktop"),
    ("bootstrap.yml", "workstation"),
    ("bootstrap.yml", "wsl"),
]


@dataclass(frozen=True)
class Simulator:
    """A simulator of these tests alone, and a copy of the repository that nobody edits meanwhile."""

    state: Path
    source: Path
    configured: set[tuple[str, str]] = field(default_factory=set)
    """Playbooks that ended well, with their host."""

    def configure(self, playbook: str, host: str) -> None:
        """Have the host as the playbook leaves it; tests leave it so."""
        if (playbook, host) not in self.configured:
            done = self.play(playbook, host)
            assert done.code == 0, done.output[-4000:]

    def play(self, playbook: str, host: str, *more: str, **values: object) -> Result:
        """Run a playbook on a host."""
        values = {"nix_installer_url": NOWHERE, "chezmoi_release": NOWHERE, "bootstrap_repository": str(self.source), **values}
        secrets = {"AETHER_SECRET_WIREGUARD_PRIVATE_KEY": WIREGUARD_KEY, "AETHER_SECRET_SAMBA_PASSWORD": "s3cret-password"}
        env = {
            "AETHER_ENDPOINTS": str(self.state / "endpoints.json"),
            "ANSIBLE_PRIVATE_KEY_FILE": str(self.state / "keys" / "operator"),
            "AETHER_SECRETS": str(self.state / "secrets"),
            "SOPS_AGE_KEY_FILE": str(self.state / "keys" / "age.txt"),
            **secrets,
        }
        book = f"ansible/{playbook}"
        arguments = ["-i", "ansible/inventory.py", "--limit", host, book, *variables(**values), *more]
        done = ansible("ansible-playbook", *arguments, env=env, timeout=600)
        for secret in secrets.values():
            assert secret not in done.output, f"{playbook} shows a secret"
        if done.code == 0 and "--check" not in more:
            self.configured.add((playbook, host))
        return done

    def ssh(self, host: str, command: str, user: str = "root") -> str:
        """Run a command on a host: its output."""
        where = json.loads((self.state / "endpoints.json").read_text())[host]
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        key = ["-i", str(self.state / "keys" / "operator"), "-o", "IdentitiesOnly=yes"]
        target = ["-p", str(where["port"]), f"{user}@{where['address']}", command]
        done = subprocess.run(
            ["ssh", *options, *key, *target], text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Started once for all runs; skips with the simulator's own words where it cannot run."""
    folder = tmp_path_factory.mktemp("simulator")
    source = folder / "source"
    source.mkdir()
    pack = subprocess.run(
        [str(REPO / "ansible/roles/bootstrap_base/files/pack.sh"), str(REPO), "flake.nix flake.lock nix home inventory"],
        text=True,
        capture_output=True,
        check=True,
    ).stdout.strip()
    subprocess.run(["tar", "-xf", pack.split(maxsplit=1)[1], "-C", str(source)], check=True)
    env = environment({"AETHER_SIM_DIR": str(folder / "state")})
    command = [str(REPO / "aether"), "sim"]
    started = subprocess.run([*command, "start"], cwd=REPO, env=env, text=True, capture_output=True, check=False)
    if started.returncode != 0:
        pytest.skip(f"the simulator does not start here: {(started.stderr or started.stdout)[-500:]}")
    try:
        yield Simulator(folder / "state", source)
    finally:
        subprocess.run([*command, "stop"], cwd=REPO, env=env, capture_output=True, check=False)


@pytest.mark.parametrize(("playbook", "host"), RUNS)
def test_second_run_changes_nothing(simulator: Simulator, playbook: str, host: str) -> None:
    first = simulator.play(playbook, host)
    assert first.code == 0, first.output[-4000:]
    assert first.count(host, "changed") > 0
    second = simulator.play(playbook, host)
    assert second.code == 0, second.output[-4000:]
    assert second.count(host, "changed") == 0, second.changed()


def test_what_the_runs_left_on_the_hosts(simulator: Simulator) -> None:
    """After test_second_run_changes_nothing, with the same simulator."""
    assert "192.168.30.0/24(rw" in simulator.ssh("smith-storage", "cat /etc/exports")
    assert simulator.ssh("smith-storage", "systemctl is-active nfs-server").strip() == "active"
    assert simulator.ssh("smith-storage", "stat -c '%a %U' /srv/backup").strip() == "700 restic"
    assert "path = /srv/storage" in simulator.ssh("smith-files", "cat /etc/samba/smb.conf")
    assert simulator.ssh("smith-files", "stat -c %a /etc/samba/.aether-password").strip() == "600"
    for host in ("smith-files", "gpu"):
        assert simulator.ssh(host, "cat ~/.ssh/authorized_keys").splitlines() == list(SITE.authorized_keys)
    assert simulator.ssh("trinity", "systemctl is-active prometheus-node-exporter").strip() == "active"
    assert "pve-no-subscription" in simulator.ssh("trinity", "cat /etc/apt/sources.list.d/proxmox.sources")
    store = json.loads(simulator.ssh("trinity", "pvesh get /storage/local --output-format json"))
    assert set(store["content"].split(",")) == {"iso", "vztmpl", "backup", "import"}, "what it took besides is kept"
    bridge = json.loads(simulator.ssh("trinity", "pvesh get /nodes/trinity/network/vmbr0 --output-format json"))
    assert bridge["bridge_vlan_aware"] == 1
    assert "nvidia-ctk cdi generate" in simulator.ssh("gpu", "cat /etc/systemd/system/aether-cdi.service")


def test_the_one_line_repositories_of_proxmox_8_are_switched_off(simulator: Simulator) -> None:
    folder = "/etc/apt/sources.list.d"
    lines = {
        "pve-enterprise": "deb https://enterprise.proxmox.com/debian/pve bookworm pve-enterprise",
        "ceph": "deb https://enterprise.proxmox.com/debian/ceph-quincy bookworm enterprise",
    }
    for name, line in lines.items():
        simulator.ssh("trinity", f"printf '%s\n' '# kept' '{line}' > {folder}/{name}.list")
    done = simulator.play("proxmox.yml", "trinity")
    assert done.code == 0, done.output[-4000:]
    for name, line in lines.items():
        assert simulator.ssh("trinity", f"cat {folder}/{name}.list").splitlines() == ["# kept", f"# {line}"]
    again = simulator.play("proxmox.yml", "trinity")
    assert again.code == 0 and again.count("trinity", "changed") == 0, again.changed()


def test_what_the_runs_left_in_homes(simulator: Simulator) -> None:
    """After test_second_run_changes_nothing, with the same simulator."""
    assert (
        simulator.ssh("workstation", "readlink -f ~/Documents", "mitso").strip() == "/home/mitso/SharedHome/Documents/Documents"
    )
    for host in ("workstation", "wsl"):
        assert simulator.ssh(host, "systemctl is-active aether-syncthing.service").strip() == "active"
        folders = simulator.ssh(host, "cat ~/.local/state/syncthing/config.xml", "mitso")
        assert 'path="/home/mitso/SharedHome"' in folders and SHARING["laptop"] in folders
    assert simulator.ssh("workstation", "systemctl is-active aether-drive-backup.timer").strip() == "active"
    assert "org.mozilla.firefox" in simulator.ssh("workstation", "flatpak list --app --columns=application")
    generation = "readlink -f ~/.local/state/nix/profiles/home-manager || true"
    assert "home-manager-generation" in simulator.ssh("wsl", generation, "mitso")
    assert "home-manager-generation" not in simulator.ssh("desktop", generation, "mitso"), "its system brings Home Manager's home"
    assert simulator.ssh("desktop", "readlink -f ~/Workspace", "mitso").strip() == "/home/mitso/SharedHome/Workspace/Workspace"


def test_check_changes_nothing_and_says_what_it_would(simulator: Simulator) -> None:
    done = simulator.play("smith.yml", "smith-storage", "--check", "--diff", smith_root="/srv/other")
    assert done.code == 0, done.output[-4000:]
    assert "+/srv/other 192.168.10.0/24" in done.output
    assert "/srv/other" not in simulator.ssh("smith-storage", "cat /etc/exports")


def test_a_check_before_backups_have_a_place(simulator: Simulator) -> None:
    """On a host that other roles have done, with a volume that is empty."""
    host, files = "smith-storage", "/etc/ssh/restic_keys /etc/ssh/sshd_config.d/aether-restic.conf"
    simulator.configure("smith.yml", host)
    simulator.ssh(host, f"userdel restic; rm -r /srv/backup {files}; mkdir /srv/backup")
    done = simulator.play("smith.yml", host, "--check", "--diff")
    assert done.code == 0, done.output[-4000:]
    assert "+restrict ssh-ed25519 " in done.output and "+Match User restic" in done.output
    assert simulator.ssh(host, f"ls -d {files} 2>/dev/null; grep restic /etc/passwd; stat -c %U /srv/backup") == "root\n"
    made = simulator.play("smith.yml", host)
    assert made.code == 0, made.output[-4000:]
    assert "/srv/backup is on the disk of the system" in " ".join(made.output.split())
    assert simulator.ssh(host, "stat -c '%a %U' /srv/backup").strip() == "700 restic"
    assert simulator.play("smith.yml", host).count(host, "changed") == 0


@pytest.mark.fault
def test_a_run_that_fails_half_way_heals(simulator: Simulator) -> None:
    host = "smith-storage"
    simulator.configure("smith.yml", host)
    simulator.ssh(host, "echo '# by hand' > /etc/exports; systemctl stop nfs-server; systemctl mask nfs-server")
    broken = simulator.play("smith.yml", host)
    assert broken.code != 0
    assert broken.count(host, "failed") > 0
    assert broken.count(host, "changed") > 0, "it got past the exports"
    assert "masked" in broken.output
    simulator.ssh(host, "systemctl unmask nfs-server")
    healed = simulator.play("smith.yml", host)
    assert healed.code == 0, healed.output[-4000:]
    assert simulator.ssh(host, "systemctl is-active nfs-server").strip() == "active"
    assert "192.168.10.0/24" in simulator.ssh(host, "cat /etc/exports")
    assert simulator.play("smith.yml", host).count(host, "changed") == 0


@pytest.mark.fault
def test_a_service_is_restarted_though_a_later_task_failed(simulator: Simulator) -> None:
    """Else the next run finds the file as it should be and the service keeps the old one for ever."""
    host, exporter = "trinity", "prometheus-node-exporter"
    ask = f"systemctl show -p ActiveEnterTimestamp --value {exporter}"
    simulator.configure("proxmox.yml", host)
    since = simulator.ssh(host, ask).strip()
    simulator.ssh(host, f"echo ARGS=old > /etc/default/{exporter}; systemctl stop smartmontools; systemctl mask smartmontools")
    assert simulator.play("proxmox.yml", host).code != 0
    restarted = simulator.ssh(host, ask).strip()
    simulator.ssh(host, "systemctl unmask smartmontools")
    assert restarted not in ("", since)
    assert simulator.play("proxmox.yml", host).code == 0


@pytest.mark.fault
def test_a_folder_in_the_way_is_named_and_the_bootstrap_heals(simulator: Simulator) -> None:
    simulator.ssh("wsl", "rm -f ~/Pictures && echo mine > ~/Pictures", "mitso")
    broken = simulator.play("bootstrap.yml", "wsl")
    assert broken.code != 0
    assert "in the way, nothing was linked" in broken.output
    assert "Pictures" in broken.output
    assert simulator.ssh("wsl", "cat ~/Pictures", "mitso") == "mine\n"
    simulator.ssh("wsl", "mv ~/Pictures ~/SharedHome/Pictures/Pictures/old", "mitso")
    healed = simulator.play("bootstrap.yml", "wsl")
    assert healed.code == 0, healed.output[-4000:]
    assert simulator.ssh("wsl", "cat ~/Pictures/old", "mitso") == "mine\n"


@pytest.mark.fault
def test_what_somebody_changed_on_the_router_is_put_right(simulator: Simulator) -> None:
    added = simulator.play("vyos.yml", "router", vyos_dhcp={"clients": {"first": 50, "last": 60}})
    assert added.code == 0, added.output[-4000:]
    back = simulator.play("vyos.yml", "router")
    assert back.code == 0, back.output[-4000:]
    # Ansible wraps long lines.
    at = "delete service dhcp-server shared-network-name clients subnet 192.168.20.0/24"
    assert f"{at} range 0 start 192.168.20.50" in " ".join(back.output.split())
    assert simulator.play("vyos.yml", "router").count("router", "changed") == 0


@pytest.mark.fault
def test_another_host_key_is_refused(simulator: Simulator, tmp_path: Path) -> None:
    """Both ways in: OpenSSH's and the tunnel that network_cli goes through."""
    endpoints = json.loads((simulator.state / "endpoints.json").read_text())
    for host, playbook in (("router", "vyos.yml"), ("smith-storage", "smith.yml")):
        endpoints[host]["hostKey"] = endpoints["oracle"]["hostKey"]
        file = tmp_path / "endpoints.json"
        file.write_text(json.dumps(endpoints))
        env = {"AETHER_ENDPOINTS": str(file), "ANSIBLE_PRIVATE_KEY_FILE": str(simulator.state / "keys" / "operator")}
        done = ansible("ansible-playbook", "-i", "ansible/inventory.py", "--limit", host, f"ansible/{playbook}", env=env)
        assert done.code != 0, done.output
        assert done.count(host, "ok") <= 1, done.output
