"""VyOS, package managers, Flatpak and containers: state is kept, and what the real tools refuse is refused."""

import subprocess
from collections.abc import Iterator

import pytest

from aether_sim.testing import Simulator, started


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    yield from started(tmp_path_factory.mktemp("tools"))


def vyos(sim: Simulator, *lines: str) -> str:
    """A login on a terminal that types the lines."""
    done = subprocess.run(
        ["ssh", "-F", str(sim.config), "-tt", "router"],
        input="".join(f"{line}\n" for line in (*lines, "exit")),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout.replace("\r\n", "\n")


def running(sim: Simulator) -> str:
    return vyos(sim, "show configuration commands")


def test_vyos_configuration_is_committed_and_saved(sim: Simulator) -> None:
    text = vyos(sim, "configure", "set interfaces ethernet eth1 address 192.168.5.1/24", "compare", "commit", "exit")
    assert "[edit]\nvyos@router# " in text
    assert "+ 192.168.5.1/24" in text
    assert "set interfaces ethernet eth1 address '192.168.5.1/24'" in running(sim)
    sim.reboot("router")
    # Not saved, so lost; then saved, so kept.
    assert "eth1" not in running(sim)
    vyos(sim, "configure", "set interfaces ethernet eth1 address 192.168.5.1/24", "commit", "save", "exit")
    sim.reboot("router")
    assert "eth1" in running(sim)
    assert "No configuration changes to commit" in vyos(sim, "configure", "commit", "exit")
    vyos(sim, "configure", "delete interfaces ethernet eth1", "commit", "save", "exit")
    assert "eth1" not in running(sim)


def test_vyos_refusals(sim: Simulator) -> None:
    assert "Configuration path: [nonsense x] is not valid" in vyos(sim, "configure", "set nonsense x", "exit")
    assert "already exists" in vyos(sim, "configure", "set service ssh port 22", "exit")
    assert "Nothing to delete" in vyos(sim, "configure", "delete service ntp", "exit")
    left = vyos(sim, "configure", "set service ntp server 192.0.2.1", "exit", "exit discard")
    assert "Cannot exit: configuration modified." in left
    assert "ntp" not in running(sim)
    bad = vyos(sim, "configure", "set interfaces ethernet eth1 address 10.0.0.1", "commit", "exit discard")
    assert "Commit failed" in bad
    assert "Invalid command: [frobnicate]" in vyos(sim, "frobnicate")


def test_apt_installs_what_exists_and_starts_it(sim: Simulator) -> None:
    query = "dpkg-query --show --showformat '${db:Status-Status}' prometheus-node-exporter"
    assert sim.ssh("pve1", query).code == 1
    assert sim.ssh("pve1", "apt-get update --quiet && apt-get install --yes prometheus-node-exporter").code == 0
    assert sim.ssh("pve1", query).out == "installed"
    address = sim.endpoints()["pve1"]["address"]
    assert sim.ssh("pve1", f"curl -s -o /dev/null -w %{{http_code}} http://{address}:9100/metrics").out == "200"
    unknown = sim.ssh("pve1", "apt-get install --yes not-a-package")
    assert (unknown.code, unknown.err.strip()) == (100, "E: Unable to locate package not-a-package")
    # Only with its repository.
    assert sim.ssh("pve1", "apt-get install --yes alloy").code == 100
    source = (
        "mkdir -p /etc/apt/sources.list.d; echo 'deb https://apt.grafana.com stable main' > /etc/apt/sources.list.d/grafana.list"
    )
    assert sim.ssh("pve1", f"{source}; apt-get install --yes alloy").code == 0
    assert "Permission denied" in sim.ssh("debian", "apt-get install --yes git", "", "-l", "mitso").err
    held = "flock /var/lib/dpkg/lock-frontend apt-get install --yes git"
    assert "held by another process" in sim.ssh("pve1", f"mkdir -p /var/lib/dpkg; {held}").err
    sim.reboot("pve1")
    assert sim.ssh("pve1", "systemctl is-active prometheus-node-exporter").out.strip() == "active"


def test_dnf_and_apk(sim: Simulator) -> None:
    assert sim.ssh("fedora", "rpm --query --quiet --whatprovides podman").code == 1
    assert sim.ssh("fedora", "dnf install --assumeyes podman nvidia-container-toolkit").code == 0
    assert sim.ssh("fedora", "rpm --query --quiet --whatprovides podman && nvidia-ctk --version").code == 0
    assert "No match for argument: nothing" in sim.ssh("fedora", "dnf install --assumeyes nothing").err
    assert sim.ssh("fedora", "command -v apt-get").code != 0
    assert sim.ssh("alpine", "apk info --installed nfs-utils").code == 1
    assert sim.ssh("alpine", "apk update --quiet && apk add --quiet nfs-utils && apk info --installed nfs-utils").code == 0
    assert "no such package" in sim.ssh("alpine", "apk add nothing").err
    # What is removed takes its service along, and a package that is not there is no mistake.
    assert sim.ssh("alpine", "apk add samba && rc-service samba start && apk del samba samba").code == 0
    assert "does not exist" in sim.ssh("alpine", "rc-service samba status").err
    assert sim.ssh("fedora", "dnf remove --assumeyes podman && rpm -q podman").code == 1


@pytest.mark.fault
def test_installing_on_a_full_disk(sim: Simulator) -> None:
    sim.fault("fedora", "disk-full")
    done = sim.ssh("fedora", "dnf install --assumeyes caddy")
    assert done.code == 1
    assert "more space" in done.err
    assert sim.ssh("fedora", "rpm -q caddy").code == 1
    sim.fault("fedora", "disk-full", off=True)


def test_flatpak_and_containers(sim: Simulator) -> None:
    add = "flatpak remote-add --if-not-exists flathub https://dl.flathub.org/repo/flathub.flatpakrepo"
    install = "flatpak install --noninteractive flathub org.mozilla.firefox"
    assert "not found" in sim.ssh("kinoite", install).err
    assert sim.ssh("kinoite", f"{add} && {add} && {install}").code == 0
    assert sim.ssh("kinoite", "flatpak list --app --columns=application").out == "org.mozilla.firefox\n"
    assert sim.ssh("kinoite", "flatpak install --noninteractive flathub nonsense").code == 1
    assert sim.ssh("kinoite", install, "", "-l", "mitso").code == 1
    make = "toolbox create --image ghcr.io/example/box:latest dev"
    assert sim.ssh("kinoite", f"podman container exists dev || {make}", "", "-l", "mitso").code == 0
    assert sim.ssh("kinoite", "podman container exists dev", "", "-l", "mitso").code == 0
    assert sim.ssh("kinoite", make, "", "-l", "mitso").code == 1
