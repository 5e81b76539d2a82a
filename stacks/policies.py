"""Policies in a preview: the inventory and the settings before anything is registered, each resource as it is."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from inventory.files import REPOSITORY
from inventory.load import Inventory
from inventory.policies import Judge, PolicyError, Resource, Subject, Verdict, load_policies
from inventory.problems import some
from stacks.errors import SettingsError
from stacks.settings import Settings


def enforce(settings: Settings, inventory: Inventory) -> None:
    """Hold INVENTORY and SETTINGS against the policies, and from now on every resource.

    What is advisory is told as a warning.

    Raises:
        SettingsError: with everything that breaks a mandatory policy, or why the policies cannot be read.
    """
    try:
        judge = Judge(load_policies(REPOSITORY), inventory)
    except PolicyError as error:
        raise SettingsError(str(error)) from None
    plain = {field: getattr(settings, field) for field in Settings.model_fields}
    broken = [verdict for verdict in judge.subject(Subject(inventory, REPOSITORY, plain)) if not verdict.reason]
    for line in (*told([verdict for verdict in broken if verdict.level == "advisory"]), *judge.unused()):
        pulumi.log.warn(line)
    if mandatory := [str(verdict) for verdict in broken if verdict.level == "mandatory"]:
        raise SettingsError("\n".join(mandatory))
    if any(policy.resource for policy in judge.policies):
        pulumi.runtime.register_stack_transformation(lambda args: _judged(judge, args))


def told(verdicts: Sequence[Verdict]) -> list[str]:
    """A line a policy: what breaks it, or, where that is several, who does. Every preview says it again."""
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.policy, []).append(verdict)
    return [
        str(these[0])
        if len(these) == 1
        else f"{these[0].file}: {some([each.finding.about for each in these], 12)}: break the advisory policy {name}. "
        "Fix: ./aether policies says what to write for each"
        for name, these in found.items()
    ]


def _judged(judge: Judge, args: pulumi.ResourceTransformationArgs) -> None:
    """Nothing is changed of the resource.

    Raises:
        SettingsError: it breaks a mandatory policy. Pulumi registers neither it nor what comes after.
    """
    options = pulumi.ResourceOptions.merge(None, args.opts)
    properties = {name: plain(value) for name, value in args.props.items()}
    mandatory: list[Verdict] = []
    for verdict in judge.resource(Resource(args.type_, args.name, properties, bool(options.protect))):
        if verdict.reason:
            continue
        if verdict.level == "mandatory":
            mandatory.append(verdict)
        else:
            pulumi.log.warn(str(verdict))
    if mandatory:
        raise SettingsError("\n".join(str(verdict) for verdict in mandatory))


def plain(value: Any) -> Any:
    """VALUE of a property as far as it is known: an Output is None, a block of the SDK's is a dict."""
    if isinstance(value, pulumi.Output):
        return None
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if hasattr(type(value), "_pulumi_type") or getattr(type(value), "__module__", "").startswith("pulumi_"):
        return {name: plain(each) for name, each in vars(value).items()}
    return value
