"""An image of one's own brought to the simulated AWS: what lies there is the file, once, whatever interrupted it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient  # type: ignore[import-untyped]

from inventory.files import REPOSITORY
from inventory.load import load
from ops.aws import Account, answering
from ops.cloud_policy import MARK, publishing
from ops.image import publish, snapshot
from ops.image.partitions import boot_mode
from ops.stack import OpsError, Stack
from tests.system import aws_account
from tests.system.aws_stack import simulated_aws
from tests.system.disk_images import BLOCK, blocks, content, image

REGION = "eu-central-1"


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with simulated_aws() as url:
        yield url


@pytest.fixture(autouse=True)
def own_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "REPOSITORY", tmp_path)


@dataclass
class Aws:
    """The account, as an operator's command and as a test see it."""

    account: Account
    said: list[str]

    def bring(self, built: publish.Built) -> str:
        return publish.bring(self.account, built, boot_mode(built.file), "cloud", self.said.append, 0.01)

    def snapshots(self, built: publish.Built) -> list[dict[str, Any]]:
        found = self.account.client("ec2").describe_snapshots(Filters=[{"Name": f"tag:{MARK}", "Values": [built.sha256]}])
        return list(found["Snapshots"])


@pytest.fixture
def aws(api: str) -> Aws:
    return Aws(Account(REGION, api, "k", "s"), [])


@pytest.mark.parametrize(
    ("system", "architecture", "layout"),
    [
        ("aarch64-linux", "arm64", "uefi"),
        ("x86_64-linux", "x86_64", "legacy-bios"),
        ("x86_64-linux", "x86_64", "uefi-preferred"),
    ],
)
def test_what_lies_at_aws_is_the_file(aws: Aws, tmp_path: Path, system: str, architecture: str, layout: str) -> None:
    built = image(tmp_path, system=system, layout=layout)
    ami = aws.bring(built)
    (found,) = aws.account.client("ec2").describe_images(ImageIds=[ami])["Images"]
    assert (found["Architecture"], found["BootMode"], found["State"]) == (architecture, layout, "available")
    assert (found["EnaSupport"], found["ImdsSupport"], found["RootDeviceType"]) == (True, "v2.0", "ebs")
    assert found["Name"] == f"aether/25.11.20251120.abcdef0-vps-{system}-{built.sha256[:12]}"
    (disk,) = found["BlockDeviceMappings"]
    assert disk["DeviceName"] == found["RootDeviceName"] and disk["Ebs"]["VolumeType"] == "gp3"
    (made,) = aws.snapshots(built)
    assert (made["SnapshotId"], made["State"], made["Encrypted"], made["VolumeSize"]) == (
        disk["Ebs"]["SnapshotId"], "completed", True, 1,
    )  # fmt: skip
    assert blocks(aws.account.client("ebs"), made["SnapshotId"]) == content(built.file)
    # Holes were not sent.
    assert len(content(built.file)) < 0.3 * built.file.stat().st_size / BLOCK
    # Again: nothing is made.
    assert aws.bring(built) == ami and len(aws.snapshots(built)) == 1
    assert aws.said[-1].startswith(f"Already there: {ami}")


def test_an_upload_that_was_interrupted_continues(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built, put = image(tmp_path), snapshot.Snapshots._put
    sent: list[int] = []

    def interrupted(self: Any, name: str, index: int, *rest: Any) -> None:
        if len(sent) == 12:
            raise KeyboardInterrupt
        sent.append(index)
        put(self, name, index, *rest)

    monkeypatch.setattr(snapshot, "WORKERS", 2)
    monkeypatch.setattr(snapshot.Snapshots, "_put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        aws.bring(built)
    (begun,) = aws.snapshots(built)
    assert begun["State"] == "pending"
    first = set(sent)
    sent.clear()

    def counted(self: Any, name: str, index: int, *rest: Any) -> None:
        sent.append(index)
        put(self, name, index, *rest)

    monkeypatch.setattr(snapshot.Snapshots, "_put", counted)
    aws.bring(built)
    assert any("continues" in line for line in aws.said)
    assert not first & set(sent) and first | set(sent) == set(content(built.file))
    (made,) = aws.snapshots(built)
    assert made["SnapshotId"] == begun["SnapshotId"]
    assert blocks(aws.account.client("ebs"), made["SnapshotId"]) == content(built.file)
    assert not list((tmp_path / ".aether/publish").iterdir())


def test_one_that_aws_was_still_sealing_is_waited_for(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built, wait = image(tmp_path), snapshot.Snapshots._wait

    def interrupted(self: Any, name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(snapshot.Snapshots, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        aws.bring(built)
    state = snapshot.Snapshots._state
    answers = iter(["pending", "pending"])
    monkeypatch.setattr(snapshot.Snapshots, "_wait", wait)
    monkeypatch.setattr(snapshot.Snapshots, "_state", lambda self, name: next(answers, None) or state(self, name))
    (made,) = aws.snapshots(built)
    sealing = [{"SnapshotId": made["SnapshotId"], "State": "pending"}]
    monkeypatch.setattr(snapshot.Snapshots, "_found", lambda self, sha: sealing)
    assert aws.bring(built)
    assert len(aws.snapshots(built)) == 1


def test_one_that_was_cut_off_and_given_up_is_removed(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = image(tmp_path)
    ebs = aws.account.client("ebs")
    left = ebs.start_snapshot(VolumeSize=1, Encrypted=True, Tags=[{"Key": MARK, "Value": built.sha256}])["SnapshotId"]
    # Of another machine, at work perhaps.
    aws.bring(built)
    assert any(f"{left} is another run's" in line for line in aws.said)
    assert left in [one["SnapshotId"] for one in aws.snapshots(built)]
    described = BaseClient._make_api_call
    given_up = {"SnapshotId": left, "State": "error"}

    def answer(self: Any, operation: str, arguments: Any) -> Any:
        if operation == "DescribeSnapshots" and any(f["Name"] == "status" for f in arguments.get("Filters", [])):
            return {"Snapshots": [given_up]}
        return described(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", answer)
    aws.bring(image(tmp_path, "other"))
    monkeypatch.undo()
    assert left not in [one["SnapshotId"] for one in aws.snapshots(built)]


def test_what_aws_does_not_show_yet_is_waited_for(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = {"PutSnapshotBlock": ["ResourceNotFoundException"] * 20, "DescribeImages": ["InvalidAMIID.NotFound"]}
    asked = BaseClient._make_api_call

    def answer(self: Any, operation: str, arguments: Any) -> Any:
        if late.get(operation) and "Filters" not in arguments:
            code = late[operation].pop()
            raise self.exceptions.from_code(code)({"Error": {"Code": code, "Message": "not yet"}}, operation)
        return asked(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", answer)
    built = image(tmp_path)
    assert aws.bring(built)
    monkeypatch.undo()
    assert not any(late.values())
    (made,) = aws.snapshots(built)
    assert blocks(aws.account.client("ebs"), made["SnapshotId"]) == content(built.file)


def test_a_block_that_was_changed_on_its_way_is_refused(aws: Aws, tmp_path: Path) -> None:
    """The simulated AWS compares, as the real one: what the tests above show is not for want of looking."""
    ebs = aws.account.client("ebs")
    begun = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    block = {"SnapshotId": begun, "BlockIndex": 0, "DataLength": BLOCK, "ChecksumAlgorithm": "SHA256"}
    with pytest.raises(ebs.exceptions.ValidationException, match="checksum of the block"):
        ebs.put_snapshot_block(**block, BlockData=bytes(BLOCK), Checksum="x" * 43 + "=")
    with pytest.raises(ebs.exceptions.ValidationException, match="0 blocks were written"):
        ebs.complete_snapshot(SnapshotId=begun, ChangedBlocksCount=1)


class TestRefused:
    """Before anything is sent."""

    def run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
        monkeypatch.setattr(Account, "client", lambda self, service, **options: pytest.fail("AWS was asked"))
        publish.publish(Stack("cloud"), [*words, "--dist", str(tmp_path / "dist")], lambda line: None)

    def test_a_stack_without_a_cloud(self, tmp_path: Path) -> None:
        with pytest.raises(OpsError, match=r"stack homelab has no \[cloud\]. Fix: --stack cloud"):
            publish.publish(Stack("homelab"), ["vps", "--dist", str(tmp_path)], lambda line: None)

    def test_no_image(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(OpsError, match=r"3_deploy/vps-raw.json is not there.*Fix: ./aether image vps raw"):
            self.run(tmp_path, monkeypatch, "vps")

    def test_a_changed_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        built = image(tmp_path)
        with built.file.open("r+b") as disk:
            disk.write(b"x")
        with pytest.raises(OpsError, match="not the file that its manifest is of"):
            self.run(tmp_path, monkeypatch, "vps")

    def test_another_architecture(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        image(tmp_path, system="x86_64-linux")
        with pytest.raises(OpsError, match=r"hosts.vps.instance_type.*t4g.small is aarch64-linux, the image is x86_64-linux"):
            self.run(tmp_path, monkeypatch, "vps")

    def test_arm_without_uefi(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        image(tmp_path, layout="legacy-bios")
        with pytest.raises(OpsError, match="no EFI system partition"):
            self.run(tmp_path, monkeypatch, "vps")

    def test_a_file_that_is_no_disk(self, tmp_path: Path) -> None:
        (tmp_path / "x.vhd").write_bytes(b"conectix" + bytes(1024))
        with pytest.raises(OpsError, match="no partition table"):
            boot_mode(tmp_path / "x.vhd")

    def test_a_disk_that_is_too_small(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        image(tmp_path)
        monkeypatch.setattr(publish, "size", lambda file: 21)
        with pytest.raises(OpsError, match=r"hosts.vps.disk.*20 GiB are less than the image. Fix: write disk = 21"):
            self.run(tmp_path, monkeypatch, "vps")

    @pytest.mark.parametrize(("name", "says"), [("public-gateway", "no NixOS machine at AWS"), ("nobody", "no host nobody")])
    def test_a_host_that_takes_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str) -> None:
        with pytest.raises(OpsError, match=f"{says}.*vps, cloud-workstation"):
            self.run(tmp_path, monkeypatch, name, "--write")


def test_the_id_is_printed_or_written(api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = image(tmp_path)
    file = tmp_path / "cloud.toml"
    file.write_text((REPOSITORY / "inventory/cloud.toml").read_text())
    (tmp_path / "homelab.toml").write_text((REPOSITORY / "inventory/homelab.toml").read_text())
    monkeypatch.setattr(publish, "inventory_of", lambda stack: load(file))
    monkeypatch.setattr(Account, "of", classmethod(lambda cls, stack, region: Account(region, api, "k", "s")))
    said: list[str] = []
    words = ["vps", "--dist", str(tmp_path / "dist")]
    assert publish.publish(Stack("cloud"), words, said.append) == 0
    ami = said[-1].partition('ami = "')[2].partition('"')[0]
    assert said[-1] == f'\n# vps, arm64, {REGION}\nami = "{ami}"\nami_name = "{built.ami_name}"'
    before = file.read_text()
    assert publish.publish(Stack("cloud"), [*words, "--write"], said.append) == 0
    host = load(file).hosts["vps"]
    assert (host.ami, host.ami_name) == (ami, built.ami_name)  # type: ignore[union-attr]
    changed = [line for line in file.read_text().splitlines() if line not in before.splitlines()]
    assert changed == [f'ami = "{ami}"', f'ami_name = "{built.ami_name}"']


def test_each_right_of_the_printed_policy_is_needed_and_named(tmp_path: Path) -> None:
    """All but what moto never asks for: it encrypts without a key, and tags without the right to."""
    actions = {action for one in publishing(REGION)["Statement"] for action in one["Action"]}
    asked = {action for action in actions if not action.startswith("kms:")} - {"ec2:CreateTags", "ec2:DeleteSnapshot"}
    with simulated_aws() as url:
        account = aws_account.Account(url)
        mine = Aws(Account(REGION, url, account.key["KEY"], account.key["SECRET"]), [])
        for number, lacking in enumerate(sorted(asked)):
            account.allow(actions - {lacking})
            with (
                pytest.raises(OpsError, match=f"AWS in {REGION} refuses {lacking}: .*Fix: POLICY prints"),
                answering(mine.account, "POLICY"),
            ):
                mine.bring(image(tmp_path, f"host-{number}"))
        account.allow(actions)
        assert mine.bring(image(tmp_path, "all"))
