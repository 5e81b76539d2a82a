"""Machines that exist before any deployment: nodes, router, workstations, and everybody's home on them."""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pulumi

from components.ansible.playbook import Playbook, PlaybookArgs
from components.ansible.sources import Playbooks, playbook_content
from components.atomic.host import AtomicHost, AtomicHostArgs
from components.base import Operator
from components.home.bootstrap import HomeBootstrap, HomeBootstrapArgs
from inventory.ansible import guest_networks, peers
from inventory.files import REPOSITORY
from inventory.load import Inventory
from inventory.models import AnsibleHost, ManagedHost, Node
from inventory.models import AtomicHost as AtomicHostFacts
from inventory.readers import UNREAD_BY_PLAYBOOKS
from stacks.ansible_check import checks
from stacks.images import Images
from stacks.rollout import activation_order
from stacks.settings import Settings
from stacks.waves import Waves

HOME_SOURCES = (Path("home"), Path("nix/home"), Path("nix/lib"), Path("flake.lock"))


class Machines:
    """Registers the machines of one stack; each is configured once what it depends on is."""

    def __init__(self, settings: Settings, inventory: Inventory, operator: Operator, waves: Waves) -> None:
        self.settings = settings
        self.inventory = inventory
        self.operator = operator
        self.waves = waves
        self.sources = Playbooks(REPOSITORY)
        self.checked = checks(settings, operator, self._playbooks()) if settings.ansible_check else {}

    def _playbooks(self) -> dict[str, str]:
        """Playbook of each node and of each host that stays on Ansible. A host whose playbook is its home's has it there."""
        hosts = {name: host.playbook for name, host in self._hosts(AnsibleHost).items() if host.playbook != "bootstrap.yml"}
        return {name: node.playbook for name, node in self.inventory.nodes.items() if not node.shared} | hosts

    def nodes(self) -> dict[str, Playbook]:
        """The playbook of each Proxmox node of this environment, one node after the other: a mistake stops at the first.

        None waits for one that is down (`ops` found out, and says it in the environment).
        """
        down = os.environ.get("AETHER_NODES_DOWN", "").split(",")
        made: dict[str, Playbook] = {}
        for name, node in self.inventory.nodes.items():
            if node.shared:
                continue
            before = [playbook for other, playbook in made.items() if other not in down][-1:]
            made[name] = self._playbook(name, node.playbook, self._of_node(name, node), before)
        return made

    def ansible(self, done: Mapping[str, pulumi.Resource]) -> dict[str, Playbook]:
        """The playbook of each host that stays on Ansible."""
        playbooks = self._playbooks()
        hosts = {name: host for name, host in self._hosts(AnsibleHost).items() if name in playbooks}
        made: dict[str, Playbook] = {}
        for name, before in activation_order(self.inventory, hosts).items():
            host = hosts[name]
            made[name] = self._playbook(name, host.playbook, host.model_dump(), self._after(name, before, {**done, **made}))
            self.waves.took(name, made[name])
        return made

    def atomic(self, drifted: Mapping[str, str], done: Mapping[str, pulumi.Resource], images: Images) -> dict[str, AtomicHost]:
        """The image of each Fedora Atomic host: the digest that the inventory pins, or that IMAGES knows."""
        hosts = self._hosts(AtomicHostFacts)
        digests = {name: digest for name, host in hosts.items() if (digest := images.digest(name, host)) is not None}
        made: dict[str, AtomicHost] = {}
        for name, before in activation_order(self.inventory, digests).items():
            host = hosts[name]
            made[name] = AtomicHost(
                name,
                AtomicHostArgs(
                    hostname=name,
                    image=host.image,
                    digest=digests[name],
                    signed=host.signed,
                    reboot=host.reboot,
                    window=host.window or "",
                    health=host.health,
                    drift=drifted.get(name),
                    operator=self.operator,
                ),
                opts=pulumi.ResourceOptions(depends_on=self._after(name, before, {**done, **made})),
            )
            self.waves.took(name, made[name])
        return made

    def homes(
        self, done: Mapping[str, pulumi.Resource], instances: Mapping[str, pulumi.Output[str]] | None = None
    ) -> dict[str, HomeBootstrap]:
        """The home of each host that has one, once its system is there; again on another of INSTANCES."""
        hosts = {name: host for name, host in self._hosts(ManagedHost).items() if host.home is not None}
        made: dict[str, HomeBootstrap] = {}
        for name, before in activation_order(self.inventory, hosts).items():
            host = hosts[name]
            first: list[pulumi.Input[pulumi.Resource]] = [*([done[name]] if name in done else []), *self.waves.before(name)]
            made[name] = HomeBootstrap(
                name,
                HomeBootstrapArgs(
                    home=host.home,
                    content=self._content("bootstrap.yml", playbook_facts(host.model_dump()), HOME_SOURCES),
                    inventory=str(self.settings.inventory),
                    endpoints_file=self.settings.endpoints_file,
                    instance=(instances or {}).get(name, ""),
                    operator=self.operator,
                ),
                opts=pulumi.ResourceOptions(depends_on=[*first, *(made[other] for other in before)], aliases=renamed(host)),
            )
            self.waves.took(name, made[name])
        return made

    def _hosts(self, kind: type[Any]) -> dict[str, Any]:
        return self.inventory.of(kind, self.settings.phase)

    def _after(
        self, name: str, before: Sequence[str], done: Mapping[str, pulumi.Resource]
    ) -> list[pulumi.Input[pulumi.Resource]]:
        """What is DONE of all that the host NAME depends on, and of the hosts BEFORE it in the roll-out."""
        known = [done[other] for other in dict.fromkeys((*self.inventory.hosts[name].depends_on, *before)) if other in done]
        return [*known, *self.waves.before(name)]

    def _playbook(
        self, name: str, playbook: str, facts: dict[str, Any], after: Sequence[pulumi.Input[pulumi.Resource]] = ()
    ) -> Playbook:
        return Playbook(
            name,
            PlaybookArgs(
                host=name,
                playbook=playbook,
                content=self._content(playbook, facts),
                inventory=str(self.settings.inventory),
                endpoints_file=self.settings.endpoints_file,
                check=self.checked.get(name),
                operator=self.operator,
            ),
            opts=pulumi.ResourceOptions(depends_on=list(after)),
        )

    def _of_node(self, name: str, node: Node) -> dict[str, Any]:
        """What the playbook of a NODE is told of it, as ``inventory.ansible`` tells it."""
        return node.model_dump() | {"guest_networks": guest_networks(self.inventory, name)}

    @cached_property
    def _tables(self) -> dict[str, Any]:
        """The inventory as playbooks see it."""
        content = self.inventory.content
        tables = {
            f"aether_{table}": content.model_dump(include={table})[table] for table in ("site", "networks", "nodes", "services")
        }
        tables["aether_hosts"] = {name: playbook_facts(host.model_dump()) for name, host in self.inventory.hosts.items()}
        tables["aether_peers"] = peers(tables["aether_hosts"])
        return tables

    def _content(self, playbook: str, facts: dict[str, Any], extra: tuple[Path, ...] = ()) -> dict[str, Any]:
        return playbook_content(self.sources, playbook, facts, self._tables, extra)


def renamed(host: object) -> list[pulumi.Alias | str]:
    """Aliases of a component of HOST: what the state calls it until the host is renamed. Its children inherit them."""
    was = getattr(host, "was", None)
    return [pulumi.Alias(name=was)] if was else []


def playbook_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """A host's facts without those that only its provisioning uses."""
    return {key: value for key, value in facts.items() if key not in UNREAD_BY_PLAYBOOKS}
