"""The simulated AWS, GitHub and registry of a checkout, looked at from their side."""

import json
import re
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from tests.system.checkout import Checkout, Result


class CloudCheckout:
    """A checkout that runs the cloud's stack."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self.simulator = checkout.path / ".aether/sim"

    def up(self, *arguments: str) -> Result:
        return self.checkout.up(*arguments)

    def fault(self, target: str, name: str, *, off: bool = False) -> None:
        self.checkout.fault(target, name, off=off)

    def faults(self) -> set[str]:
        """Targets of the faults that are on."""
        return set(json.loads(self.checkout.sim("status", "--json").text)["faults"])

    def change(self, file: str, pattern: str, text: str) -> None:
        """Put TEXT in place of what PATTERN matches in a file of the checkout, everywhere."""
        path = self.checkout.path / file
        changed, count = re.subn(pattern, text, path.read_text())
        assert count, (file, pattern)
        path.write_text(changed)

    @property
    def configuration(self) -> dict[str, str]:
        """The stack's settings as the simulator wrote them."""
        import yaml

        document: dict[str, dict[str, str]] = yaml.safe_load((self.simulator / "Pulumi.sim-cloud.yaml").read_text())
        return document["config"]

    def aws(self, service: str) -> Any:
        """A client of the simulated AWS."""
        import boto3  # type: ignore[import-untyped]

        return boto3.client(
            service,
            region_name="eu-central-1",
            endpoint_url=self.configuration["aether:awsEndpoint"],
            aws_access_key_id=self.configuration["aether:awsAccessKey"],
            aws_secret_access_key=self.configuration["aether:awsSecretKey"],
        )

    def instances(self) -> dict[str, dict[str, Any]]:
        """Instances that are not terminated, by the host's name."""
        found = {}
        for reservation in self.aws("ec2").describe_instances()["Reservations"]:
            for instance in reservation["Instances"]:
                tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
                if instance["State"]["Name"] != "terminated":
                    found[tags["aether:host"]] = instance
        return found

    def github(self) -> dict[str, Any]:
        """What GitHub knows of the image repository."""
        document = json.loads((self.simulator / "github/github.json").read_text())
        repository: dict[str, Any] = document["repositories"][0]
        return repository

    def github_api(self, method: str, path: str) -> int:
        """One request to GitHub's API with the owner's token; the status."""
        settings = self.configuration
        request = urllib.request.Request(f"{settings['aether:githubBaseUrl']}api/v3/{path}", method=method)
        request.add_header("Authorization", f"Bearer {settings['aether:githubToken']}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)

    def git(self, *arguments: str) -> str:
        """Output of git on the image repository."""
        repository = self.simulator / "github/example/aether-image.git"
        return subprocess.run(["git", "--git-dir", repository, *arguments], capture_output=True, text=True, check=True).stdout

    def resource(self, kind: str, name: str) -> dict[str, Any]:
        """One resource of the state, by the end of its type and its name."""
        return next(
            item for item in self.checkout.resources() if item["type"].endswith(kind) and item["urn"].endswith(f"::{name}")
        )

    def images(self) -> dict[str, str]:
        """The stack's output: image to reference by digest."""
        stack = next(item for item in self.checkout.resources() if item["type"] == "pulumi:pulumi:Stack")
        found: dict[str, str] = stack["outputs"]["images"]
        return found

    def sops(self, file: str, key: str, value: str) -> None:
        """Write a new value into one of the stack's sops files."""
        path = self.simulator / "secrets" / file
        done = self.checkout.run(
            str(self.checkout.path / ".aether/engine/bin/sops"),
            "set",
            str(path),
            f'["{key}"]',
            json.dumps(value),
            env={"SOPS_AGE_KEY_FILE": str(self.simulator / "keys/age.txt")},
        )
        assert done.code == 0, done.text

    def secrets(self) -> dict[str, str]:
        """Every secret that this stack is given, by where it is from."""
        keys = self.simulator / "keys"
        found = {
            "aws secret key": (keys / "aws-credentials").read_text().split()[1],
            "github token": (keys / "github-token").read_text(),
            "cosign password": (keys / "image/password").read_text(),
            "cosign key": _middle(keys / "image/cosign.key"),
            "operator key": _middle(keys / "operator"),
        }
        for name in ("public-gateway", "vps", "cloud-workstation"):
            found[f"host key of {name}"] = _middle(keys / "hosts" / name)
        return found


def _middle(path: Path) -> str:
    """A line of a private key that no other key has: neither its header nor its footer."""
    lines = path.read_text().strip().splitlines()
    return lines[-2]
