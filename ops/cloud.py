"""What the public side needs of AWS: the newest official images, and the least rights."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from inventory.models import CloudVm
from ops.arguments import parser
from ops.aws import Account, answering
from ops.fleet import inventory_of
from ops.stack import OpsError, Stack

# https://nixos.github.io/amis: the account of the NixOS project.
NIXOS_OWNER = "427812963091"
NIXOS_RELEASE = "25.11"
ARCHITECTURES = ("arm64", "x86_64")
NAMES = {
    "nixos": (NIXOS_OWNER, f"nixos/{NIXOS_RELEASE}*"),
    "amazon-linux": ("amazon", "al2023-ami-2023.*-kernel-6.1-*"),
}


def cloud(stack: Stack, arguments: list[str]) -> int:
    """images: the newest official images of the region, with the lines to write into the inventory; policy: the least rights."""
    made = parser("cloud", cloud)
    verbs = made.add_subparsers(dest="verb", required=True, metavar="{images,policy}")
    images = verbs.add_parser("images", help="the newest official image of each system and architecture")
    images.add_argument("--region", help="default: the region of the stack's machines")
    images.add_argument("--endpoint", help=argparse.SUPPRESS)
    rights = verbs.add_parser("policy", help="the IAM policy of whoever deploys the stack")
    rights.add_argument("--images", action="store_true", help="of whoever publishes images (image publish) instead")
    rights.add_argument("--write", metavar="FILE", help="replace the table of rights in FILE (docs/aws.md) instead")
    options = made.parse_args(arguments)
    if options.verb == "policy" and options.write:
        from ops.cloud_policy import replace_block

        path = Path(options.write)
        path.write_text(replace_block(path.read_text()))
        return 0
    if options.verb == "policy":
        return show_policy(stack, images=options.images)
    return show_images(_region(stack, options.region), options.endpoint)


def show_images(region: str, endpoint: str | None = None) -> int:
    """Print each system's and architecture's newest image as lines of the inventory; exit code 1 where there is none.

    Raises:
        OpsError: AWS does not answer, or refuses the credentials.
    """
    missing = 0
    for system in NAMES:
        for architecture in ARCHITECTURES:
            image = newest(of_system(region, system, architecture, endpoint))
            print(f"\n# {system}, {architecture}, {region}" + (f", of {image['CreationDate'][:10]}" if image else ""))
            if image is None:
                missing += 1
                print(f"# none: {NAMES[system][1]} of {NAMES[system][0]} is not in this region")
                continue
            print(f'ami = "{image["ImageId"]}"\nami_name = "{image["Name"]}"')
    return 1 if missing else 0


def show_policy(stack: Stack, *, images: bool = False) -> int:
    """Print the policy of whoever deploys STACK; with IMAGES that of whoever publishes images for it.

    Raises:
        OpsError: the stack has no cloud.
    """
    from ops.cloud_policy import policy, printed, publishing

    inventory = inventory_of(stack)
    if inventory.cloud is None:
        raise OpsError(f"stack {stack.name} has no [cloud]. Fix: --stack cloud")
    region = _region(stack, None)
    print(printed(publishing(region) if images else policy(inventory.site.name, region, inventory.cloud.zone_id)))
    return 0


def newest(images: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The image that was made last."""
    return max(images, key=lambda image: str(image["CreationDate"]), default=None)


def of_system(region: str, system: str, architecture: str, endpoint: str | None = None) -> list[dict[str, Any]]:
    """The official images of a SYSTEM (of NAMES) that are in the REGION.

    Raises:
        OpsError: AWS does not answer, or refuses the credentials.
    """
    owner, name = NAMES[system]
    wanted = {"name": name, "architecture": architecture, "state": "available"}
    return _described(
        region, endpoint, Owners=[owner], Filters=[{"Name": key, "Values": [value]} for key, value in wanted.items()]
    )


def image_of(region: str, ami: str, endpoint: str | None = None) -> dict[str, Any] | None:
    """The image AMI, whoever made it; None where the REGION has none.

    Raises:
        OpsError: as `of_system`.
    """
    return next(iter(_described(region, endpoint, Filters=[{"Name": "image-id", "Values": [ami]}])), None)


def _described(region: str, endpoint: str | None, **wanted: Any) -> list[dict[str, Any]]:
    account = Account(region, endpoint)
    with answering(account, "./aether --stack cloud cloud policy"):
        found: list[dict[str, Any]] = account.client("ec2").describe_images(**wanted)["Images"]
    return found


def _region(stack: Stack, given: str | None) -> str:
    if given:
        return given
    regions = {host.region for host in inventory_of(stack).hosts.values() if isinstance(host, CloudVm)}
    if len(regions) != 1:
        raise OpsError(
            f"stack {stack.name} is in {', '.join(sorted(regions)) or 'no region'}. Fix: --region REGION, or --stack cloud"
        )
    return regions.pop()
