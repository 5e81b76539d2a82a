"""The Proxmox API, and guests whose power follows it."""

import time
import urllib.error
from collections.abc import Iterator

import pytest

from aether_sim.testing import Api, Simulator, started, wait_until


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    yield from started(tmp_path_factory.mktemp("pve"))


@pytest.fixture
def api(sim: Simulator) -> Iterator[Api]:
    client = Api(sim)
    yield client
    for guest in sim.status()["guests"]:
        kind = "qemu" if guest["name"].startswith("vm") else "lxc"
        if guest["status"] == "running":
            client.task("POST", f"/nodes/{guest['node']}/{kind}/{guest['vmid']}/status/stop")
        client.task("DELETE", f"/nodes/{guest['node']}/{kind}/{guest['vmid']}")


def state_of(sim: Simulator, name: str) -> str:
    return str(sim.status()["hosts"].get(name, {}).get("state"))


def give_key(sim: Simulator, kind: str, vmid: int, name: str) -> None:
    """First contact: the guest's own host key goes in through the node."""
    private = (sim.state / "keys/hosts" / name).read_text()
    if kind == "lxc":
        sim.ssh("pve1", "cat > /dev/shm/key", private)
        done = sim.ssh("pve1", f"pct push {vmid} /dev/shm/key /etc/ssh/ssh_host_ed25519_key --perms 0600")
        assert done.code == 0, done.err
        done = sim.ssh("pve1", f"pct exec {vmid} -- systemctl restart sshd")
    else:
        script = "umask 077; cat > /etc/ssh/ssh_host_ed25519_key; systemctl restart sshd"
        done = sim.ssh("pve1", f"qm guest exec {vmid} --pass-stdin 1 -- sh -c '{script}'", private)
        assert '"exitcode" : 0' in done.out
    assert done.code == 0, done.err


def test_a_guest_answers_while_the_api_says_that_it_runs(sim: Simulator, api: Api) -> None:
    assert api.create_vm(start=0) == "OK"
    assert not sim.answers("vm")
    assert api.task("POST", "/nodes/pve1/qemu/100/status/start") == "OK"
    wait_until("the guest boots", lambda: state_of(sim, "vm") == "up")
    # It boots with a key of its own that nobody knows: no connection until first contact.
    refused = sim.ssh("vm", "true")
    assert refused.code == 255
    assert "verification failed" in refused.err or "IDENTIFICATION" in refused.err
    give_key(sim, "qemu", 100, "vm")
    assert sim.ssh("vm", "hostname").out == "vm\n"
    sim.ssh("vm", "echo data > /root/file")
    assert api.task("POST", "/nodes/pve1/qemu/100/status/stop") == "OK"
    assert not sim.answers("vm")
    assert api.task("POST", "/nodes/pve1/qemu/100/status/start") == "OK"
    wait_until("the guest boots again", lambda: sim.answers("vm"))
    assert sim.ssh("vm", "cat /root/file").out == "data\n"


def test_a_pool_lists_the_guests_in_it(sim: Simulator, api: Api) -> None:
    assert api.create_vm(start=0) == "OK"
    api.call("POST", "/pools", poolid="prod", comment="by hand")
    api.call("PUT", "/pools", poolid="prod", vms="100")
    (pool,) = api.call("GET", "/pools", poolid="prod")
    assert pool["comment"] == "by hand" and [member["vmid"] for member in pool["members"]] == [100]


def test_agent_reports_the_address(sim: Simulator, api: Api) -> None:
    assert api.create_vm() == "OK"
    wait_until("the guest boots", lambda: state_of(sim, "vm") == "up")
    answer = api.call("GET", "/nodes/pve1/qemu/100/agent/network-get-interfaces")
    addresses = [entry["ip-address"] for item in answer["result"] for entry in item["ip-addresses"]]
    assert "192.168.10.10" in addresses
    assert api.task("POST", "/nodes/pve1/qemu/100/status/stop") == "OK"
    with pytest.raises(urllib.error.HTTPError, match="agent is not running"):
        api.call("GET", "/nodes/pve1/qemu/100/agent/network-get-interfaces")


def test_a_resized_guest_keeps_its_disk_and_a_destroyed_one_loses_it(sim: Simulator, api: Api) -> None:
    assert api.create_vm() == "OK"
    wait_until("the guest boots", lambda: state_of(sim, "vm") == "up")
    give_key(sim, "qemu", 100, "vm")
    sim.ssh("vm", "echo data > /root/file")
    assert api.task("PUT", "/nodes/pve1/qemu/100/resize", disk="scsi0", size="16G") == "OK"
    assert "size=16G" in api.call("GET", "/nodes/pve1/qemu/100/config")["scsi0"]
    assert sim.ssh("vm", "cat /root/file").out == "data\n"
    with pytest.raises(urllib.error.HTTPError, match="shrinking"):
        api.call("PUT", "/nodes/pve1/qemu/100/resize", disk="scsi0", size="4G")
    assert api.destroy(100) == "OK"
    assert api.create_vm() == "OK"
    wait_until("the new guest boots", lambda: state_of(sim, "vm") == "up")
    give_key(sim, "qemu", 100, "vm")
    assert sim.ssh("vm", "cat /root/file").code != 0


def test_delete_with_a_trailing_slash(sim: Simulator, api: Api) -> None:
    assert api.create_vm(start=0) == "OK"
    assert api.task("DELETE", "/nodes/pve1/qemu/100/", purge=1) == "OK"
    assert sim.status()["guests"] == []


def test_destroying_ten_guests_takes_seconds(sim: Simulator, api: Api) -> None:
    for number in range(10):
        assert api.create_vm(f"vm-{number}", 200 + number, f"192.168.11.{number + 10}") == "OK"
    wait_until("all are up", lambda: all(state_of(sim, f"vm-{number}") == "up" for number in range(10)))
    begun = time.monotonic()
    for number in range(10):
        assert api.destroy(200 + number) == "OK"
    assert time.monotonic() - begun < 10
    assert sim.status()["guests"] == []


def test_container_commands_want_a_running_container_of_this_node(sim: Simulator, api: Api) -> None:
    assert api.create_ct(start=0) == "OK"
    stopped = sim.ssh("pve1", "pct exec 101 -- true")
    assert stopped.code != 0
    assert "not running" in stopped.err
    assert sim.ssh("pve1", "pct status 101").out == "status: stopped\n"
    assert "does not exist" in sim.ssh("pve2", "pct status 101").err
    assert "does not exist" in sim.ssh("pve1", "qm status 101").err
    assert sim.ssh("pve1", "pct start 101").code == 0
    wait_until("the container boots", lambda: state_of(sim, "ct") == "up")
    give_key(sim, "lxc", 101, "ct")
    assert sim.ssh("ct", "hostname").out == "ct\n"
    assert sim.ssh("pve1", "pct exec 101 -- cat", "through").out == "through"
    assert sim.ssh("pve1", "pct exec 101 -- sh -c 'exit 5'").code == 5
    assert sim.ssh("pve1", "pct push 101 /nonexistent /root/x").code != 0


def test_a_node_s_command_is_refused_what_the_api_s_schema_refuses(sim: Simulator, api: Api) -> None:
    assert api.create_ct(start=0) == api.create_vm(start=0) == "OK"
    for command in ("pct set 101 --cores many", "qm set 100 --memory lots", "pvesh set /nodes/pve1/lxc/101/config --cores many"):
        refused = sim.ssh("pve1", command)
        assert (refused.code, "Parameter verification failed" in refused.err) == (255, True), refused
    assert "cores" not in sim.ssh("pve1", "pct config 101").out
    assert "No 'get' handler defined for '/nonsense'" in sim.ssh("pve1", "pvesh get /nonsense").err


def test_cloud_init_snippet_is_applied_before_the_first_connection(sim: Simulator, api: Api) -> None:
    private = (sim.state / "keys/hosts/vm").read_text()
    indented = "".join(f"    {line}\n" for line in private.splitlines())
    data = (
        f"#cloud-config\nhostname: vm\nssh_keys:\n  ed25519_private: |\n{indented}"
        "write_files:\n- path: /etc/marker\n  content: hello\n  permissions: '0640'\nruncmd:\n- touch /root/ran\n"
    )
    assert api.create_vm(start=0, cicustom="user=local:snippets/vm.yaml") == "OK"
    assert "does not exist" in api.task("POST", "/nodes/pve1/qemu/100/status/start")
    sim.ssh("pve1", "cat > /var/lib/vz/snippets/vm.yaml", data)
    assert api.call("GET", "/nodes/pve1/storage/local/content", content="snippets") == [], "a stock local takes none"
    assert sim.ssh("pve1", "pvesm set local --content iso,vztmpl,backup,snippets").code == 0
    listed = api.call("GET", "/nodes/pve1/storage/local/content", content="snippets")
    assert [item["volid"] for item in listed] == ["local:snippets/vm.yaml"]
    assert api.call("GET", "/nodes/pve2/storage/local/content", content="snippets") == []
    assert api.task("POST", "/nodes/pve1/qemu/100/status/start") == "OK"
    wait_until("the guest answers with its own key", lambda: sim.answers("vm"))
    assert sim.ssh("vm", "cat /etc/marker; stat -c %a /etc/marker; ls /root/ran").out == "hello640\n/root/ran\n"


def test_power_off_inside_a_guest_shows_in_the_api(sim: Simulator, api: Api) -> None:
    assert api.create_vm() == "OK"
    wait_until("the guest boots", lambda: state_of(sim, "vm") == "up")
    give_key(sim, "qemu", 100, "vm")
    sim.reboot("vm")
    assert api.call("GET", "/nodes/pve1/qemu/100/status/current")["status"] == "running"
    sim.ssh("vm", "poweroff")
    wait_until("the API says stopped", lambda: api.call("GET", "/nodes/pve1/qemu/100/status/current")["status"] == "stopped")
    assert not sim.answers("vm")


@pytest.mark.fault
def test_node_offline_takes_its_guests_with_it(sim: Simulator, api: Api) -> None:
    assert api.create_vm() == "OK"
    wait_until("the guest boots", lambda: state_of(sim, "vm") == "up")
    sim.fault("pve1", "node-offline")
    assert state_of(sim, "vm") == "down"
    assert not sim.answers("pve1")
    assert sim.answers("pve2")
    with pytest.raises(urllib.error.HTTPError) as caught:
        api.call("GET", "/nodes/pve1/qemu/100/config")
    assert caught.value.code == 595
    sim.fault("pve1", "node-offline", off=True)
    wait_until("node and guest are back", lambda: sim.answers("pve1") and state_of(sim, "vm") == "up")


@pytest.mark.fault
def test_cluster_faults(sim: Simulator, api: Api) -> None:
    sim.fault("proxmox", "quorum-lost")
    with pytest.raises(urllib.error.HTTPError, match="quorum"):
        api.create_vm()
    sim.fault("proxmox", "quorum-lost", off=True)

    sim.fault("pve1", "storage-full")
    assert "No space left" in api.create_vm()
    sim.fault("pve1", "storage-full", off=True)
    assert sim.status()["guests"] == []

    sim.fault("pve1", "api-500=2")
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError) as caught:
            api.call("GET", "/nodes/pve1/qemu")
        assert caught.value.code == 500
    assert api.call("GET", "/nodes/pve1/qemu") == []
    sim.fault("pve1", "api-500", off=True)

    sim.fault("proxmox", "api-timeout=1")
    with pytest.raises(TimeoutError):
        api.call("GET", "/nodes/pve1/qemu", timeout=0.5)
    assert api.call("GET", "/nodes/pve1/qemu", timeout=5) == []
    sim.fault("proxmox", "api-timeout", off=True)

    sim.fault("proxmox", "bad-password")
    with pytest.raises(urllib.error.HTTPError) as caught:
        Api(sim)
    assert caught.value.code == 401
    sim.fault("proxmox", "bad-password", off=True)
    Api(sim)


def test_wrong_password_is_refused(sim: Simulator) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        Api(sim, password="guess")
    assert caught.value.code == 401
