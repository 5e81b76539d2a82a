"""The change as Markdown, for a merge request: what happens to each host, what is replaced and why, what is risky."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from components.base import Operator
from components.requests import DeployRequest, PlaybookRequest, RebaseRequest, SoakRequest, State, changed_fields, host_of
from inventory.files import REPOSITORY
from inventory.models import CloudVm
from inventory.policies import Judge, PolicyError, Subject, load_policies
from ops import plan
from ops.arguments import IN_PART
from ops.changed import changed_hosts
from ops.contents import content_differences
from ops.costs import cost_table, prices
from ops.differences import closure_differences
from ops.fleet import inventory_of
from ops.order import order_changes
from ops.orders.leaving import foreseen
from ops.reboots import reboot_notice
from ops.stack import OpsError, Stack

# Never shown: they say the same on every line, or are how and not what. What `boots` means is said by itself.
_HIDDEN = (*Operator.model_fields, "instance", "inventory", "endpoints", "boots")
_VERBS = {
    "create": "created",
    "update": "changed",
    "delete": "destroyed",
    "replace": "replaced",
    "create-replacement": "replaced",
}
_REPLACES = ("replace", "create-replacement", "delete-replaced")


def review_of(stack: Stack) -> str:
    """Markdown of what `up` would do to STACK."""
    steps = preview_steps(stack, *(["--refresh"] if stack.to_read_back() else []))
    differences = {**content_differences(steps), **closure_differences(stack, steps)}
    return render(steps, stack.name, differences, _costs(stack, steps), foreseen(stack, inventory_of(stack), steps))


def _costs(stack: Stack, steps: list[dict[str, Any]]) -> list[str]:
    """Lines about what the change costs at AWS; none for a stack without machines there."""
    regions = {host.region for host in inventory_of(stack).hosts.values() if isinstance(host, CloudVm)}
    return cost_table(steps, min(regions), prices()) if regions else []


def evaluation(stack: Stack, base: str) -> str:
    """Markdown of what is known of a change since revision BASE without state and secrets: a fork's pipeline has neither.

    Raises:
        OpsError: BASE is no revision, or the policies cannot be read.
    """
    inventory = inventory_of(stack)
    changed = [name for name in changed_hosts(base) if name in inventory.hosts]
    try:
        judge = Judge(load_policies(REPOSITORY), inventory)
    except PolicyError as error:
        raise OpsError(str(error)) from None
    broken = [verdict for verdict in judge.subject(Subject(inventory, REPOSITORY)) if not verdict.reason]
    lines = [f"## Change of stack `{stack.name}`, evaluated alone", ""]
    lines += ["Neither state nor secrets were there: what is made, replaced or destroyed is seen by the owner's own review.", ""]
    names = ", ".join(f"`{name}`" for name in changed)
    lines += [f"{len(changed)} systems change: {names}." if changed else "No system changes.", ""]
    if broken:
        marks = {"mandatory": "**", "advisory": ""}
        lines += ["### Policies", "", *(f"- {marks[each.level]}{each}{marks[each.level]}" for each in broken), ""]
    return "\n".join(lines)


def preview_steps(stack: Stack, *arguments: str) -> list[dict[str, Any]]:
    """Steps of `pulumi preview --json`, of what stays too.

    Raises:
        OpsError: the engine cannot; also not a part of the stack, where a change that waits orders the rest otherwise.
    """
    try:
        shown = stack.output("preview", "--json", "--show-replacement-steps", "--show-sames", *arguments)
    except OpsError as error:
        # It keeps the rest as the state has it, with what it waited for, and then meets that a second time.
        if IN_PART.intersection(arguments) and "Duplicate resource URN" in str(error):
            raise OpsError(
                "A change that is not deployed yet has hosts wait for others than before: until it is, no part of the stack can "
                "be deployed by itself. Nothing was changed. Fix: take the change back, or deploy it with all the rest, once "
                f"that answers: ./aether --stack {stack.name} up"
            ) from None
        raise
    return list(json.loads(_json(shown)).get("steps", []))


def render(
    steps: Iterable[dict[str, Any]],
    stack: str,
    differences: Mapping[str, str] | None = None,
    costs: Sequence[str] = (),
    remarks: Mapping[str, str] | None = None,
) -> str:
    """Markdown of the STEPS of `pulumi preview --json`; DIFFERENCES is text under a host, by name, REMARKS a line more of one,
    COSTS stand before the hosts.
    """
    steps = list(steps)
    changed = [step for step in steps if step["op"] not in ("same", "read") and not _is_component(step)]
    hosts: dict[str, list[str]] = {}
    risks: list[str] = []
    for step in changed:
        host = _host(step)
        line = _line(step)
        if line and line not in hosts.setdefault(host, []):
            hosts[host].append(line)
        risks.extend(risk for risk in _risks(step, host) if risk not in risks)
    lines = [f"## Change of stack `{stack}`", ""]
    order = order_changes(steps)
    if not hosts and not order:
        return "\n".join([*lines, "Nothing changes.", ""])
    if hosts:
        lines += [f"{len(hosts)} of its hosts and services change: {', '.join(f'`{host}`' for host in sorted(hosts))}.", ""]
    if risks:
        lines += ["### Look at these first", "", *(f"- {risk}" for risk in risks), ""]
    lines += costs
    if order:
        lines += ["### Who waits for whom", "", *(f"- {line}" for line in order), ""]
    for host in sorted(hosts):
        remark = [remarks[host]] if remarks and host in remarks else []
        lines += [f"### {host}", "", *(f"- {line}" for line in (*hosts[host], *remark)), ""]
        if differences and host in differences:
            lines += ["```", differences[host], "```", ""]
    return "\n".join(lines)


def summary(steps: Iterable[dict[str, Any]], stack: str) -> dict[str, Any]:
    """What the STEPS of `pulumi preview --json` change, for programs (`aether preview --json`)."""
    steps = list(steps)
    return {
        "stack": stack,
        "changes": [
            {
                "op": step["op"],
                "host": _host(step),
                "type": plan.kind(step),
                "what": _line(step),
                "replacedBecauseOf": list(map(str, step.get("replaceReasons") or [])) if step["op"] in _REPLACES else [],
            }
            for step in plan.changing(steps)
        ],
        "inside": {host: text.splitlines() for host, text in content_differences(steps).items()},
        "reboots": reboots(steps),
        "order": order_changes(steps),
        "losses": [{"name": loss.name, "what": loss.what, "how": loss.option} for loss in plan.losses(steps)],
    }


def reboots(steps: Iterable[dict[str, Any]]) -> list[str]:
    """What is to be said of reboots that the redeployments of STEPS bring, as plain text."""
    found = []
    for step in steps:
        old, new = (DeployRequest.fields_of(step.get(state)) for state in ("oldState", "newState"))
        if step["op"] == "update" and new and (notice := reboot_notice(_host(step), old or {}, new)):
            found.append(notice.replace("**", "").replace("`", ""))
    return found


def _line(step: dict[str, Any]) -> str:
    kind = step["urn"].split("::")[2].rsplit("$", 1)[-1].rsplit(":", 1)[-1]
    verb = _VERBS.get(step["op"], "")
    if not verb:
        return ""
    asked = _asked(step.get("oldState"), step.get("newState"))
    if asked is not None:
        return asked
    properties = [_property(name, step) for name in step.get("detailedDiff") or {}]
    why = f" because of {', '.join(f'`{key}`' for key in step.get('replaceReasons') or [])}" if step["op"] in _REPLACES else ""
    return f"{kind} {verb}{why}{': ' + ', '.join(properties) if properties and step['op'] == 'update' else ''}"


def _asked(before: State, after: State) -> str | None:
    """What a command is asked AFTER, where it was BEFORE; None where it is no command, empty where nobody needs to know."""
    if new := DeployRequest.fields_of(after):
        old = DeployRequest.fields_of(before)
        if old and old["desired"] != new["desired"]:
            return f"system redeployed: `{_short(old['desired'])}` -> `{_short(new['desired'])}`"
        return f"system {'deployed for the first time' if not old else 'deployed again'}{_reasons(before, after)}"
    if new := PlaybookRequest.fields_of(after):
        return f"playbook `{new['playbook']}` {'runs again' if before else 'runs'}{_reasons(before, after)}"
    if new := RebaseRequest.fields_of(after):
        image, digest = new["image"], new["digest"]
        return f"rebased to `{image}@{_short(digest)}`" if digest else f"stays as it is: `{image}` has no digest yet"
    if new := SoakRequest.fields_of(after):
        return f"its wave is watched for {new['soak']} s before the next begins" if new["soak"] != "0" else ""
    return None


def _reasons(before: State, after: State) -> str:
    """The fields by which a command's request became another one."""
    changed = [field for field in changed_fields(before, after) if field not in _HIDDEN] if before else []
    return f" ({', '.join(field.replace('_', ' ') for field in changed)})" if changed else ""


def _property(path: str, step: dict[str, Any]) -> str:
    old, new = (_at(step.get(state, {}).get("inputs", {}), path) for state in ("oldState", "newState"))
    if any(_is_secret(value) for value in (old, new)):
        return f"`{path}` (secret)"
    return f"`{path}` {old} -> {new}" if old is not None or new is not None else f"`{path}`"


def _at(value: Any, path: str) -> Any:
    for part in path.replace("[", ".").replace("]", "").split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _is_secret(value: Any) -> bool:
    return bool(value == "[secret]" or (isinstance(value, dict) and "4dabf18193072939515e22adb298388d" in value))


def _risks(step: dict[str, Any], host: str) -> list[str]:
    state = step.get("oldState") or {}
    found = []
    kind = step["urn"].split("::")[2].rsplit("$", 1)[-1]
    machine = kind.startswith(("proxmoxve:index/vmLegacy", "proxmoxve:index/containerLegacy", "aws:ec2/instance"))
    if machine and step["op"] in _REPLACES:
        found.append(
            f"**{host} is replaced**: its disks are lost ({', '.join(step.get('replaceReasons') or ['reason unknown'])})"
        )
    if machine and step["op"] == "delete":
        found.append(f"**{host} is destroyed** with its disks")
    if state.get("protect") and step["op"] in ("delete", *_REPLACES):
        found.append(f"**{host} is protected**: Pulumi refuses this until `protect` is taken away")
    after = step.get("newState")
    system, image = DeployRequest.fields_of(after), RebaseRequest.fields_of(after)
    if system and (notice := reboot_notice(host, DeployRequest.fields_of(state) or {}, system)):
        found.append(notice)
    if image and image["digest"] and image["reboot"] == "now":
        found.append(f"{host} reboots into its new image")
    return found


def _host(step: dict[str, Any]) -> str:
    return host_of(step.get("newState")) or host_of(step.get("oldState")) or step["urn"].rsplit("::", 1)[1]


def _is_component(step: dict[str, Any]) -> bool:
    kind: str = step["urn"].split("::")[2].rsplit("$", 1)[-1]
    return kind.startswith(("aether:", "pulumi:"))


def _short(closure: str) -> str:
    name = closure.rsplit("/", 1)[-1].removesuffix(".drv")
    kind, _, digest = name.partition(":")
    return f"{kind}:{digest[:12]}" if digest else name[:60]


def _json(text: str) -> str:
    """The JSON document in TEXT: the simulator's or the engine's remarks may stand before it."""
    start = text.find("{")
    if start < 0:
        raise OpsError(f"the engine gave no preview: {text.strip()[:400]}")
    return text[start:]
