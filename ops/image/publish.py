"""An image of one's own at AWS: built here, brought there as an encrypted snapshot, registered, and pinned by its id."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inventory.files import REPOSITORY
from inventory.keys import set_fields
from inventory.load import Inventory
from inventory.models import CloudVm, NixosCloudVm
from ops.arguments import parser
from ops.aws import Account, answering
from ops.cloud_policy import MARK
from ops.fleet import change_inventory, inventory_of
from ops.image.child import Say
from ops.image.copying import GIB, sha256
from ops.image.dist import Dist
from ops.image.partitions import boot_mode
from ops.image.snapshot import WORKERS, Snapshots, size
from ops.stack import OpsError, Stack

ARCHITECTURES = {"x86_64-linux": "x86_64", "aarch64-linux": "arm64"}
ROOT_DEVICE = "/dev/xvda"
# Seconds that AWS may take to have an image available.
AVAILABLE = 600


@dataclass(frozen=True)
class Built:
    """A raw image of dist/, by its manifest."""

    name: str
    file: Path
    sha256: str
    system: str
    nixos: str

    @property
    def architecture(self) -> str:
        """EC2's word."""
        return ARCHITECTURES[self.system]

    @property
    def ami_name(self) -> str:
        """What AWS calls it: of one name an account has one image. The release stands where the official ones have it."""
        return f"aether/{self.nixos}-{self.name}-{self.system}-{self.sha256[:12]}"


def publish(stack: Stack, arguments: list[str], say: Say) -> int:
    """Bring a built raw image of a NixOS host to AWS, as an encrypted snapshot and a private AMI; print the lines that pin it.

    The image is built before: ./aether image HOST raw. Run it again after an interruption and it goes on; what is there is
    found by its hash and not made again.
    """
    made = parser("image publish", publish)
    made.add_argument("host", help="a NixOS cloud-vm of the stack's inventory, or another name that dist/ has a raw image of")
    made.add_argument("--write", action="store_true", help="write the id into the inventory file instead")
    made.add_argument("--region", help="default: the host's")
    made.add_argument("--dist", type=Path, default=REPOSITORY / "dist", help="where the image was built to")
    options = made.parse_args(arguments)
    inventory = inventory_of(stack)
    if inventory.cloud is None:
        raise OpsError(f"stack {stack.name} has no [cloud]. Fix: --stack cloud")
    host = _machine(inventory, options.host, options.write)
    built = read(Dist(options.dist.expanduser().absolute(), say), options.host)
    if host is not None:
        _fits(inventory, options.host, host, built)
    mode = _mode(built)
    region = options.region or (host.region if host else _only_region(inventory))
    account = Account.of(stack, region)
    with answering(account, f"./aether --stack {stack.name} cloud policy --images"):
        ami = bring(account, built, mode, stack.name, say)
    if not options.write:
        say(f'\n# {built.name}, {built.architecture}, {region}\nami = "{ami}"\nami_name = "{built.ami_name}"')
        return 0
    fields = {"ami": ami, "ami_name": built.ami_name}
    change_inventory(inventory.path, lambda draft: set_fields(draft, f"hosts.{options.host}", fields))
    say(
        f"Written to {inventory.path}: hosts.{options.host}. Look at it, then: make preview STACK={stack.name}"
        " (another ami is another machine)"
    )
    return 0


def read(dist: Dist, name: str) -> Built:
    """The image NAME-raw, whose file is what its manifest says.

    Raises:
        OpsError: it was not built, is of several disks, or its file was changed.
    """
    manifest = dist.manifests().get(f"{name}-raw")
    again = f"Fix: ./aether image {name} raw"
    if manifest is None:
        raise OpsError(f"{dist.folder / '3_deploy' / f'{name}-raw.json'} is not there: no raw image of {name} was built. {again}")
    if len(manifest["files"]) != 1:
        raise OpsError(
            f"the image of {name} is {len(manifest['files'])} disks; a machine is born from one. {again}, with one disk"
        )
    (file,) = manifest["files"]
    path = dist.folder / file["path"]
    if not manifest.get("nixos") or manifest.get("system") not in ARCHITECTURES:
        raise OpsError(f"the manifest of {name}-raw does not say which NixOS it is, for which machine. {again}")
    dist.say(f"1/3 check: {path}")
    if not path.is_file() or path.stat().st_size != file["size"] or sha256(path) != file["sha256"]:
        raise OpsError(f"{path} is not the file that its manifest is of any more. {again}")
    return Built(name, path, file["sha256"], manifest["system"], manifest["nixos"])


def bring(account: Account, built: Built, mode: str, stack: str, say: Say, pause: float = 5) -> str:
    """The id of the image at AWS that BUILT is: the one that there is, else a new one."""
    ec2 = account.client("ec2")
    if found := _image(ec2, built.sha256):
        say(f"Already there: {found}, found by the hash of {built.file}")
        return found
    tags = {"Name": built.ami_name, "project": "aether", "stack": stack}
    say(f"2/3 snapshot: {built.file} ({built.file.stat().st_size / GIB:.2f} GiB) to {account.region}")
    ebs = account.client("ebs", max_pool_connections=WORKERS)
    folder = REPOSITORY / ".aether/publish"
    snapshot = Snapshots(ebs, ec2, folder, say, pause).make(built.file, built.sha256, tags)
    say(f"3/3 register: {built.ami_name}, {built.architecture}, {mode}, of {snapshot}")
    try:
        ami = str(ec2.register_image(**_request(built, mode, snapshot, tags))["ImageId"])
    except ec2.exceptions.ClientError as error:
        # Somebody published the same one meanwhile.
        found = _image(ec2, built.sha256) if error.response["Error"]["Code"] == "InvalidAMIName.Duplicate" else None
        if not found:
            raise
        return found
    _available(ec2, ami, pause)
    return ami


def _machine(inventory: Inventory, name: str, writes: bool) -> NixosCloudVm | None:
    """The host of that name; None for an image that is no host's."""
    host = inventory.hosts.get(name)
    if isinstance(host, NixosCloudVm):
        return host
    those = ", ".join(other for other, facts in inventory.hosts.items() if isinstance(facts, NixosCloudVm))
    if host is not None:
        raise OpsError(f"hosts.{name} of {inventory.path} is no NixOS machine at AWS. Those are: {those or 'none'}")
    if writes:
        raise OpsError(f"{inventory.path} has no host {name} to write to. Fix: without --write, or one of {those or 'none'}")
    return None


def _fits(inventory: Inventory, name: str, host: NixosCloudVm, built: Built) -> None:
    """A machine that could not start from the image is found before anything is sent."""
    if host.system != built.system:
        raise OpsError(
            f"hosts.{name}.instance_type of {inventory.path}: {host.instance_type} is {host.system}, the image is "
            f"{built.system}. Fix: ./aether image {name} raw"
        )
    if size(built.file) > host.disk:
        raise OpsError(
            f"hosts.{name}.disk of {inventory.path}: {host.disk} GiB are less than the image. "
            f"Fix: write disk = {size(built.file)}"
        )


def _mode(built: Built) -> str:
    mode = boot_mode(built.file)
    if built.architecture == "arm64" and mode != "uefi":
        raise OpsError(f"{built.file} has no EFI system partition, and arm64 machines start by UEFI alone. Fix: ec2.efi = true")
    return mode


def _only_region(inventory: Inventory) -> str:
    regions = {host.region for host in inventory.hosts.values() if isinstance(host, CloudVm)}
    if len(regions) != 1:
        raise OpsError(f"{inventory.path} has machines in {', '.join(sorted(regions)) or 'no region'}. Fix: --region REGION")
    return regions.pop()


def _image(ec2: Any, hash_: str) -> str | None:
    found = ec2.describe_images(Owners=["self"], Filters=[{"Name": f"tag:{MARK}", "Values": [hash_]}])["Images"]
    usable = sorted(image["ImageId"] for image in found if image["State"] in ("available", "pending"))
    return usable[0] if usable else None


def _request(built: Built, mode: str, snapshot: str, tags: dict[str, str]) -> dict[str, Any]:
    """RegisterImage's. That the disk is encrypted follows from the snapshot."""
    tagged = [{"Key": key, "Value": value} for key, value in {**tags, MARK: built.sha256}.items()]
    return {
        "Name": built.ami_name,
        "Description": f"NixOS {built.nixos} for {built.name}, by Aether",
        "Architecture": built.architecture,
        "BootMode": mode,
        "VirtualizationType": "hvm",
        "EnaSupport": True,
        "ImdsSupport": "v2.0",
        "RootDeviceName": ROOT_DEVICE,
        "BlockDeviceMappings": [
            {"DeviceName": ROOT_DEVICE, "Ebs": {"SnapshotId": snapshot, "VolumeType": "gp3", "DeleteOnTermination": True}}
        ],
        "TagSpecifications": [{"ResourceType": "image", "Tags": tagged}],
    }


def _available(ec2: Any, ami: str, pause: float) -> None:
    until = time.monotonic() + AVAILABLE
    while (state := _state(ec2, ami)) != "available":
        if state not in ("pending", "transient") or time.monotonic() > until:
            raise OpsError(f"AWS has {ami} as {state}. Look: aws ec2 describe-images --image-ids {ami}")
        time.sleep(pause)


def _state(ec2: Any, ami: str) -> str:
    try:
        return str(ec2.describe_images(ImageIds=[ami])["Images"][0]["State"])
    except ec2.exceptions.ClientError as error:
        # Registered a moment ago, and not known everywhere yet.
        if error.response["Error"]["Code"] != "InvalidAMIID.NotFound":
            raise
        return "pending"
