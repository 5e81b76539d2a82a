"""Host media: that qBittorrent has no network but the tunnel, from the units that systemd will read."""

import configparser
import os
import re
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from nix.tools import evaluate

from .conftest import evaluated, host_report, replace
from .workloads import generated, only, settings

Checker = Callable[[str], str]
NAMESPACE = "/run/netns/vpn"
TUNNEL = "wireguard-vpn0.service"
INVENTORY: dict[str, Any] = tomllib.loads((evaluate.ROOT / "inventory" / "homelab.toml").read_text())


def units() -> dict[str, str]:
    """Text of every unit of the host."""
    return dict(host_report("media").value["units"])


def leaks(found: Mapping[str, str]) -> list[str]:
    """Every way in which qBittorrent could reach a network that is not the tunnel; none is what we want."""
    problems = []
    unit = settings(found["qbittorrent.service"])
    if unit["NetworkNamespacePath"] != [NAMESPACE]:
        problems.append("it is not in the namespace")
    if TUNNEL not in " ".join(unit["BindsTo"]).split() or TUNNEL not in " ".join(unit["After"]).split():
        problems.append("it outlives the tunnel")
    if set(unit["RestrictAddressFamilies"]) - {"AF_INET", "AF_INET6", "AF_NETLINK"} or not unit["RestrictAddressFamilies"]:
        problems.append("it can speak to daemons outside by other sockets")
    if unit["CapabilityBoundingSet"] != [""] or "true" not in unit["NoNewPrivileges"]:
        problems.append("it could enter another namespace")
    if not any(entry.endswith(":/etc/resolv.conf") for entry in unit["BindReadOnlyPaths"]):
        problems.append("it asks the host's resolver")
    if any(key.startswith("ExecStartPre") and value.startswith(("+", "!")) for key in unit for value in unit[key]):
        problems.append("something of it runs with full privileges")
    for name, text in found.items():
        other = settings(text)
        if name.endswith(".socket") and "qbittorrent.service" in other["Service"]:
            problems.append(f"{name} hands it a socket of the host")
        if "qbittorrent.service" in " ".join(other["JoinsNamespaceOf"]) and name != "qbittorrent.service":
            problems.append(f"{name} shares its namespaces")
    return problems


def test_qbittorrent_has_no_way_around_the_tunnel() -> None:
    assert leaks(units()) == []


@pytest.mark.parametrize(
    ("line", "instead", "problem"),
    [
        (f"NetworkNamespacePath={NAMESPACE}", "", "not in the namespace"),
        (f"NetworkNamespacePath={NAMESPACE}", "NetworkNamespacePath=/proc/1/ns/net", "not in the namespace"),
        (f"BindsTo={TUNNEL}", "", "outlives the tunnel"),
        (
            "RestrictAddressFamilies=AF_INET\n",
            "RestrictAddressFamilies=AF_INET\nRestrictAddressFamilies=AF_UNIX\n",
            "other sockets",
        ),
        ("CapabilityBoundingSet=\n", "CapabilityBoundingSet=CAP_SYS_ADMIN\n", "another namespace"),
        (":/etc/resolv.conf", ":/etc/other.conf", "host's resolver"),
    ],
)
def test_a_leak_would_be_seen(line: str, instead: str, problem: str) -> None:
    unit = units()["qbittorrent.service"]
    assert line in unit
    found = leaks(units() | {"qbittorrent.service": unit.replace(line, instead)})
    assert any(problem in entry for entry in found), found


def test_a_socket_of_the_host_would_be_seen() -> None:
    given = units() | {"q.socket": "[Socket]\nListenStream=6881\nService=qbittorrent.service\n"}
    assert any("hands it a socket" in entry for entry in leaks(given))


def test_only_the_tunnel_is_ever_moved_into_the_namespace() -> None:
    """The namespace is made of three commands, and one interface is moved in; nothing else names it."""
    namespace = settings(units()["vpn-namespace.service"])
    made = [re.sub(r"\S*/bin/", "", command) for command in namespace["ExecStart"]]
    assert [command.split(" -f ")[0] for command in made] == [
        "ip netns add vpn",
        "ip -n vpn link set lo up",
        "ip netns exec vpn nft",
    ]
    moves = [
        line.strip()
        for contents in generated("media").values()
        for text in contents
        if isinstance(text, str)
        for line in text.splitlines()
        if re.search(r"\bnetns\s+\"?vpn\"?\s*$|type veth|type macvlan|type ipvlan", line)
    ]
    assert moves == ['ip link set "vpn0" netns "vpn"']


def test_only_the_page_shares_the_namespace() -> None:
    inside = {name for name, text in units().items() if NAMESPACE in text}
    assert inside == {"qbittorrent.service", "qbittorrent-page.service"}
    page = settings(units()["qbittorrent-page.service"])
    assert page["ExecStart"][0].endswith("systemd-socket-proxyd --exit-idle-time=10min 127.0.0.1:8080")
    assert page["BindsTo"] == [TUNNEL]


class TestNamespace:
    """The rules of the namespace, in a real one."""

    def inside(self, script: str) -> subprocess.CompletedProcess[str]:
        if os.geteuid() != 0:
            pytest.skip("making a network namespace needs root")
        result = subprocess.run(["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=60)
        if "unshare failed" in result.stderr or "Operation not permitted" in result.stderr:
            pytest.skip(f"no network namespaces here: {result.stderr.strip()}")
        return result

    CONNECT = "python3 -c 'import socket; socket.create_connection((\"192.0.2.1\", 80), 2)' 2>&1"

    def test_without_the_tunnel_there_is_no_network(self) -> None:
        assert "Network is unreachable" in self.inside(self.CONNECT).stdout

    def test_another_interface_would_carry_nothing(self, checker: Checker, tmp_path: Path) -> None:
        """A link that somebody adds by mistake, with a default route, is still shut by the rules."""
        nft = checker("nft")
        (tmp_path / "vpn.nft").write_text(only("media", "vpn.nft"))
        add = (
            "ip link add wrong type veth peer name other && ip link set other up && ip addr add 198.51.100.1/24 dev wrong"
            " && ip link set wrong up && ip route add default dev wrong"
        )
        counted = "; cat /sys/class/net/wrong/statistics/tx_packets"
        sent = 'python3 -c \'import socket; socket.socket(2, 2).sendto(b"x", ("192.0.2.1", 9))\' 2>&1'
        result = self.inside(f"{nft} -f {tmp_path / 'vpn.nft'} && {add} && {sent}{counted}")
        if "Unknown device type" in result.stderr or "not supported" in result.stderr:
            pytest.skip(f"no virtual interfaces here: {result.stderr.strip()}")
        assert "Operation not permitted" in result.stdout, result.stdout + result.stderr


def test_the_evaluation_refuses_qbittorrent_outside(copy: Path) -> None:
    replace(copy / "nix/hosts/trinity/media/torrents.nix", "NetworkNamespacePath = vpn.path;", "")
    with pytest.raises(evaluate.NixError, match=r"qbittorrent.service must live in /run/netns/vpn"):
        evaluated(copy, "nixosConfigurations.media.config.system.build.toplevel.drvPath")


def test_nobody_from_outside_reaches_the_page_but_the_gateway() -> None:
    report = host_report("media").value
    gateway = INVENTORY["hosts"]["gateway"]["address"]
    (rule,) = re.findall(r"ip saddr \{ ([^}]+) \} tcp dport \{ 8080 \} accept", report["nftables"])
    assert rule == f"{gateway}/32"
    # The port for peers is open in the namespace, never on the host.
    assert 51413 not in report["openPorts"]["tcp"] + report["openPorts"]["udp"]


def test_qbittorrent_is_told_the_interface_too() -> None:
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(only("media", "qBittorrent.conf"))
    assert parser["BitTorrent"]["Session\\Interface"] == "vpn0"
    assert parser["Preferences"]["WebUI\\Address"] == "127.0.0.1"
    assert not any("Password" in key for key in parser["Preferences"])


def test_jellyfin_transcodes_on_the_render_node() -> None:
    unit = settings(units()["jellyfin.service"])
    assert unit["DeviceAllow"] == ["/dev/dri/renderD128 rw"]
    assert {"media", "render"} <= set(unit["SupplementaryGroups"])
    encoding = only("media", "encoding.xml")
    assert "<HardwareAccelerationType>vaapi</HardwareAccelerationType>" in encoding
    assert "<EnableHardwareEncoding>true</EnableHardwareEncoding>" in encoding


def test_the_library_belongs_to_the_group() -> None:
    rules = "\n".join(str(text) for name, texts in generated("media").items() if "tmpfiles" in name for text in texts)
    for folder in ("books", "films", "music", "series", "torrents/complete", "torrents/incomplete"):
        assert f"d /srv/media/{folder} 2775 root media -" in rules
    for unit in ("qbittorrent.service", "calibre-web.service"):
        assert settings(units()[unit])["Group"] == ["media"]
        assert settings(units()[unit])["UMask"] == ["0002"]
    assert {"/srv/media/books", "/var/lib/jellyfin"} <= set(host_report("media").value["backup"])


def test_calibre_web_starts_on_an_empty_disk_and_without_its_known_password() -> None:
    library = settings(units()["calibre-library.service"])
    assert library["ConditionPathExists"] == ["!/srv/media/books/metadata.db"]
    for key in ("Requires", "After"):
        assert "calibre-library.service" in " ".join(settings(units()["calibre-web.service"])[key])
    assert "password = '!' where name = 'admin'" in settings(units()["calibre-web.service"])["ExecStartPost"][0]
