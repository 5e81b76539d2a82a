"""The cloud's account and the image repository: what they name must be there."""

from pathlib import Path

from inventory.models import CloudVm
from inventory.parse import Draft
from inventory.problems import did_you_mean, one_of


def check(draft: Draft) -> None:
    """``[cloud]`` against the machines in it, ``[image]`` against the file of its hosts."""
    machines = {name: host for name, host in draft.hosts.items() if isinstance(host, CloudVm)}
    if draft.cloud is None:
        if machines and "cloud" not in draft.raw:
            message = f"is missing, and {', '.join(machines)} would be in it"
            fix = 'write [cloud] with gateway = "public-gateway" and the other fields of docs/inventory.md'
            draft.report("cloud-missing", "cloud", "", message, fix)
    else:
        gateway = draft.cloud.gateway
        if gateway not in machines and (gateway in draft.hosts or gateway not in draft.names("hosts")):
            message = f"'{gateway}' is not a cloud-vm of this file{did_you_mean(gateway, machines)}"
            draft.report("unknown-gateway", "cloud", "gateway", message, f"write gateway = {one_of(machines)}")
        zone = draft.cloud.availability_zone
        for name, host in machines.items():
            if not zone.startswith(host.region):
                message = f"'{host.region}' is not where the network is ({zone})"
                fix = f'write region = "{zone.rstrip("abcdef")}", or correct availability_zone of [cloud]'
                draft.report("region-outside-zone", f"hosts.{name}", "region", message, fix)
    if draft.image and not Path(draft.file).with_name(draft.image.hosts).is_file():
        files = [path.name for path in Path(draft.file).parent.glob("*.toml")]
        message = f"no file {draft.image.hosts} beside this one{did_you_mean(draft.image.hosts, files)}"
        draft.report("no-such-inventory", "image", "hosts", message, f"write hosts = {one_of(files)}")
