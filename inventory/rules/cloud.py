"""The cloud's account and the image repository: what they name must be there."""

import re
from collections.abc import Mapping
from pathlib import Path

from inventory.models import AmazonLinuxVm, Cloud, CloudVm, NixosCloudVm
from inventory.parse import Draft
from inventory.problems import did_you_mean, one_of

# Older images may answer with a host key that they made themselves: https://github.com/NixOS/nixpkgs/pull/444040
OLDEST_NIXOS = (25, 11)


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
        _relays(draft, draft.cloud, machines.get(gateway))
        zone = draft.cloud.availability_zone
        for name, host in machines.items():
            if gateway in machines:
                _configured_as_its_place_is(draft, name, host, gateway)
            if not zone.startswith(host.region):
                message = f"'{host.region}' is not where the network is ({zone})"
                fix = f'write region = "{zone.rstrip("abcdef")}", or correct availability_zone of [cloud]'
                draft.report("region-outside-zone", f"hosts.{name}", "region", message, fix)
    _domain(draft, machines)
    for name, host in machines.items():
        if isinstance(host, NixosCloudVm):
            _image(draft, name, host)
    if draft.image and not Path(draft.file).with_name(draft.image.hosts).is_file():
        files = [path.name for path in Path(draft.file).parent.glob("*.toml")]
        message = f"no file {draft.image.hosts} beside this one{did_you_mean(draft.image.hosts, files)}"
        draft.report("no-such-inventory", "image", "hosts", message, f"write hosts = {one_of(files)}")


def _configured_as_its_place_is(draft: Draft, name: str, host: CloudVm, gateway: str) -> None:
    """The public gateway is a playbook's work, the machines beside it are NixOS (stacks/cloud.py)."""
    if name == gateway and isinstance(host, NixosCloudVm):
        fix = 'write os = "amazon-linux" with playbook = "public-gateway.yml", or name another machine in gateway'
        draft.report(
            "gateway-by-playbook", f"hosts.{name}", "os", "is nixos, and the public gateway is set up by a playbook", fix
        )
    if name != gateway and isinstance(host, AmazonLinuxVm):
        message = f"is {host.os}, and machines beside the public gateway run NixOS"
        draft.report("machine-by-flake", f"hosts.{name}", "os", message, 'write os = "nixos", and give it a file in nix/hosts/')


def _relays(draft: Draft, cloud: Cloud, gateway: CloudVm | None) -> None:
    """Each relay has a port of its own, which the gateway opens to nobody else."""
    taken = {opening.port: f"open of {cloud.gateway}" for opening in gateway.open if opening.protocol == "tcp"} if gateway else {}
    if gateway:
        taken[gateway.ssh_port] = f"SSH of {cloud.gateway}"
    for name, relay in cloud.relays.items():
        if relay.listen in taken:
            message = f"{relay.listen} has {taken[relay.listen]} already"
            draft.report("relay-port-taken", "cloud", f"relays.{name}.listen", message, "write another port")
        taken.setdefault(relay.listen, f"relay {name}")


def _domain(draft: Draft, machines: Mapping[str, CloudVm]) -> None:
    """Names are records of the public zone: Route 53 would take one outside it for a name below it."""
    site = draft.site
    if site is None or not machines or f".{site.domain}".endswith(f".{site.public_domain}"):
        return
    message = f"'{site.domain}' is outside '{site.public_domain}', whose zone holds the machines' names"
    draft.report("domain-outside-zone", "site", "domain", message, f'write domain = "{site.name}.{site.public_domain}"')


def _image(draft: Draft, name: str, host: NixosCloudVm) -> None:
    where, fix = f"hosts.{name}", "run `./aether cloud images` and write the two lines that it prints"
    if host.ami_name is None:
        draft.report("image-unnamed", where, "ami_name", f"is missing: nothing says which NixOS {host.ami} is", fix)
        return
    # The project's, or one's own (`aether image publish`).
    found = re.match(r"(?:nixos|aether)/(\d+)\.(\d+)", host.ami_name)
    if not found or (int(found[1]), int(found[2])) < OLDEST_NIXOS:
        message = (
            f"'{host.ami_name}' is not NixOS {OLDEST_NIXOS[0]}.{OLDEST_NIXOS[1]} or newer, which keeps the host key it is given"
        )
        draft.report("image-too-old", where, "ami_name", message, fix)
