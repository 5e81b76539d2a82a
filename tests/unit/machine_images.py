"""Images of machines in moto's AWS, as somebody published them."""

from datetime import datetime

import boto3  # type: ignore[import-untyped]
from moto.ec2.models import ec2_backends


def publish(name: str, date: str, architecture: str, owner: str) -> str:
    """The id of an image of that NAME, made on a DATE for an ARCHITECTURE by OWNER."""
    ec2 = boto3.client("ec2", region_name="eu-central-1")
    made: str = ec2.register_image(Name=name, Architecture=architecture, RootDeviceName="/dev/xvda")["ImageId"]
    known = ec2_backends["123456789012"]["eu-central-1"].amis[made]
    known.owner_id, known.creation_date, known.state, known.architecture = (
        owner,
        datetime.fromisoformat(date),
        "available",
        architecture,
    )
    return made
