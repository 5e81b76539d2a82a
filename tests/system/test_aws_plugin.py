"""The fake for the aws plugin under the real engine, against moto; and errors that moto does not make."""

import contextlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.aws_stack import ENGINE, make_stack

pytestmark = pytest.mark.skipif(not ENGINE.is_dir(), reason="the engine is not there: ./aether engine ensure")

PROVIDER = """
import json, os
import pulumi, pulumi_aws as aws
url, size, port = os.environ["API"], os.environ.get("SIZE", "t3.micro"), int(os.environ.get("PORT", "443"))
given = json.loads(os.environ.get("PROVIDER", '{"access_key": "k", "secret_key": "s"}'))
services = ("ec2", "iam", "sts", "route53", "budgets", "ssm")
options = pulumi.ResourceOptions(provider=aws.Provider(
    "aws", region="eu-central-1", skip_metadata_api_check=True, skip_region_validation=True,
    default_tags=aws.ProviderDefaultTagsArgs(tags={"project": "aether"}),
    endpoints=[aws.ProviderEndpointArgs(**dict.fromkeys(services, url))], **given))
"""

GATEWAY = (
    PROVIDER
    + """
vpc = aws.ec2.Vpc("net", cidr_block="192.168.200.0/24", assign_generated_ipv6_cidr_block=True, tags={"Name": "net"}, opts=options)
subnet = aws.ec2.Subnet("net", vpc_id=vpc.id, cidr_block="192.168.200.0/24", availability_zone="eu-central-1a",
    ipv6_cidr_block=vpc.ipv6_cidr_block.apply(lambda block: block.rsplit("/", 1)[0] + "/64"), opts=options)
internet = aws.ec2.InternetGateway("net", vpc_id=vpc.id, opts=options)
table = aws.ec2.RouteTable("net", vpc_id=vpc.id, opts=options)
aws.ec2.Route("out", route_table_id=table.id, destination_cidr_block="0.0.0.0/0", gateway_id=internet.id, opts=options)
aws.ec2.RouteTableAssociation("net", route_table_id=table.id, subnet_id=subnet.id, opts=options)
group = aws.ec2.SecurityGroup("gateway", name="gateway", description="what may reach it", vpc_id=vpc.id, opts=options)
rule = aws.vpc.SecurityGroupIngressRule("https", security_group_id=group.id, ip_protocol="tcp", from_port=port, to_port=port,
    cidr_ipv4="0.0.0.0/0", opts=options)
aws.vpc.SecurityGroupEgressRule("out", security_group_id=group.id, ip_protocol="-1", cidr_ipv4="0.0.0.0/0", opts=options)
role = aws.iam.Role("gateway", assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": []}), opts=options)
aws.iam.RolePolicy("gateway", name="sessions", role=role.name, opts=options, policy=json.dumps({"Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["ssm:UpdateInstanceInformation"], "Resource": "*"}]}))
aws.iam.RolePolicyAttachment("gateway", role=role.name, policy_arn="arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
    opts=options)
profile = aws.iam.InstanceProfile("gateway", role=role.name, opts=options)
machine = aws.ec2.Instance("gateway", ami=os.environ.get("AMI", "ami-12c6146b"), instance_type=size, subnet_id=subnet.id,
    vpc_security_group_ids=[group.id], iam_instance_profile=profile.name, user_data=pulumi.Output.secret("hunter2"),
    metadata_options=aws.ec2.InstanceMetadataOptionsArgs(http_tokens="required", http_put_response_hop_limit=1),
    root_block_device=aws.ec2.InstanceRootBlockDeviceArgs(volume_size=12, volume_type="gp3", encrypted=True), opts=options)
address = aws.ec2.Eip("gateway", domain="vpc", opts=options)
aws.ec2.EipAssociation("gateway", allocation_id=address.id, instance_id=machine.id, allow_reassociation=True, opts=options)
zone = aws.route53.Zone("zone", name="example.org", opts=options)
aws.route53.Record("a", zone_id=zone.zone_id, name="gw.example.org", type="A", ttl=300, records=[address.public_ip], opts=options)
aws.ssm.Parameter("secret", name="/aether/key", type="SecureString", value="hunter2", opts=options)
aws.budgets.Budget("monthly", budget_type="COST", time_unit="MONTHLY", limit_amount="15", limit_unit="USD", opts=options,
    notifications=[aws.budgets.BudgetNotificationArgs(comparison_operator="GREATER_THAN", notification_type="ACTUAL",
        threshold=80, threshold_type="PERCENTAGE", subscriber_email_addresses=["owner@example.org"])])
pulumi.export("address", address.public_ip)
pulumi.export("machine", machine.id)
pulumi.export("rule", rule.id)
pulumi.export("vpcTags", vpc.tags_all)
look = pulumi.InvokeOptions(provider=options.provider)
pulumi.export("zone", aws.route53.get_zone_output(zone_id=zone.zone_id, opts=look).name)
"""
)

LITTLE = PROVIDER + "aws.ec2.Eip('one', domain='vpc', opts=options)\n"


@pytest.fixture
def moto() -> Iterator[str]:
    with serving_moto() as url:
        yield url


@contextlib.contextmanager
def serving_moto() -> Iterator[str]:
    """A moto of its own; where it answers."""
    script = "from moto.server import main; main(['-H', '127.0.0.1', '-p', '0'])"
    env = {**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, env=env)
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(r"Running on (http://127\.0\.0\.1:\d+)", line)
        if found:
            break
    else:
        raise AssertionError("moto did not start")
    threading.Thread(target=process.stderr.read, daemon=True).start()
    yield found.group(1)
    process.terminate()
    process.wait(20)


def test_life_of_a_gateway(moto: str, tmp_path: Path) -> None:
    stack = make_stack(tmp_path, moto, GATEWAY)
    stack.up()
    before = stack.outputs()
    assert before["zone"] == "example.org"
    assert before["vpcTags"] == {"Name": "net", "project": "aether"}
    assert "+ " not in stack.up().split("Resources:")[1]
    code, said = stack.run("refresh", "--yes", "--skip-preview", "--suppress-progress")
    assert code == 0, said
    code, said = stack.run("preview", "--expect-no-changes")
    assert code == 0, said

    assert "~ 1 updated" in stack.up(PORT="8443"), "another port changes the rule in place"
    assert "~ 1 updated" in stack.up(PORT="8443", SIZE="t3.small"), "another size stops and starts the machine"
    assert (stack.outputs()["rule"], stack.outputs()["machine"]) == (before["rule"], before["machine"])
    said = stack.up(PORT="8443", SIZE="t3.small", AMI="ami-03cf127a")
    assert "replaced" in said, "another image is another machine"
    after = stack.outputs()
    assert after["machine"] != before["machine"]
    assert after["address"] == before["address"], "the address outlives the machine"

    assert stack.secrets_seen() == 0
    code, said = stack.run("destroy", "--yes", "--skip-preview", "--suppress-progress")
    assert code == 0, said
    assert "hunter2" not in said


def test_what_changed_behind_its_back_is_seen(moto: str, tmp_path: Path) -> None:
    stack = make_stack(tmp_path, moto, LITTLE)
    stack.up()
    urllib.request.urlopen(urllib.request.Request(f"{moto}/moto-api/reset", method="POST")).read()
    code, said = stack.run("refresh", "--yes", "--skip-preview", "--suppress-progress")
    assert code == 0, said
    assert "- 1 deleted" in said
    assert "+ 1 created" in stack.up()


class Refusing(http.server.BaseHTTPRequestHandler):
    """Answers every call with one error, after as many throttled answers as are left."""

    code = "ExpiredToken"
    throttled = 0
    calls = 0
    moto = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        cls = type(self)
        cls.calls += 1
        if cls.throttled > 0:
            cls.throttled -= 1
            self._refuse("RequestLimitExceeded", 503)
        elif cls.moto:
            request = urllib.request.Request(cls.moto, body, dict(self.headers.items()))
            with urllib.request.urlopen(request) as answer:
                self._answer(answer.status, answer.read(), answer.headers["Content-Type"])
        else:
            self._refuse(cls.code, 403)

    def _refuse(self, code: str, status: int) -> None:
        text = f"<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors></Response>"
        self._answer(status, text.encode(), "text/xml")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[tuple[str, type[Refusing]]]:
    handler = type("Handler", (Refusing,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


KEYS = '{"access_key": "k", "secret_key": "s", "skip_credentials_validation": true, "skip_requesting_account_id": true}'


@pytest.mark.fault
@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("ExpiredToken", "the AWS credentials have expired"),
        ("AuthFailure", "AWS refuses these credentials"),
        ("UnauthorizedOperation", "may not do this"),
    ],
)
def test_errors_say_what_to_do(refusing: tuple[str, type[Refusing]], tmp_path: Path, code: str, advice: str) -> None:
    url, handler = refusing
    handler.code = code
    stack = make_stack(tmp_path, url, LITTLE)
    failed, said = stack.run("up", "--yes", "--skip-preview", "--suppress-progress", PROVIDER=KEYS)
    assert failed != 0
    assert advice in said and f"{code}: no" in said
    assert 'creating Eip "one"' in said


@pytest.mark.fault
def test_missing_credentials_are_named(moto: str, tmp_path: Path) -> None:
    stack = make_stack(tmp_path, moto, LITTLE)
    failed, said = stack.run("up", "--yes", "--skip-preview", "--suppress-progress", PROVIDER="{}")
    assert failed != 0
    assert "no AWS credentials: set accessKey and secretKey of the aws provider, AWS_PROFILE" in said


@pytest.mark.fault
def test_throttled_calls_are_tried_again(moto: str, refusing: tuple[str, type[Refusing]], tmp_path: Path) -> None:
    url, handler = refusing
    handler.moto, handler.throttled = moto, 3
    stack = make_stack(tmp_path, url, LITTLE)
    stack.up()
    assert handler.throttled == 0
    handler.throttled = 1000
    keys = json.dumps({**json.loads(KEYS), "max_retries": 2})
    other = tmp_path / "other"
    other.mkdir()
    failed, said = make_stack(other, url, LITTLE).run("up", "--yes", "--skip-preview", "--suppress-progress", PROVIDER=keys)
    assert failed != 0
    assert "AWS throttles this account's requests" in said
    assert 1000 - handler.throttled == 3


@pytest.mark.fault
def test_the_real_aws_is_refused_with_what_to_install(moto: str, tmp_path: Path) -> None:
    program = PROVIDER.replace("endpoints=[", "endpoints=[] and [")
    stack = make_stack(tmp_path, moto, program + "aws.ec2.Eip('one', domain='vpc', opts=options)\n")
    failed, said = stack.run("up", "--yes", "--skip-preview", "--suppress-progress")
    assert failed != 0
    assert "fake for the aws plugin, for the simulator only" in said
    assert "pulumi plugin install resource aws 7.51.1 --reinstall" in said


def test_wrong_arguments_are_refused_before_anything_is_made(moto: str, tmp_path: Path) -> None:
    program = PROVIDER + "aws.ec2.Subnet('s', vpc_id='vpc-1', enable_dns64=True, opts=options)\n"
    stack = make_stack(tmp_path, moto, program)
    failed, said = stack.run("preview")
    assert failed != 0
    assert "enableDns64" in said and "is not an argument that the fake for the aws plugin has" in said
