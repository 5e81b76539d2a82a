"""Groups that deploy a part of the fleet: of hosts that a certificate opens, and under names that are nobody's."""

from inventory.models import DEPLOY_USER, Deployers
from inventory.parse import Draft
from inventory.problems import did_you_mean, one_of


def check(draft: Draft) -> None:
    """Every [deployers.…] table."""
    able = {name for name, host in draft.hosts.items() if host.ssh_user == DEPLOY_USER}
    for name, group in draft.deployers.items():
        _hosts(draft, name, group, able)
        if draft.site and draft.site.user == f"{DEPLOY_USER}-{name}":
            message = f"'{draft.site.user}' is the site's user, so the group's certificates would open that account"
            draft.report("reserved-name", f"deployers.{name}", "", message, "give the group another name")


def _hosts(draft: Draft, name: str, group: Deployers, able: set[str]) -> None:
    """A certificate opens the account of deployments, which hosts have that are not deployed as root."""
    where = f"deployers.{name}"
    for host in group.hosts:
        if host not in draft.names("hosts"):
            message = f"host '{host}' is not declared{did_you_mean(host, draft.names('hosts'))}"
            draft.report("unknown-host", where, "hosts", message, f"write {one_of(able)}")
        elif host in draft.hosts and host not in able:
            message = f"'{host}' is deployed as {draft.hosts[host].ssh_user}, whom no certificate opens"
            fix = f"write ssh_user = \"{DEPLOY_USER}\" below [hosts.{host}], or remove '{host}'"
            draft.report("deployers-root", where, "hosts", message, fix)
    tagged = {tag for host in draft.hosts.values() for tag in host.tags}
    known = set(draft.hosts) == draft.names("hosts")
    for tag in group.tags:
        if tag not in tagged and known:
            message = f"no host has the tag '{tag}'{did_you_mean(tag, tagged)}"
            draft.report("unknown-tag", where, "tags", message, f"write {one_of(tagged)}")
    if known and not group.hosts and not any(group.opens(host, facts) for host, facts in draft.hosts.items()):
        message = f"opens no host that is deployed as {DEPLOY_USER}"
        draft.report("deployers-empty", where, "", message, 'write hosts = ["…"], or tags = ["…"] of such hosts')
