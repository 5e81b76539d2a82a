"""Stacks of the simulated AWS: the real engine with the fake for the aws plugin, in a folder of their own."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aether_sim.paths import SOURCES

ROOT = Path(__file__).resolve().parent.parent.parent
ENGINE = ROOT / ".aether/engine/bin"


@dataclass
class Stack:
    folder: Path
    api: str

    def run(self, *words: str, **variables: str) -> tuple[int, str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        env |= {
            "PATH": f"{ENGINE}:{ROOT / '.venv/bin'}:{os.environ['PATH']}",
            "PULUMI_HOME": str(ROOT / ".aether/pulumi-home"),
            "PULUMI_BACKEND_URL": f"file://{self.folder}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "HOME": str(self.folder),
            "API": self.api,
            **variables,
        }
        done = subprocess.run(
            ["pulumi", *words, "--non-interactive"],
            cwd=self.folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def up(self, **variables: str) -> str:
        code, said = self.run("up", "--yes", "--skip-preview", "--suppress-progress", **variables)
        assert code == 0, said
        return said

    def outputs(self) -> dict[str, Any]:
        code, said = self.run("stack", "output", "--json")
        assert code == 0, said
        outputs: dict[str, Any] = json.loads(said)
        return outputs

    def secrets_seen(self) -> int:
        return sum(path.read_text().count("hunter2") for path in (self.folder / ".pulumi").rglob("*.json*"))


def make_stack(folder: Path, api: str, program: str) -> Stack:
    (folder / "Pulumi.yaml").write_text("name: gateway\nruntime: python\n")
    (folder / "__main__.py").write_text(program)
    stack = Stack(folder, api)
    code, said = stack.run("stack", "init", "test")
    assert code == 0, said
    return stack


PROGRAM = f"""
import json, os, sys
sys.path[:0] = [{str(ROOT)!r}, {str(SOURCES)!r}]
import pulumi, pulumi_aws as aws
from components.aws.public_gateway import PublicGateway, PublicGatewayArgs
from inventory.load import load
from inventory.models import DataDisk, NixosCloudVm, Opening, Record, Relay
from aether_sim.hosts.firstboot import random_host_key
inventory = load({str(ROOT / "inventory/cloud.toml")!r}, {str(ROOT / "secrets")!r})
change = json.loads(os.environ.get("CHANGE", "{{}}"))
# moto makes no snapshots by policy: tests/system/test_aws_snapshots.py has those.
data = DataDisk(size=10, mount="/srv/data", snapshots=0)
gateway = inventory.hosts["public-gateway"].model_dump(mode="json", exclude={{"playbook"}})
facts = NixosCloudVm.model_validate_json(json.dumps(gateway | {{"os": "nixos"}})).model_copy(update={{"data": data}})
if "open" in change:
    facts = facts.model_copy(update={{"open": (*facts.open, Opening(port=change["open"], purpose="new"))}})
facts = facts.model_copy(update=change.get("facts", {{}}))
if "data" in change:
    facts = facts.model_copy(update={{"data": data.model_copy(update=change["data"]) if change["data"] else None}})
cloud = inventory.cloud.model_copy(update={{"ipv6": False, **change.get("cloud", {{}})}})
if "records" in change:
    cloud = cloud.model_copy(update={{"records": [Record.model_validate_json(json.dumps(one)) for one in change["records"]]}})
if "relays" in change:
    relays = {{name: Relay.model_validate(one) for name, one in change["relays"].items()}}
    cloud = cloud.model_copy(update={{"relays": relays}})
services = ("ec2", "iam", "sts", "route53", "budgets", "dlm")
provider = aws.Provider("aws", region="eu-central-1", skip_metadata_api_check=True, skip_region_validation=True,
    skip_credentials_validation=True, skip_requesting_account_id=True, 
    access_key=os.environ.get("KEY", "k"), secret_key=os.environ.get("SECRET", "s"),
    default_tags=aws.ProviderDefaultTagsArgs(tags={{"project": "aether", **change.get("tags", {{}})}}),
    endpoints=[aws.ProviderEndpointArgs(**dict.fromkeys(services, os.environ["API"]))])
site = inventory.site
keys = change.get("keys", list(site.authorized_keys))
gateway = PublicGateway("public-gateway", PublicGatewayArgs(
    facts=facts, cloud=cloud, protect=change.get("protect", False),
    site=site.model_copy(update={{"authorized_keys": tuple(keys), **change.get("site", {{}})}}),
    cidr=change.get("cidr", "192.168.90.0/24"),
    public_names=("jellyfin.example.org", *change.get("names", [])), host_private_key=pulumi.Output.secret(random_host_key()),
    provider=provider))
pulumi.export("machine", gateway.machine.instance_id)
pulumi.export("volume", gateway.machine.data.volume_id if gateway.machine.data else "")
pulumi.export("ipv6", gateway.ipv6_address)
"""


@contextlib.contextmanager
def simulated_aws() -> Iterator[str]:
    """The simulator's moto, where another machine can have the address of one that is gone; where it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aether_sim.aws.moto_server", "127.0.0.1"], stdout=subprocess.PIPE, text=True, cwd=SOURCES
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait(20)
