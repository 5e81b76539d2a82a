"""A raw disk image as an encrypted EBS snapshot, block by block, by EBS direct APIs: neither bucket nor role is in between.

https://docs.aws.amazon.com/ebs/latest/userguide/ebs-accessing-snapshot.html
"""

import base64
import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.cloud_policy import MARK
from ops.image.child import Say
from ops.image.copying import GIB
from ops.stack import OpsError

BLOCK = 512 * 1024
WORKERS = 16
# Minutes after its last block at which AWS gives up a snapshot that nobody completes.
ABANDONED = 60
# Seconds that AWS may take to show everywhere what it has begun, and to seal one.
APPEARS, SEALED = 120, 3600


@dataclass
class Journal:
    """What of one image was put into which snapshot, in a file: an upload that was cut off continues."""

    file: Path
    snapshot: str = ""
    blocks: dict[int, bytes] = field(default_factory=dict)
    """SHA256 of each block that AWS has, by its index."""
    sealed: bool = False
    """AWS was asked to complete it."""

    @classmethod
    def read(cls, file: Path) -> "Journal":
        """What FILE holds; a last line that a kill tore is as if it were not there."""
        journal = cls(file)
        for line in file.read_text().splitlines() if file.exists() else []:
            try:
                name, value = json.loads(line)
            except ValueError:
                continue
            if name == "snapshot":
                journal.snapshot = value
            elif name == "sealed":
                journal.sealed = True
            else:
                journal.blocks[name] = bytes.fromhex(value)
        return journal

    def begin(self, snapshot: str) -> None:
        """A new upload, into SNAPSHOT."""
        self.snapshot, self.blocks, self.sealed = snapshot, {}, False
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(["snapshot", snapshot]) + "\n")

    def add(self, blocks: dict[int, bytes]) -> None:
        """Blocks that AWS has taken."""
        self.blocks |= blocks
        with self.file.open("a") as lines:
            lines.writelines(json.dumps([index, digest.hex()]) + "\n" for index, digest in blocks.items())

    def seal(self) -> None:
        """AWS has everything, and is at work."""
        with self.file.open("a") as lines:
            lines.write(json.dumps(["sealed", True]) + "\n")

    def end(self) -> None:
        """The snapshot is complete."""
        self.file.unlink(missing_ok=True)


class Snapshots:
    """Snapshots of images in one region; EBS and EC2 are boto3's clients."""

    def __init__(self, ebs: Any, ec2: Any, folder: Path, say: Say, pause: float = 5) -> None:
        self.ebs, self.ec2, self.folder, self.say, self.pause = ebs, ec2, folder, say, pause
        self._stopped = threading.Event()

    def make(self, image: Path, sha256: str, tags: dict[str, str]) -> str:
        """The snapshot that holds IMAGE, whose hash is SHA256: the one that there is, else a new one. Its id.

        Raises:
            OpsError: AWS gave the snapshot up.
        """
        journal = Journal.read(self.folder / f"{sha256}-{self.ec2.meta.region_name}.jsonl")
        found = self._found(sha256)
        self._clean()
        complete = [one["SnapshotId"] for one in found if one["State"] == "completed"]
        if complete:
            journal.end()
            return str(complete[0])
        pending = [one["SnapshotId"] for one in found if one["State"] == "pending"]
        for other in set(pending) - {journal.snapshot}:
            self.say(
                f"    {other} is another run's, at work or cut off: left alone, AWS ends it {ABANDONED} min after its last block"
            )
        if journal.snapshot in pending:
            self.say(f"    continues {journal.snapshot}: {len(journal.blocks)} blocks are there")
        else:
            journal.begin(self._start(image, sha256, tags))
        if not journal.sealed:
            self._fill(image, journal)
            self._seal(journal)
        self._wait(journal.snapshot)
        journal.end()
        return journal.snapshot

    def _found(self, sha256: str) -> list[dict[str, Any]]:
        answer = self.ec2.describe_snapshots(OwnerIds=["self"], Filters=[{"Name": f"tag:{MARK}", "Values": [sha256]}])
        found: list[dict[str, Any]] = sorted(answer["Snapshots"], key=lambda one: str(one["StartTime"]))
        return found

    def _clean(self) -> None:
        """What an upload left that was cut off and never continued: AWS has given it up, nobody can use it."""
        kept = [{"Name": "tag-key", "Values": [MARK]}, {"Name": "status", "Values": ["error"]}]
        for one in self.ec2.describe_snapshots(OwnerIds=["self"], Filters=kept)["Snapshots"]:
            self.ec2.delete_snapshot(SnapshotId=one["SnapshotId"])
            self.say(f"    removed {one['SnapshotId']}, an upload that was cut off")

    def _start(self, image: Path, sha256: str, tags: dict[str, str]) -> str:
        gibibytes = size(image)
        answer = self.ebs.start_snapshot(
            VolumeSize=gibibytes,
            Description=f"{image.name}, sha256 {sha256}",
            Encrypted=True,
            Timeout=ABANDONED,
            Tags=[{"Key": key, "Value": value} for key, value in {**tags, MARK: sha256}.items()],
        )
        return str(answer["SnapshotId"])

    def _fill(self, image: Path, journal: Journal) -> None:
        """Put what AWS does not have; blocks of zeros are what a snapshot has by itself."""
        total, shown = image.stat().st_size, time.monotonic()
        waiting = deque[tuple[int, bytes, Future[None]]]()
        with ThreadPoolExecutor(WORKERS) as workers:
            try:
                for index, data in _blocks(image):
                    digest = hashlib.sha256(data).digest()
                    if journal.blocks.get(index) != digest:
                        waiting.append((index, digest, workers.submit(self._put, journal.snapshot, index, data, digest)))
                    # So many in memory at a time.
                    self._take(journal, waiting, 2 * WORKERS)
                    if time.monotonic() - shown > 2:
                        shown = time.monotonic()
                        self.say(f"    {100 * index * BLOCK // total} %, {len(journal.blocks) * BLOCK / GIB:.2f} GiB are there")
                self._take(journal, waiting, 0)
            except BaseException:
                self._stopped.set()
                workers.shutdown(cancel_futures=True)
                # What was under way has ended by now.
                journal.add({index: digest for index, digest, job in waiting if _done(job)})
                raise

    def _take(self, journal: Journal, waiting: "deque[tuple[int, bytes, Future[None]]]", left: int) -> None:
        """Write down the oldest that are done, until LEFT wait."""
        while len(waiting) > left:
            index, digest, job = waiting[0]
            job.result()
            waiting.popleft()
            journal.add({index: digest})

    def _put(self, snapshot: str, index: int, data: bytes, digest: bytes) -> None:
        until = time.monotonic() + APPEARS
        while True:
            try:
                self.ebs.put_snapshot_block(
                    SnapshotId=snapshot,
                    BlockIndex=index,
                    BlockData=data,
                    DataLength=BLOCK,
                    Checksum=base64.b64encode(digest).decode(),
                    ChecksumAlgorithm="SHA256",
                )
                return
            except self.ebs.exceptions.ResourceNotFoundException:
                # Begun a moment ago, and not known everywhere yet.
                if time.monotonic() > until or self._stopped.wait(self.pause):
                    raise

    def _seal(self, journal: Journal) -> None:
        """Have it completed, if AWS has exactly these blocks: the hash of their hashes, in order, says so."""
        digests = b"".join(digest for _, digest in sorted(journal.blocks.items()))
        self.ebs.complete_snapshot(
            SnapshotId=journal.snapshot,
            ChangedBlocksCount=len(journal.blocks),
            Checksum=base64.b64encode(hashlib.sha256(digests).digest()).decode(),
            ChecksumAlgorithm="SHA256",
            ChecksumAggregationMethod="LINEAR",
        )
        journal.seal()

    def _wait(self, snapshot: str) -> None:
        """Until it can be used."""
        until, shown = time.monotonic() + SEALED, time.monotonic()
        while (state := self._state(snapshot)) != "completed":
            if state == "error" or time.monotonic() > until:
                raise OpsError(f"AWS did not complete {snapshot} ({state}). Run the same command again: it starts over")
            if time.monotonic() - shown > 2:
                shown = time.monotonic()
                self.say(f"    AWS seals {snapshot}")
            time.sleep(self.pause)

    def _state(self, snapshot: str) -> str:
        (found,) = self.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
        return str(found["State"])


def size(image: Path) -> int:
    """GiB of the volume that holds IMAGE."""
    return max(1, -(-image.stat().st_size // GIB))


def _blocks(image: Path) -> Iterator[tuple[int, bytes]]:
    """Index and content of each block that is not all zeros, the last one filled up."""
    zeros = bytes(BLOCK)
    with image.open("rb") as file:
        index = 0
        while data := file.read(BLOCK):
            full = data.ljust(BLOCK, b"\0")
            if full != zeros:
                yield index, full
            index += 1


def _done(job: "Future[None]") -> bool:
    return job.done() and not job.cancelled() and job.exception() is None
