"""The stack's account at AWS, asked before anything is registered."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from components.aws.client import client
from stacks.errors import SettingsError
from stacks.settings import Settings


@dataclass(frozen=True)
class Amazon:
    """A region of the account, with the stack's credentials."""

    settings: Settings
    region: str

    def client(self, service: str) -> Any:
        """boto3's client of SERVICE."""
        return client(service, self.region, endpoint=self.settings.aws_endpoint or None, **self.settings.aws_keys())

    @contextmanager
    def asking(self, cannot: str, field: str) -> Iterator[None]:
        """What AWS refuses inside, as an error: what CANNOT be done, and the FIELD that may be wrong.

        Raises:
            SettingsError: with what AWS said.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise SettingsError(f"{cannot}: {error}. Fix: {field}, or the credentials (docs/aws.md)") from None

    def own_addresses(self) -> set[str]:
        """Addresses that this stack's machines have: Elastic IPs that it made, and IPv6.

        Raises:
            SettingsError: AWS does not show them.
        """
        mine = [{"Name": "tag:project", "Values": ["aether"]}, {"Name": "tag:stack", "Values": [self.settings.stack]}]
        with self.asking("the addresses of this stack's machines cannot be read", "the region of its hosts"):
            ec2 = self.client("ec2")
            own = {address["PublicIp"] for address in ec2.describe_addresses(Filters=mine)["Addresses"]}
            for reservation in ec2.describe_instances(Filters=mine)["Reservations"]:
                for instance in reservation["Instances"]:
                    for face in instance.get("NetworkInterfaces", []):
                        own |= {address["Ipv6Address"] for address in face.get("Ipv6Addresses", [])}
        return own


def tags(item: Mapping[str, Any]) -> dict[str, str]:
    """Those of what AWS describes, by key."""
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}
