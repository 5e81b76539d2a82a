"""A disk that outlives its machine, and its snapshots."""

import json

import pulumi
import pulumi_aws as aws
from pydantic import Field

from components.base import Args, Component, Text
from inventory.models import DataDisk as DataDiskFacts

# The name that machines know it by: AWS's udev rules make a link of it, on Amazon Linux and on NixOS.
DEVICE = "/dev/sdf"
_ASSUMED_BY_DLM = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "dlm.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
# https://docs.aws.amazon.com/ebs/latest/userguide/service-role.html
_SNAPSHOTS = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "ec2:CreateSnapshot",
                "ec2:CreateSnapshots",
                "ec2:DeleteSnapshot",
                "ec2:DescribeInstances",
                "ec2:DescribeVolumes",
                "ec2:DescribeSnapshots",
            ],
            "Resource": "*",
        },
        {"Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "arn:aws:ec2:*::snapshot/*"},
    ],
}


class DataDiskArgs(Args):
    facts: DataDiskFacts = Field(description="Size and how many daily snapshots are kept.")
    site: str = Field(description="Prefix of the role's name.")
    availability_zone: str = Field(
        description="The machine's. A disk does not leave its zone: another one is refused under protect."
    )
    instance_id: Text
    protect: bool = False
    provider: pulumi.ProviderResource


class DataDisk(Component):
    """A machine's data, apart from the machine.

    Creates:
        - ``aws:ebs:Volume``: encrypted gp3, protected, with a last snapshot should it ever be destroyed.
        - ``aws:ec2:VolumeAttachment``, made again for each machine; the old one is stopped before it is taken from it.
        - ``aws:dlm:LifecyclePolicy`` and the role that it works with, if snapshots are kept.

    Outputs:
        volume_id: stays when the machine is replaced.
    """

    volume: aws.ebs.Volume
    attachment: aws.ec2.VolumeAttachment

    def __init__(self, name: str, args: DataDiskArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:aws:DataDisk", name, opts)
        options = self.child(provider=args.provider)
        tag = {"aether:data": name}
        self.volume = aws.ebs.Volume(
            f"{name}-data",
            availability_zone=args.availability_zone,
            size=args.facts.size,
            type="gp3",
            encrypted=True,
            final_snapshot=True,
            tags={"Name": f"{name}-data", **tag},
            opts=self.child(provider=args.provider, protect=args.protect),
        )
        self.attachment = aws.ec2.VolumeAttachment(
            f"{name}-data",
            device_name=DEVICE,
            volume_id=self.volume.id,
            instance_id=args.instance_id,
            stop_instance_before_detaching=True,
            # A disk is at one machine at a time.
            opts=self.child(provider=args.provider, delete_before_replace=True),
        )
        if args.facts.snapshots:
            self._snapshots(name, args, tag, options)
        self.volume_id = self.volume.id
        self.done({"volume_id": self.volume_id})

    def _snapshots(self, name: str, args: DataDiskArgs, tag: dict[str, str], options: pulumi.ResourceOptions) -> None:
        role_name = f"{args.site}-{name}-snapshots"
        role = aws.iam.Role(
            role_name,
            name=role_name,
            description=f"Snapshots of the data of {name}",
            assume_role_policy=json.dumps(_ASSUMED_BY_DLM),
            opts=options,
        )
        policy = aws.iam.RolePolicy(role_name, name="snapshots", role=role.name, policy=json.dumps(_SNAPSHOTS), opts=options)
        aws.dlm.LifecyclePolicy(
            f"{name}-data",
            description=f"Data of {name}",
            execution_role_arn=role.arn,
            policy_details=aws.dlm.LifecyclePolicyPolicyDetailsArgs(
                resource_types=["VOLUME"],
                target_tags=tag,
                schedules=[
                    aws.dlm.LifecyclePolicyPolicyDetailsScheduleArgs(
                        name="daily",
                        copy_tags=True,
                        create_rule=aws.dlm.LifecyclePolicyPolicyDetailsScheduleCreateRuleArgs(
                            interval=24, interval_unit="HOURS", times="02:30"
                        ),
                        retain_rule=aws.dlm.LifecyclePolicyPolicyDetailsScheduleRetainRuleArgs(count=args.facts.snapshots),
                    )
                ],
            ),
            opts=self.child(provider=args.provider, depends_on=[policy]),
        )
