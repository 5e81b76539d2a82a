"""What moto lacks of snapshots written block by block and of the images made of them (EBS direct APIs, RegisterImage).

moto takes every block and every checksum as right, has a snapshot complete from the start and unencrypted, and keeps of an
image its name alone. Here they are as AWS has them; https://docs.aws.amazon.com/ebs/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.ebs.models import EBSBackend
from moto.ebs.responses import EBSResponse
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.amis import Ami
from moto.ec2.responses.amis import AmisResponse

BLOCK = 512 * 1024
_OF_IMAGES = ("Architecture", "BootMode", "RootDeviceName", "VirtualizationType")


class _Invalid(JsonRESTError):
    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


def apply() -> None:
    """Fill the gaps, in this process."""
    _snapshots()
    _images()


def _snapshots() -> None:
    started, put, completed = EBSBackend.start_snapshot, EBSBackend.put_snapshot_block, EBSBackend.complete_snapshot
    asked = EBSResponse.start_snapshot

    def start(self: Any) -> Any:
        answer = asked(self)
        made: Any = answer.result
        snapshot = self.ebs_backend.ec2_backend.snapshots[made["SnapshotId"]]
        snapshot.encrypted = bool(self._get_param("Encrypted"))
        return answer

    def started_pending(self: Any, *arguments: Any, **named: Any) -> Any:
        snapshot = started(self, *arguments, **named)
        self.ec2_backend.snapshots[snapshot.snapshot_id].status = "pending"
        return snapshot

    def put_checked(
        self: Any, snapshot_id: str, block_index: int, block_data: bytes, checksum: Any, *rest: Any, **named: Any
    ) -> Any:
        _pending(self, snapshot_id)
        if len(block_data) != BLOCK or named.get("data_length", BLOCK) != BLOCK:
            raise _Invalid(f"a block has {BLOCK} bytes, this one has {len(block_data)}")
        if checksum != base64.b64encode(hashlib.sha256(block_data).digest()).decode():
            raise _Invalid("The checksum of the block is another one")
        return put(self, snapshot_id, block_index, block_data, checksum, *rest, **named)

    def complete(self: Any) -> Any:
        """The request: AWS seals what it was told that it has, and nothing else."""
        backend, name = self.ebs_backend, self._get_param("SnapshotId")
        blocks = _pending(backend, name).blocks
        sums = b"".join(base64.b64decode(block.checksum) for _, block in sorted(blocks.items()))
        if self._get_param("ChangedBlocksCount") != len(blocks):
            raise _Invalid(f"{len(blocks)} blocks were written, not {self._get_param('ChangedBlocksCount')}")
        if self._get_param("Checksum") not in (None, base64.b64encode(hashlib.sha256(sums).digest()).decode()):
            raise _Invalid("The checksum of the checksums is another one")
        return finished(self)

    def completed_both(self: Any, snapshot_id: str) -> Any:
        self.ec2_backend.snapshots[snapshot_id].status = "completed"
        return completed(self, snapshot_id)

    finished = EBSResponse.complete_snapshot
    EBSResponse.start_snapshot, EBSResponse.complete_snapshot = start, complete  # type: ignore[method-assign]
    EBSBackend.start_snapshot, EBSBackend.put_snapshot_block = started_pending, put_checked  # type: ignore[method-assign]
    EBSBackend.complete_snapshot = completed_both  # type: ignore[method-assign]


def _pending(backend: Any, snapshot: str) -> Any:
    found = backend.snapshots.get(snapshot)
    if found is None or snapshot not in backend.ec2_backend.snapshots:
        missing = JsonRESTError("ResourceNotFoundException", f"The snapshot {snapshot} does not exist")
        missing.code = 404
        raise missing
    if backend.ec2_backend.snapshots[snapshot].status != "pending":
        raise _Invalid(f"{snapshot} is not pending")
    return found


def _images() -> None:
    registered, mappings = AmisResponse.register_image, Ami.block_device_mappings

    def register(self: Any) -> Any:
        backend, name = self.ec2_backend, self._get_param("Name")
        if any(image.name == name and image.owner_id == backend.account_id for image in backend.amis.values()):
            raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use")
        disks = self._get_param("BlockDeviceMappings", [])
        for disk in disks:
            snapshot = disk.get("Ebs", {}).get("SnapshotId")
            if snapshot and (snapshot not in backend.snapshots or backend.snapshots[snapshot].status != "completed"):
                raise EC2ClientError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot}' does not exist, or is not complete.")
        answer = registered(self)
        made: Any = answer.result
        image = backend.amis[made["ImageId"]]
        for word in _OF_IMAGES:
            if (value := self._get_param(word)) is not None:
                setattr(image, _snake(word), value)
        image.asked = {word: self._get_param(word) for word in ("EnaSupport", "ImdsSupport")}
        if disks:
            image.disks, image.root_device_type = disks, "ebs"
            for disk in disks:
                # It cannot be deleted while the image is there.
                if held := backend.snapshots.get(disk.get("Ebs", {}).get("SnapshotId")):
                    held.from_ami = image.id
        for specification in self._get_param("TagSpecifications", []):
            if specification["ResourceType"] == "image":
                image.add_tags({tag["Key"]: tag["Value"] for tag in specification["Tags"]})
        return answer

    def as_registered(self: Any) -> Any:
        return getattr(self, "disks", None) or mappings.fget(self)  # type: ignore[attr-defined]

    AmisResponse.register_image = register  # type: ignore[method-assign]
    Ami.block_device_mappings = property(as_registered)  # type: ignore[assignment, method-assign]
    Ami.ena_support = property(lambda self: getattr(self, "asked", {}).get("EnaSupport"))  # type: ignore[attr-defined]
    Ami.imds_support = property(lambda self: getattr(self, "asked", {}).get("ImdsSupport"))  # type: ignore[attr-defined]


def _snake(word: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in word).lstrip("_")
