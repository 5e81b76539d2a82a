"""What an owner sets up once at Proxmox VE: the role, user and token that Aether works with."""

import argparse
import json
import shlex
from collections.abc import Sequence

from inventory import proxmox_rights
from ops.fleet import inventory_of
from ops.stack import Stack


def command(stack: Stack, arguments: list[str]) -> int:
    """`proxmox role [--pve 8|9] [--json]`."""
    parser = argparse.ArgumentParser(prog="aether proxmox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    role = commands.add_parser(
        "role",
        help="the commands that make the token with the least rights",
        description="Print the commands, to be run as root on one node, that make the API token with the rights that the stack's "
        "inventory needs and no others.",
    )
    role.add_argument("--pve", type=int, choices=(8, 9), default=9, help="major version of Proxmox VE (default: 9)")
    role.add_argument("--update", action="store_true", help="user and token are there: change the roles, add new paths")
    role.add_argument("--json", action="store_true", help="the rights as data: privilege, paths, why")
    options = parser.parse_args(arguments)
    use = proxmox_rights.Use.of(inventory_of(stack).content.model_dump(), options.pve)
    if options.json:
        print(json.dumps(_data(use), indent=2))
    else:
        print("\n".join(role_lines(use, stack.name, update=options.update)))
        if stack.simulated:
            print("# This cluster is simulated, and gives its token these rights when it starts:")
            print(f"./aether sim restart --stack {stack.name}")
    return 0


def role_lines(use: proxmox_rights.Use, stack: str, *, update: bool = False) -> list[str]:
    """The commands for USE, each right explained, ending in the one that gives the token to STACK; or those that UPDATE it."""
    user, token = proxmox_rights.USER, proxmox_rights.TOKEN
    grants = proxmox_rights.grants(use)
    roles = {grant.role: grant.privileges for grant in grants}
    role = [f"pveum role {'modify' if update else 'add'} {name} --privs {shlex.quote(' '.join(p))}" for name, p in roles.items()]
    account = [
        f"pveum user add {user} --comment 'Aether: rights of its API token'",
        f"pveum user token add {shlex.quote(user)} {token.partition('!')[2]} --privsep 1 --comment 'Aether: pulumi'",
    ]
    least = ".".join(map(str, proxmox_rights.LEAST_VERSION))
    lines = [
        f"# On one node of the cluster, as root. For Proxmox VE {use.version}; {least} is the least that Aether works with.",
        *_explained(use),
        *role,
        *([] if update else account),
    ]
    for kind, who in (("users", user), ("tokens", token)):
        for grant in grants:
            once = "" if grant.propagate else " --propagate 0"
            lines.append(f"pveum acl modify {grant.path} --{kind} {shlex.quote(who)} --roles {grant.role}{once}")
    if update:
        return lines
    return [
        *lines,
        "# Here, with the value that `pveum user token add` printed:",
        f"pulumi -s {stack} config set --secret aether:proxmoxApiToken {shlex.quote(f'{token}=VALUE')}",
    ]


def _explained(use: proxmox_rights.Use) -> list[str]:
    rights = proxmox_rights.rights(use)
    width = max((len(right.privilege) for right in rights), default=0)
    return [f"#   {right.privilege:{width}}  {right.why}" for right in rights]


def _data(use: proxmox_rights.Use) -> Sequence[dict[str, object]]:
    return [
        {"privilege": right.privilege, "paths": list(proxmox_rights.paths(use, right.area)), "why": right.why}
        for right in proxmox_rights.rights(use)
    ]
