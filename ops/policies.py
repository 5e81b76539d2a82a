"""`aether policies`: the rules that previews hold the fleet against, and what breaks them."""

from rich.table import Table

from inventory.files import REPOSITORY
from inventory.policies import Judge, PolicyError, Subject, load_policies
from inventory.policies.builtin import ENDPOINTS
from ops.arguments import parser
from ops.fleet import inventory_of, out
from ops.stack import OpsError, Stack
from stacks.settings import Settings, key_of

# Settings that policies ask, beside those that are URLs.
_ASKED = ("proxmox_insecure", "protect", "endpoints_file")


def policies(stack: Stack, arguments: list[str]) -> int:
    """Hold inventory and settings against the policies, as a preview does; resources are judged by `preview` alone. Exit code 1
    when something breaks a mandatory one."""
    made = parser("policies", policies)
    made.add_argument("--list", action="store_true", help="every policy, its level and its exceptions here")
    options = made.parse_args(arguments)
    inventory = inventory_of(stack)
    try:
        judge = Judge(load_policies(REPOSITORY), inventory)
    except PolicyError as error:
        raise OpsError(str(error)) from None
    if options.list:
        table = Table(box=None, pad_edge=False)
        for column in ("policy", "level", "says", "exceptions"):
            table.add_column(column)
        for policy in judge.policies:
            said = inventory.content.policies.get(policy.name)
            table.add_row(policy.name, judge.level(policy), policy.text, ", ".join(said.exceptions) if said else "")
        out.print(table)
        return 0
    verdicts = list(judge.subject(Subject(inventory, REPOSITORY, _settings(stack))))
    broken = [verdict for verdict in verdicts if not verdict.reason]
    for verdict in sorted(broken, key=lambda verdict: (verdict.level != "mandatory", verdict.policy)):
        out.print(str(verdict), markup=False)
    for line in judge.unused():
        out.print(line, markup=False)
    mandatory = sum(verdict.level == "mandatory" for verdict in broken)
    passed = sum(bool(verdict.reason) for verdict in verdicts)
    out.print(
        f"{len(judge.policies)} policies: {mandatory} findings end a preview, {len(broken) - mandatory} are told, "
        f"{passed} are let pass for a reason"
    )
    return int(mandatory > 0)


def _settings(stack: Stack) -> dict[str, object]:
    found: dict[str, object] = {"stack": stack.name}
    asked = [name for name in Settings.model_fields if name in _ASKED or name.endswith(ENDPOINTS)]
    for name in asked:
        value = stack.setting(key_of(name))
        if value is not None:
            found[name] = {"true": True, "false": False}.get(value, value)
    return found
