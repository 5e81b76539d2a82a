"""Personal machines: nothing that matters is lost with an ephemeral root, identity comes first, homes are the same everywhere."""

import re
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest

from inventory.models import Home
from inventory.overlay import document
from nix.tools import evaluate
from ops.image.nix import DESCRIBE
from tests.home.conftest import KEPT

from .conftest import ask, evaluated, nixos_hosts, replace
from .homes import HOME

EPHEMERAL = ["desktop", "laptop"]
HOSTS = nixos_hosts()

# Facts of a host that these tests ask for; names as in the options.
FACTS = """host: let c = host.config; inherit (host.pkgs) lib; e = c.aether.features.ephemeral; in {
  root = c.fileSystems."/".fsType;
  units = lib.mapAttrs (_: u: u.text) (
    lib.filterAttrs (n: u: u.enable && u.text != null && lib.hasSuffix ".service" n) c.systemd.units);
  tmpfiles = c.systemd.tmpfiles.rules;
  homes = lib.mapAttrs (_: u: u.home) (lib.filterAttrs (_: u: u.createHome) c.users.users);
  inherit (e) kept store;
  inherit (c.aether.persist) volatile home;
  identity = { inherit (c.boot.initrd.systemd.services.aether-identity) before requiredBy script; };
  commit = {
    initrd = builtins.elem "systemd-machine-id-commit.service" c.boot.initrd.systemd.suppressedUnits;
    condition = c.systemd.services.systemd-machine-id-commit.unitConfig.ConditionFirstBoot;
  };
  early = lib.attrNames (lib.filterAttrs (_: f: f.neededForBoot) c.fileSystems);
  fileSystems = lib.mapAttrs (_: f: { inherit (f) device fsType options; }) c.fileSystems;
  hostKeys = map (k: k.path) c.services.openssh.hostKeys;
  sops = c.sops.age.sshKeyPaths;
  operator = c.aether.users.operator;
  luks = lib.mapAttrs (_: d: d.device) c.boot.initrd.luks.devices;
  swap = map (s: s.device) c.swapDevices;
  zram = c.zramSwap.enable;
  persisted = map (d: d.dirPath) (lib.concatMap (u: u.directories) (lib.attrValues c.environment.persistence.${e.store}.users));
  files = map (f: { path = f.filePath; inherit (f) method; })
    (lib.concatMap (u: u.files) (lib.attrValues c.environment.persistence.${e.store}.users));
  restore = {
    unit = c.systemd.user.units."restore-home.service".text or "";
    script = c.systemd.user.services.restore-home.script or "";
    path = map lib.getName (c.systemd.user.services.restore-home.path or [ ]);
  };
}"""


@cache
def facts(host: str) -> dict[str, Any]:
    return dict(ask(f"nixosConfigurations.{host}", FACTS))


def covered(host: str, path: str) -> bool:
    """Does a directory persist, or is its loss explained?"""
    found = facts(host)
    places = [*found["kept"], *found["volatile"]]
    return any(path == place or path.startswith(f"{place}/") for place in places)


def state_directories(unit: str) -> list[str]:
    """What systemd would make for this unit under /var/lib."""
    dynamic = re.search(r"^DynamicUser=(true|1|yes)$", unit, re.MULTILINE)
    names = [name.split(":")[0] for line in re.findall(r"^StateDirectory=(.*)$", unit, re.MULTILINE) for name in line.split()]
    return [f"/var/lib/{'private/' if dynamic else ''}{name}" for name in names]


@pytest.mark.parametrize("host", EPHEMERAL)
class TestEphemeral:
    def test_root_is_memory(self, host: str) -> None:
        assert facts(host)["root"] == "tmpfs"

    def test_every_stateful_service_persists_or_says_why_not(self, host: str) -> None:
        stateful = {name: state_directories(text) for name, text in facts(host)["units"].items() if state_directories(text)}
        print(host, stateful)
        assert len(stateful) >= 3, "the list is empty: has the parser gone blind?"
        assert {name: [path for path in paths if not covered(host, path)] for name, paths in stateful.items()} == {
            name: [] for name in stateful
        }

    def test_directories_that_tmpfiles_makes_persist_or_say_why_not(self, host: str) -> None:
        made = [
            rule.split()[1].strip("'\"") for rule in facts(host)["tmpfiles"] if re.match(r"[dDvqQ]\S*\s+['\"]?/var/lib/", rule)
        ]
        assert [path for path in made if not covered(host, path)] == []

    def test_homes_of_service_users_persist(self, host: str) -> None:
        found = facts(host)
        homes = {name: home for name, home in found["homes"].items() if home.startswith("/var/lib/")}
        assert {name: home for name, home in homes.items() if not covered(host, home)} == {}

    def test_reasons_are_sentences(self, host: str) -> None:
        assert all(len(reason.split()) > 2 for reason in facts(host)["volatile"].values())

    def test_logs_ids_and_users_outlive_a_reboot(self, host: str) -> None:
        assert {"/var/log", "/var/lib/nixos", "/var/lib/systemd"} <= set(facts(host)["kept"])
        assert facts(host)["fileSystems"]["/etc/machine-id"]["device"] == "/persist/etc/machine-id"

    def test_identity_is_there_before_secrets_are_read(self, host: str) -> None:
        found = facts(host)
        assert found["hostKeys"] == found["sops"] == ["/etc/ssh/ssh_host_ed25519_key"]
        assert found["fileSystems"]["/etc/ssh"]["device"] == "/persist/etc/ssh"
        assert {"/persist", "/etc/ssh"} <= set(found["early"])

    def test_the_store_is_not_memory(self, host: str) -> None:
        assert facts(host)["fileSystems"]["/nix"]["fsType"] == "btrfs"

    def test_a_disk_without_identity_starts_too(self, host: str) -> None:
        """A bind mount whose source is missing makes a directory of it, and /etc/machine-id is a file."""
        found = facts(host)["identity"]
        assert set(found["before"]) == {"sysroot-etc-ssh.mount", "sysroot-etc-machine\\x2did.mount"}
        assert found["requiredBy"] == found["before"]
        assert "/sysroot/persist/etc/machine-id" in found["script"] and "/sysroot/persist/etc/ssh" in found["script"]

    def test_the_machines_id_is_not_written_to_where_it_is(self, host: str) -> None:
        """systemd-machine-id-commit fails on a bind-mounted id, at each boot and each deploy, which then reverts."""
        assert facts(host)["commit"] == {"initrd": True, "condition": True}


@pytest.mark.parametrize("host", EPHEMERAL)
class TestPeoplesMachine:
    def test_is_encrypted_and_found_by_label(self, host: str) -> None:
        assert facts(host)["luks"] == {"cryptroot": "/dev/disk/by-partlabel/disk-main-pool"}

    def test_what_the_owner_would_miss_persists(self, host: str) -> None:
        kept = set(facts(host)["persisted"])
        home = f"/home/{facts(host)['operator']}"
        wanted = {*KEPT, ".gnupg", ".mozilla", ".local/share/kwalletd", "Downloads", ".kube", ".talos", ".pulumi", ".config/sops"}
        assert {f"{home}/{name}" for name in wanted} <= kept

    def test_screens_stay_where_the_owner_put_them(self, host: str) -> None:
        """By a link: whatever renames a new file into place cannot do so onto a mount."""
        place = f"/home/{facts(host)['operator']}/.config/kwinoutputconfig.json"
        assert {"path": place, "method": "symlink"} in facts(host)["files"]

    def test_what_is_lost_of_the_home_comes_back_at_login(self, host: str) -> None:
        """tests/home/test_restore.py runs the program itself."""
        found = facts(host)
        home = f"/home/{found['operator']}"
        needed = re.findall(r"^ConditionPathExists=%h/(.*)$", found["restore"]["unit"], re.MULTILINE)
        assert needed == [".local/share/aether/source/home/bin/restore-home", ".config/chezmoi/chezmoi.toml"]
        packages = Home(configuration="me@here").stow
        assert f"~/{needed[0]} '{' '.join(packages)}'" in found["restore"]["script"]
        assert "systemctl --user daemon-reload" in found["restore"]["script"], "environment.d came after the manager read it"
        assert {"chezmoi", "stow", "git", "age"} <= set(found["restore"]["path"])
        # Mounts would be in the way of links, and chezmoi would remember files that are gone.
        places = [f"{home}/{name}" for name in (*packages, ".local/state/chezmoi", ".local/bin")]
        assert [place for place in places if any(f"{place}/".startswith(f"{kept}/") for kept in found["persisted"])] == []

    def test_swap_is_encrypted_or_memory(self, host: str) -> None:
        assert facts(host)["zram"]
        assert set(facts(host)["swap"]) <= {"/swap/swapfile"}


@pytest.mark.parametrize("host", [name for name, facts in HOSTS.items() if "home" in facts])
def test_the_home_environment_is_the_shared_one(host: str) -> None:
    """The system brings the home of nix/home itself: the bootstrap runs no Home Manager on NixOS."""
    configuration = HOSTS[host]["home"]["configuration"]
    alone = ask(f'homeConfigurations."{configuration}".config', HOME)
    users = ask(f"nixosConfigurations.{host}.config.home-manager.users", f"builtins.mapAttrs (_: {HOME})")
    assert list(users) == [configuration.split("@")[0]]
    (system,) = users.values()
    # The command that switches a home is no part of one that comes with the system.
    assert set(alone["packages"]) - {"home-manager"} <= set(system["packages"])
    assert len(alone["packages"]) > 30
    assert set(alone["files"]) <= set(system["files"])
    assert len(alone["files"]) > 10


def test_a_service_whose_state_would_be_lost_stops_the_evaluation(copy: Path) -> None:
    replace(
        copy / "nix/modules/features/wireless.nix",
        '      "/var/lib/NetworkManager"\n',
        "",
    )
    with pytest.raises(
        evaluate.NixError, match=r"(?s)laptop has an ephemeral root, and state of NetworkManager would be lost.*Write"
    ):
        evaluated(copy, "nixosConfigurations.laptop.config.system.build.toplevel.drvPath")


def test_an_ephemeral_root_on_a_disk_of_another_layout_is_refused(copy: Path) -> None:
    """A guest starts from an image with a root that lasts, and no deploy changes what is mounted there."""
    replace(copy / "nix/hosts/trinity/homelab-vm/default.nix", "memory.enable", "ephemeral.enable")
    with pytest.raises(evaluate.NixError, match=r"homelab-vm has an ephemeral root, but nothing that makes its disk"):
        evaluated(copy, "nixosConfigurations.homelab-vm.config.system.build.toplevel.drvPath")


def test_the_lid_hibernates_inside_a_session_too() -> None:
    """PowerDevil takes the lid from logind while Plasma runs."""
    text = ask('nixosConfigurations.laptop.config.environment.etc."xdg/powerdevilrc".text')
    assert re.findall(r"^\[(\w+)\]\[SuspendAndShutdown\]\nSleepMode=(\d)$", text, re.MULTILINE) == [
        ("Battery", "3"),
        ("LowBattery", "3"),
    ]


def test_hibernation_without_swap_is_refused(copy: Path) -> None:
    replace(copy / "nix/hosts/laptop/default.nix", "swap = 16;", "swap = 0;")
    with pytest.raises(evaluate.NixError, match="hibernateAfter needs somewhere to write memory to"):
        evaluated(copy, "nixosConfigurations.laptop.config.system.build.toplevel.drvPath")


@pytest.mark.parametrize(
    ("host", "system"), [("vps", "aarch64-linux"), ("cloud-workstation", "aarch64-linux"), ("desktop", "x86_64-linux")]
)
def test_architecture_is_the_instance_types(host: str, system: str) -> None:
    found = ask(f"nixosConfigurations.{host}.config.nixpkgs.hostPlatform.system")
    assert found == system


@pytest.mark.parametrize("host", HOSTS)
def test_its_operator_has_a_password(host: str) -> None:
    """Without one nobody could sit down at it, and sudo would refuse everybody."""
    user = ask(f"nixosConfigurations.{host}.config.users.users.mitso.hashedPasswordFile")
    assert user == "/run/secrets-for-users/operator-password-hash"


class TestSharedHome:
    """Peers meet: each knows the others' ids, the clients where the others are, and every way in is open."""

    DEVICES = "d: builtins.mapAttrs (_: one: { inherit (one) id addresses; }) d"
    PEERS: ClassVar = {name: host for name, host in HOSTS.items() if "syncthing_id" in host}
    ALL: ClassVar = {
        name: host
        for file in ("homelab.toml", "cloud.toml")
        for name, host in document(evaluate.ROOT / "inventory" / file)["hosts"].items()
        if "syncthing_id" in host
    }

    def settings(self, host: str, copy: Path | None = None) -> dict[str, Any]:
        """Syncthing of a host: the server's is the system's, a person's is Home Manager's."""
        place = "services" if host == "homelab-vm" else "home-manager.users.mitso.services"
        apply = (
            "c: let s = c.PLACE.syncthing; in { inherit (s) enable cert key overrideDevices; inherit (s.settings) devices;"
            " folder = s.settings.folders.shared-home.devices; secrets = c.aether.secrets; rules = c.aether.firewall.allow; }"
        ).replace("PLACE", place)
        attribute = f"nixosConfigurations.{host}.config"
        return dict(evaluated(copy, attribute, apply) if copy else ask(attribute, apply))

    def test_the_one_that_is_always_on_is_a_peer(self) -> None:
        assert {"homelab-vm", "desktop", "laptop"} <= set(self.PEERS)

    @pytest.mark.parametrize("host", sorted(PEERS))
    def test_it_knows_the_others_and_lets_them_in(self, host: str) -> None:
        found, others = self.settings(host), {name: facts for name, facts in self.ALL.items() if name != host}
        assert found["enable"] and found["overrideDevices"] and set(found["folder"]) == set(others)
        assert {name: device["id"] for name, device in found["devices"].items()} == {
            name: facts["syncthing_id"] for name, facts in others.items()
        }
        if host != "homelab-vm":
            # The router lets nothing out of the server's network to them, so that one waits.
            for name, facts in others.items():
                assert found["devices"][name]["addresses"] == [f"tcp://{facts['address']}:22000", "dynamic"]
        assert found["rules"]["syncthing"] == {"tcp": [22000], "udp": [22000], "from": ["clients"]}

    def test_its_identity_is_the_one_in_its_secrets(self, copy: Path) -> None:
        """The id that the others know is of that certificate."""
        for host in ("homelab-vm", "laptop"):
            assert self.settings(host)["cert"] is None, "the example's file holds none: is this test still needed?"
            file = copy / f"secrets/hosts/{host}.yaml"
            file.write_text(f"syncthing-cert: ENC[x]\nsyncthing-key: ENC[x]\n{file.read_text()}")
            found = self.settings(host, copy)
            assert (found["cert"], found["key"]) == ("/run/secrets/syncthing-cert", "/run/secrets/syncthing-key")
            owner, units = ("syncthing", ["syncthing.service"]) if host == "homelab-vm" else ("mitso", [])
            for name in ("syncthing-cert", "syncthing-key"):
                assert (found["secrets"][name]["owner"], found["secrets"][name]["restartUnits"]) == (owner, units)


def wifi(copy: Path | None = None) -> dict[str, Any]:
    """How the cards of machines on Wi-Fi name themselves."""
    found = {}
    for host in ("laptop", "bifrost"):
        option = f"nixosConfigurations.{host}.config.networking.networkmanager.wifi.macAddress"
        found[host] = evaluated(copy, option) if copy else ask(option)
    return found


def test_the_router_knows_the_card_that_it_has_reserved_an_address_for() -> None:
    """Another address for each network would be nobody's there, and deploys would not find the host."""
    # bifrost's other half has the same card, so this half puts on another address.
    assert wifi() == {"laptop": "permanent", "bifrost": HOSTS["bifrost"]["mac"]}


def test_a_card_that_the_router_does_not_know_stays_private(copy: Path) -> None:
    for host in ("laptop", "bifrost"):
        replace(copy / "inventory/homelab.toml", f'mac = "{HOSTS[host]["mac"]}"\n', "")
    assert set(wifi(copy).values()) == {"stable-ssid"}


def test_homes_are_one_configuration_for_every_kind_of_machine() -> None:
    names = ask("homeConfigurations", "builtins.attrNames")
    assert {"mitso@desktop", "mitso@laptop", "mitso@bifrost", "mitso@bifrost-kinoite", "mitso@wsl"} <= set(names)
    for name in names:
        assert str(ask(f'homeConfigurations."{name}".activationPackage.drvPath')).endswith(".drv"), name


# Formats of a kind of machine; one with a single disk that lasts is a backup archive of Proxmox as well.
FORMATS = {
    "nixos-metal": {"raw", "qcow", "iso", "vm"},
    "nixos-vm": {"raw", "qcow", "vm"},
    "nixos-lxc": {"lxc", "vm"},
    "cloud-vm": {"amazon", "raw", "vm"},
}
IMAGES = "legacyPackages.x86_64-linux.images"
# nixpkgs' own module for Proxmox writes out an option that it renamed itself.
NOT_OURS = "Obsolete option `proxmox.qemuConf.diskSize' is used."


# Hosts with services that are exported as OCI images (`aether.oci`).
EXPORTED = ("adguard", "staging-adguard", "step-ca")


def formats(host: str) -> set[str]:
    """Kinds of images that a host has."""
    proxmox = HOSTS[host]["kind"] == "nixos-vm" and len(HOSTS[host].get("disks", [])) <= 1
    return FORMATS[HOSTS[host]["kind"]] | ({"proxmox"} if proxmox else set()) | ({"oci"} if host in EXPORTED else set())


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_has_the_images_of_its_kind(host: str) -> None:
    assert set(ask(IMAGES, "builtins.mapAttrs (_: builtins.attrNames)")[host]) == formats(host)


@pytest.mark.usefixtures("trees")
@pytest.mark.parametrize("kind", sorted(set().union(*(formats(host) for host in HOSTS))))
def test_every_image_evaluates(kind: str) -> None:
    """One Nix for each: together they would hold 10 GB."""
    for host in (host for host in HOSTS if kind in formats(host)):
        found = evaluate.evaluate(f"{IMAGES}.{host}.{kind}.drvPath")
        assert str(found.value).endswith(".drv"), host
        warnings = re.findall(r"evaluation warning: (.*)", found.messages)
        assert [warning for warning in warnings if NOT_OURS not in warning] == [], host


# Images that tests look at, by what `make image` asks of each.
DESCRIBED = [("local-vm", "vm"), ("local-server", "vm"), ("media", "raw"), ("vps", "raw")]


def described(host: str) -> dict[str, Any]:
    wanted = " ".join(f"{name} = ({DESCRIBE}) images.{name}.{kind};" for name, kind in DESCRIBED)
    return dict(ask(IMAGES, f"images: {{ {wanted} }}")[host])


@pytest.mark.parametrize(("host", "sizes"), [("local-vm", {}), ("local-server", {}), ("media", {"system": "4G", "data1": "2G"})])
def test_images_say_what_the_builder_asks(host: str, sizes: dict[str, str]) -> None:
    found = described(host)
    assert found["drvPath"].endswith(".drv") and found["output"].startswith("/") and found["system"] == "x86_64-linux"
    assert found["sizes"] == sizes


def test_an_image_for_aws_says_which_nixos_it_is_and_for_which_machine() -> None:
    found = described("vps")
    assert (found["system"], found["sizes"]) == ("aarch64-linux", {"disk": "4096M"})
    assert re.match(r"\d\d\.\d\d\.", found["nixos"])


@pytest.mark.parametrize("host", ["gateway", "laptop"])
def test_ports_forwarded_to_a_local_vm_are_let_in(host: str) -> None:
    """QEMU forwards from 10.0.2.2, which is nobody in the inventory."""
    rules = ask(f"nixosConfigurations.{host}.config.virtualisation.vmVariant.networking.firewall.extraInputRules")
    assert "ip saddr 10.0.2.2 accept" in rules.splitlines()


@pytest.mark.parametrize("host", ["gateway", "laptop"])
def test_a_local_vm_is_reached_from_its_machine_alone(host: str) -> None:
    """It takes the password that is written in this repository."""
    ports = ask(f"nixosConfigurations.{host}.config.virtualisation.vmVariant.virtualisation.forwardPorts")
    assert ports and {port["host"]["address"] for port in ports} == {"127.0.0.1"}


@pytest.mark.parametrize("host", ["vps", "desktop"])
def test_a_local_vm_of_any_architecture_is_started_here(host: str) -> None:
    assert ask(f"nixosConfigurations.{host}.config.system.build.vm.system") == "x86_64-linux"


@pytest.mark.parametrize("name", ["local-vm", "local-server"])
def test_local_vm_boots_by_nix_run(name: str) -> None:
    assert ask(f"apps.x86_64-linux.{name}.program").endswith(f"/bin/run-{name}-vm")
