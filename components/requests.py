"""What each chained command is asked: one typed request a script, encoded and decoded here and nowhere else.

A request is the environment of a local command, a variable a field (``AETHER_`` and its name): bash reads that without another
program, and Pulumi compares it variable by variable. Standard input is left for what a person reviews (docs/adr/0034).
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import pulumi
import pulumi_command as command
from pydantic import Field

from components.base import Args, Operator, Text, script
from components.health.checks import check_lines
from inventory.models import HealthCheck

_PREFIX = "AETHER_"
_LINES = "\n"
Lines = Annotated[tuple[str, ...], _LINES]
"""One value a line; of a plain tuple, one a word."""
State = Mapping[str, Any] | None
"""Of a command, as the engine's plans and states have it."""


class Request(Args):
    """One command's question. A field that is None is left out of it."""

    script: ClassVar[str]
    """What is run, below components/."""

    @classmethod
    def program(cls) -> str:
        """The script, relative to the repository."""
        return script(*cls.script.split("/"))

    def environment(self) -> dict[str, pulumi.Input[str]]:
        """The variables that the script reads."""
        return dict(self._variables())

    def variables(self) -> dict[str, str]:
        """As `environment`, of a request that waits for no resource: for a script that is run at once."""
        return {name: value for name, value in self._variables() if isinstance(value, str)}

    def _variables(self) -> Iterator[tuple[str, pulumi.Input[str]]]:
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, Operator):
                yield from ((variable(key), str(part)) for key, part in value if part is not None)
            elif isinstance(value, dict):
                yield from ((f"{variable(name)}_{key}", part) for key, part in value.items())
            elif value is not None:
                yield variable(name), _encoded(value, _LINES if _LINES in field.metadata else " ")

    @classmethod
    def fields_of(cls, state: State) -> dict[str, str] | None:
        """The fields that a command of STATE was asked by, as text; None where it is another's. What an earlier release did not
        ask is an empty text.
        """
        inputs = (state or {}).get("inputs") or {}
        given = _given(state)
        if cls.program() not in (inputs.get("create"), inputs.get("update")):
            return None
        names = [name for name in cls.model_fields if name != "operator"]
        if issubclass(cls, HostRequest):
            names += Operator.model_fields
        return {name: str(given.get(variable(name), "")) for name in names}


class HostRequest(Request):
    host: str
    operator: Operator


class DeployRequest(HostRequest):
    """A NixOS host's system: built, copied, activated for a trial, confirmed."""

    script: ClassVar = "nixos/scripts/deploy.sh"
    hostname: tuple[str, ...] = Field(description="What the machine calls itself; then what it did before it was renamed.")
    flake: str
    desired: str
    checks: tuple[HealthCheck, ...]
    settle: int
    confirm_timeout: int
    reboot: Literal["never", "ask", "auto"]
    build_on: str
    drift: str
    may_fail: tuple[str, ...] | None
    boots: str | None
    instance: Text


class OrderRequest(HostRequest):
    """The system of a NixOS host that is away: built, and copied to the fleet's cache (ops/orders)."""

    script: ClassVar = "nixos/scripts/order.sh"
    flake: str
    desired: str
    build_on: str


class ByHandRequest(HostRequest):
    """A reboot or a rollback that somebody asks for (ops/fleet.py); of Fedora Atomic what it has of these."""

    hostname: str
    checks: tuple[HealthCheck, ...]
    settle: int
    confirm_timeout: int
    reboot: str


class RebaseRequest(HostRequest):
    """A Fedora Atomic host, to an image digest."""

    script: ClassVar = "atomic/scripts/rebase.sh"
    hostname: str
    image: str
    digest: Text
    signed: bool
    reboot: Literal["now", "window", "never"]
    window: str
    checks: tuple[HealthCheck, ...]
    drift: str


class PlaybookRequest(HostRequest):
    """A playbook on a host."""

    script: ClassVar = "ansible/scripts/playbook.sh"
    playbook: str
    inventory: str
    endpoints: str
    mode: Literal["check"] | None = Field(default=None, description="Asked at preview: what a run would change.")
    check: str | None = Field(default=None, description="What that found.")
    var: dict[str, Text] = Field(default={}, description="Extra variables of the playbook.")
    instance: Text | None = None


class GuestRequest(HostRequest):
    """Something that is done to a guest over the connection to its node."""

    node: str
    vmid: Text
    instance: Text


class FirstContactRequest(GuestRequest):
    script: ClassVar = "proxmox/scripts/first-contact.sh"
    guest: Literal["vm", "lxc"]
    host_key: str
    lease: tuple[str, str] | None = Field(description="Address and MAC of the lease that it waits for.")


class GrowDisksRequest(GuestRequest):
    script: ClassVar = "proxmox/scripts/grow-disks.sh"
    disks: Lines = Field(description="INTERFACE GIB")


class DataDisksRequest(GuestRequest):
    script: ClassVar = "proxmox/scripts/data-disks.sh"
    disks: Lines = Field(description="MOUNT GIB DATASTORE")


class SettingsRequest(GuestRequest):
    script: ClassVar = "proxmox/scripts/settings.sh"
    settings: Lines = Field(description="As container-settings.sh has them.")


class OptionsRequest(GuestRequest):
    script: ClassVar = "proxmox/scripts/container-options.sh"
    features: str
    devices: tuple[str, ...]


class ImageRequest(Request):
    script: ClassVar = "proxmox/scripts/build-image.sh"
    nix: str
    image: str
    output: str
    desired: str


class CloudContactRequest(HostRequest):
    script: ClassVar = "cloud/scripts/first-contact.sh"
    instance: Text
    bootstrap_key: Text


class HealthRequest(HostRequest):
    script: ClassVar = "health/scripts/healthy.sh"
    checks: tuple[HealthCheck, ...]
    after: Text


class SoakRequest(HostRequest):
    """The hosts of a wave, watched; ``host`` is the wait's own name."""

    script: ClassVar = "rollout/scripts/soak.sh"
    soak: int = Field(description="Seconds; 0: nobody is asked.")
    left: Text = Field(description="What the hosts were left with: something else is watched again.")


class WayHomeRequest(HostRequest):
    script: ClassVar = "scripts/way-home.sh"
    service: str
    timeout: int
    home: Text
    after: Text


class DigestRequest(Request):
    script: ClassVar = "registry/scripts/digest.sh"
    reference: str
    attempt: int
    again: str


class RepositoryRequest(Request):
    """Something at GitHub."""

    github_url: str
    github_token: Text
    repository: Text
    branch: str


class PushRequest(RepositoryRequest):
    script: ClassVar = "github/scripts/push.sh"
    ignored: tuple[str, ...]


class PublishedRequest(RepositoryRequest):
    script: ClassVar = "github/scripts/published.sh"
    commit: Text
    workflow: str
    timeout: int
    registry: str
    images: tuple[str, ...]
    public_key: str
    attempt: int
    again: str


def local_command(
    name: str,
    request: Request,
    opts: pulumi.ResourceOptions,
    *,
    stdin: str | None = None,
    environment: Mapping[str, pulumi.Input[str]] | None = None,
    born: bool | None = None,
    undone: bool = False,
) -> command.local.Command:
    """The command NAME that puts REQUEST to its script, again whenever the request changes.

    STDIN is what a person reviews; ENVIRONMENT what else the script is given. What was BORN as the request says is asked from its
    first change on (None: nothing ever is). Where it is UNDONE, its end is ``SCRIPT delete``.
    """
    run = request.program()
    if born is not None:
        # How it began is no change of it.
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["create"]))
    return command.local.Command(
        name,
        command.local.CommandArgs(
            create=":" if born else run,
            update=None if born is None else run,
            delete=f"{run} delete" if undone else None,
            environment={**request.environment(), **(environment or {})},
            stdin=stdin,
            logging=command.local.Logging.STDERR,
        ),
        opts=opts,
    )


def variable(field: str) -> str:
    """The environment variable of a request's FIELD."""
    return f"{_PREFIX}{field.upper()}"


def changed(field: str) -> str:
    """What a change of a request's FIELD is to Pulumi."""
    return f"environment.{variable(field)}"


def host_of(state: State) -> str:
    """The host that a command of STATE works on; empty where it is no command, or works on none."""
    return str(_given(state).get(variable("host"), ""))


def instance_of(outputs: Mapping[str, Any] | None) -> str:
    """The guest that a command was asked about last, by the OUTPUTS that it left."""
    return str(_given({"inputs": outputs}).get(variable("instance"), ""))


def changed_fields(before: State, after: State) -> list[str]:
    """The fields that a command is asked otherwise AFTER, by name."""
    old, new = _given(before), _given(after)
    return [name.removeprefix(_PREFIX).lower() for name in sorted(new) if old.get(name) != new[name]]


def _given(state: State) -> Mapping[str, Any]:
    given = ((state or {}).get("inputs") or {}).get("environment")
    return given if isinstance(given, Mapping) else {}


def _encoded(value: Any, between: str) -> pulumi.Input[str]:
    if isinstance(value, pulumi.Output):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple) and any(not isinstance(item, str) for item in value):
        return check_lines(value)
    return between.join(value) if isinstance(value, tuple) else str(value)
