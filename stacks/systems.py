"""The systems of a stack's NixOS hosts: one wiring, wherever a host is."""

from collections.abc import Mapping, Sequence

import pulumi

from components.base import Operator, Text
from components.nixos.desired import Desired, EvaluationError, desired_closures, untracked
from components.nixos.system import NixosSystem, NixosSystemArgs
from inventory.files import REPOSITORY
from inventory.load import Inventory
from inventory.models import NixosHost
from inventory.problems import some
from stacks.errors import SettingsError
from stacks.platforms import builders_systems, foreign, operator_systems, unbuildable
from stacks.settings import Settings

# Files that a preview names, which says it at every turn of its display.
_NAMED = 6


def desired_systems(settings: Settings, inventory: Inventory, hosts: Mapping[str, NixosHost]) -> dict[str, Desired]:
    """What each of HOSTS should run.

    Raises:
        SettingsError: one of them cannot be evaluated, or nobody can build it.
    """
    # Asking Nix takes as long as hashing all sources: only for what it may not be able to build.
    able = operator_systems(settings.nix) if foreign(hosts) else None
    if problems := unbuildable(hosts, able and able | builders_systems(inventory)):
        raise SettingsError("\n".join(problems))
    if unseen := untracked(REPOSITORY):
        add = " ".join(unseen if len(unseen) <= _NAMED else sorted({file.partition("/")[0] for file in unseen}))
        pulumi.log.warn(f"git does not track {some(unseen, _NAMED)}, so the flake does not see it. Fix: git add {add}")
    try:
        return desired_closures(
            REPOSITORY,
            [settings.inventory],
            {name: facts.flake or name for name, facts in hosts.items()},
            evaluator=settings.evaluator,
            nix=settings.nix,
        )
    except EvaluationError as error:
        raise SettingsError(str(error)) from None


def deployed_system(
    name: str,
    facts: NixosHost,
    desired: Desired,
    *,
    operator: Operator,
    instance: Text = "",
    drift: str | None = None,
    after: Sequence[pulumi.Input[pulumi.Resource]] = (),
    was: str | None = None,
    aliases: Sequence[pulumi.Alias | str] | None = None,
) -> NixosSystem:
    """The system of a host, deployed AFTER what it stands on and what it depends on; again on another INSTANCE.

    WAS and ALIASES are of a host that had another name.
    """
    return NixosSystem(
        name,
        NixosSystemArgs(
            hostname=name,
            was=was,
            flake=facts.flake or name,
            desired=desired.closure,
            boots=desired.boots,
            system=desired.system,
            health=facts.health,
            settle=facts.settle,
            may_fail=facts.may_fail,
            confirm_timeout=facts.confirm_timeout,
            reboot=facts.reboot,
            build_on=facts.build_on,
            instance=instance,
            drift=drift,
            operator=operator,
        ),
        opts=pulumi.ResourceOptions(depends_on=list(after), aliases=aliases),
    )
