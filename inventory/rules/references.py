"""Names that refer to other entries: dependencies (without a circle), builders, the canary."""

from collections.abc import Mapping, Sequence

from inventory.models import (
    DEPLOY_USER,
    AtomicHost,
    CommandCheck,
    External,
    Host,
    ManagedHost,
    NixosHost,
    NixosLxc,
    NixosMetal,
    NixosVm,
    UnitCheck,
)
from inventory.parse import Draft
from inventory.problems import did_you_mean, one_of


def check(draft: Draft) -> None:
    """Dependencies, build_on, rollout, home, and checks that need a login."""
    known = draft.names("hosts")
    for name, host in draft.hosts.items():
        where = f"hosts.{name}"
        for dependency in host.depends_on:
            if dependency == name:
                fix = f"remove '{name}' from depends_on"
                draft.report("depends-on-itself", where, "depends_on", "names the host itself", fix)
            elif dependency in draft.names("nodes"):
                message = f"'{dependency}' is a node, not a host; a guest waits for its node anyway"
                draft.report("unknown-dependency", where, "depends_on", message, f"remove '{dependency}'")
            elif dependency not in known:
                message = f"host '{dependency}' is not declared{did_you_mean(dependency, known)}"
                fix = f"write one of the hosts of this file, or add [hosts.{dependency}]"
                draft.report("unknown-dependency", where, "depends_on", message, fix)
        _builder(draft, name, host)
        _login(draft, name, host)
        _external(draft, name, host)
        _home(draft, name, host)
    for cycle in cycles({name: host.depends_on for name, host in draft.hosts.items()}):
        message = f"goes round in a circle: {' -> '.join([*cycle, cycle[0]])}"
        fix = f"remove '{cycle[0]}' from depends_on of [hosts.{cycle[-1]}], or break the circle elsewhere"
        draft.report("dependency-cycle", f"hosts.{cycle[0]}", "depends_on", message, fix)
    _rollout(draft)
    _builders(draft)


def cycles(depends_on: dict[str, tuple[str, ...]]) -> list[list[str]]:
    """Circles of more than one host, each once, from the host that is written first."""
    found: list[list[str]] = []
    state: dict[str, int] = {}

    def visit(name: str, path: list[str]) -> None:
        state[name] = 1
        for dependency in depends_on.get(name, ()):
            if dependency == name or dependency not in depends_on:
                continue
            if state.get(dependency) == 1:
                found.append([*path, name][[*path, name].index(dependency) :])
            elif dependency not in state:
                visit(dependency, [*path, name])
        state[name] = 2

    for name in depends_on:
        if name not in state:
            visit(name, [])
    return found


def _builder(draft: Draft, name: str, host: Host) -> None:
    if not isinstance(host, NixosHost) or host.build_on in ("operator", "target"):
        return
    where, builder = f"hosts.{name}", host.build_on
    choices = {
        "operator",
        "target",
        *(other for other, facts in draft.hosts.items() if isinstance(facts, NixosHost)),
    }
    if builder not in draft.names("hosts"):
        message = f"'{builder}' is neither operator, target nor a host{did_you_mean(builder, choices)}"
        draft.report("unknown-builder", where, "build_on", message, 'write build_on = "operator" or a NixOS host')
    elif builder in draft.hosts and builder not in choices:
        message = f"host '{builder}' is not a NixOS host, so it cannot build"
        draft.report("unknown-builder", where, "build_on", message, f"write build_on = {one_of(choices)}")
    elif builder in draft.hosts and draft.hosts[builder].ssh_user == DEPLOY_USER:
        message = f"host '{builder}' is deployed as '{DEPLOY_USER}', who may not sign what is built there"
        fix = f'write build_on = "operator", or remove ssh_user of [hosts.{builder}]'
        draft.report("ssh-user", where, "build_on", message, fix)


def _login(draft: Draft, name: str, host: Host) -> None:
    """Who may log in depends on what a host is; without being root only where the system has the steps of a deployment."""
    where, user = f"hosts.{name}", host.ssh_user
    if isinstance(host, AtomicHost) and user != "root":
        message = f"'{user}' cannot rebase it: rpm-ostree is root's"
        draft.report("ssh-user", where, "ssh_user", message, "remove the line")
    if not isinstance(host, NixosHost) or user == "root":
        return
    if user != DEPLOY_USER:
        message = f"'{user}' cannot deploy a NixOS host: root can, and '{DEPLOY_USER}', which its system makes"
        draft.report("ssh-user", where, "ssh_user", message, f'write ssh_user = "{DEPLOY_USER}", or remove the line')
    elif not isinstance(host, NixosVm | NixosLxc | NixosMetal):
        message = "a cloud machine's first contact is SSH as root, so it is deployed as root"
        draft.report("ssh-user", where, "ssh_user", message, "remove the line")
    elif host.home is not None:
        message = f"its home is set up by a playbook, which needs more than '{DEPLOY_USER}' may"
        draft.report("ssh-user", where, "ssh_user", message, "remove the line, or the host's home")
    elif host.build_on == "target":
        message = f"'{DEPLOY_USER}' may only deploy what the fleet's key has signed, and nobody signs what the host builds itself"
        draft.report("ssh-user", where, "build_on", message, 'write build_on = "operator" or another host')
    if draft.site and draft.site.user == DEPLOY_USER == user:
        draft.report("ssh-user", where, "ssh_user", f"'{user}' is the site's user, a person", "call the site's user otherwise")


def _builders(draft: Draft) -> None:
    """Who builds for the operator is a host that is logged in to, at SSH's own port: Nix has no word for another one."""
    managed = {name for name, host in draft.hosts.items() if isinstance(host, ManagedHost)}
    for name in draft.builders:
        host = draft.hosts.get(name)
        if name not in managed and (host is not None or name not in draft.names("hosts")):
            message = f"'{name}' is not a host of this file that Aether logs in to{did_you_mean(name, managed)}"
            draft.report("unknown-builder", f"builders.{name}", "", message, f"name the table after {one_of(managed)}")
        elif host is not None and host.ssh_user == DEPLOY_USER:
            message = f"host '{name}' is deployed as '{DEPLOY_USER}', for whom its Nix builds nothing that others sent"
            draft.report("ssh-user", f"builders.{name}", "", message, f"remove the table, or ssh_user of [hosts.{name}]")
        elif host is not None and host.ssh_port != 22:
            message = f"answers on SSH port {host.ssh_port}, and Nix asks builders at port 22"
            draft.report("builder-port", f"builders.{name}", "", message, f"write ssh_port = 22 below [hosts.{name}]")


def _external(draft: Draft, name: str, host: Host) -> None:
    if not isinstance(host, External):
        return
    for i, check in enumerate(host.health):
        if isinstance(check, UnitCheck | CommandCheck):
            message = "needs a login, and an external host is never logged in to"
            draft.report("check-needs-login", f"hosts.{name}", f"health[{i}]", message, "write a tcp or http check")


def _home(draft: Draft, name: str, host: Host) -> None:
    if host.home is None:
        return
    user, _, machine = host.home.configuration.partition("@")
    wanted = f'write configuration = "{draft.site.user if draft.site else user}@{name}"'
    if draft.site and user != draft.site.user:
        message = f"user '{user}' is not the site's ({draft.site.user})"
        draft.report("home-user", f"hosts.{name}", "home.configuration", message, wanted)
    # An environment's host has the home of the one that it stands for.
    if machine not in draft.names("hosts") and machine not in {facts.stands_for for facts in draft.hosts.values()}:
        message = f"host '{machine}' is not declared{did_you_mean(machine, draft.names('hosts'))}"
        draft.report("home-host", f"hosts.{name}", "home.configuration", message, wanted)


def _rollout(draft: Draft) -> None:
    rollout = draft.rollout
    managed = {name for name, host in draft.hosts.items() if isinstance(host, ManagedHost)}
    if rollout.strategy in ("canary", "waves") and not rollout.canary:
        message = f'is missing with strategy = "{rollout.strategy}"'
        draft.report(
            "canary-missing", "rollout", "canary", message, 'write canary = "cockpit" or another host, or a list of hosts'
        )
    elif rollout.canary and rollout.strategy not in ("canary", "waves"):
        message = f"has no effect with strategy = '{rollout.strategy}'"
        draft.report("canary-unused", "rollout", "canary", message, 'remove it, or write strategy = "canary"')
    if rollout.soak and rollout.strategy != "waves":
        message = f"has no effect with strategy = '{rollout.strategy}'"
        draft.report("soak-unused", "rollout", "soak", message, 'remove it, or write strategy = "waves"')
    for canary in rollout.canary:
        if canary not in managed and (canary in draft.hosts or canary not in draft.names("hosts")):
            message = f"'{canary}' is not a host of this file that Aether logs in to{did_you_mean(canary, managed)}"
            draft.report("unknown-canary", "rollout", "canary", message, f"write canary = {one_of(managed)}")
        elif rollout.strategy == "waves" and canary in draft.hosts:
            _proves_something(draft, canary)


def _proves_something(draft: Draft, canary: str) -> None:
    """A canary of waves is there, and runs what it was given: everybody else waits for it."""
    depends_on = {name: list(host.depends_on) for name, host in draft.hosts.items()}
    for name in [canary, *sorted(ancestors(canary, depends_on))]:
        if getattr(draft.hosts.get(name), "roams", False):
            what = f"'{canary}' may be away" if name == canary else f"'{canary}' depends on '{name}', which may be away"
            message = f"{what} (roams), and all other hosts would wait for it"
            draft.report("canary-roams", "rollout", "canary", message, "write a host that stays, or remove roams = true")
    host = draft.hosts[canary]
    if isinstance(host, AtomicHost) and host.reboot != "now":
        message = f"'{canary}' boots its image another time (reboot = \"{host.reboot}\"), so it would prove nothing"
        draft.report("canary-not-booted", "rollout", "canary", message, 'write reboot = "now" there, or another canary')


def ancestors(name: str, depends_on: Mapping[str, Sequence[str]]) -> set[str]:
    """All that NAME waits for by DEPENDS_ON, directly or by others."""
    found: set[str] = set()
    todo = list(depends_on.get(name, ()))
    while todo:
        other = todo.pop()
        if other not in found:
            found.add(other)
            todo.extend(depends_on.get(other, ()))
    return found
