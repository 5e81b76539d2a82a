"""Requests to the chained commands: what their scripts read, and what a review reads back."""

import re
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.base import Operator
from components.requests import (
    DeployRequest,
    GrowDisksRequest,
    HostRequest,
    PlaybookRequest,
    RebaseRequest,
    Request,
    changed_fields,
    host_of,
    local_command,
    variable,
)
from inventory.models import UnitCheck
from tests.unit.recorder import Registered, record

OPERATOR = Operator(ssh_config="ssh/config")


def deployment(**more: Any) -> DeployRequest:
    values = {
        "host": "web", "operator": OPERATOR, "hostname": ("web", "www"), "flake": "web", "desired": "/nix/store/x.drv",
        "checks": (UnitCheck(unit="app.service"),), "settle": 2, "confirm_timeout": 60, "reboot": "ask", "build_on": "operator",
        "drift": "", "may_fail": None, "boots": None, "instance": "BC:24:11:00:00:01",
    }  # fmt: skip
    return DeployRequest.model_validate({**values, **more})


def disks(*wanted: str) -> GrowDisksRequest:
    return GrowDisksRequest(host="web", operator=OPERATOR, node="oracle", vmid="101", instance="x", disks=wanted)


def kinds(parent: type[Request] = Request) -> list[type[Request]]:
    return [kind for each in parent.__subclasses__() for kind in ([each] if hasattr(each, "script") else []) + kinds(each)]


def made(request: Request, **options: Any) -> Registered:
    return record(lambda: local_command("web", request, pulumi.ResourceOptions(), **options)).one("Command", "web")


def test_a_field_is_a_variable_of_the_script() -> None:
    variables = deployment(may_fail=("a.service", "b*.mount")).variables()
    assert variables == {
        "AETHER_HOST": "web",
        "AETHER_SSH_CONFIG": "ssh/config",
        "AETHER_SECRETS": "secrets",
        "AETHER_NIX": "nix",
        "AETHER_HOSTNAME": "web www",
        "AETHER_FLAKE": "web",
        "AETHER_DESIRED": "/nix/store/x.drv",
        "AETHER_CHECKS": "unit\tapp.service\t-\t60\n",
        "AETHER_SETTLE": "2",
        "AETHER_CONFIRM_TIMEOUT": "60",
        "AETHER_REBOOT": "ask",
        "AETHER_BUILD_ON": "operator",
        "AETHER_DRIFT": "",
        "AETHER_MAY_FAIL": "a.service b*.mount",
        "AETHER_INSTANCE": "BC:24:11:00:00:01",
    }


def test_lines_words_flags_and_variables_of_a_playbook_are_written_as_they_are_read() -> None:
    assert disks("scsi0 10", "scsi1 20").variables()["AETHER_DISKS"] == "scsi0 10\nscsi1 20"
    rebase = RebaseRequest(
        host="desk", operator=OPERATOR, hostname="desk", image="i", digest="", signed=True, reboot="now", window="", checks=(),
        drift="",
    )  # fmt: skip
    assert rebase.variables()["AETHER_SIGNED"] == "yes"
    playbook = PlaybookRequest(
        host="web", operator=OPERATOR, playbook="a.yml", inventory="i.toml", endpoints="", var={"colour": "dark blue"}
    )
    assert playbook.variables()["AETHER_VAR_colour"] == "dark blue" and "AETHER_MODE" not in playbook.variables()


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_request_is_of_a_script_and_is_read_back_from_a_state(kind: type[Request]) -> None:
    state = {"inputs": {"create": kind.program(), "environment": {"AETHER_HOST": "web"}}}
    found = kind.fields_of(state)
    assert found is not None
    assert found == {**dict.fromkeys(found, ""), **({"host": "web"} if issubclass(kind, HostRequest) else {})}
    others = [other for other in kinds() if other is not kind and other.fields_of(state) is not None]
    assert others == []


def test_a_state_of_something_else_holds_no_request() -> None:
    for state in (None, {}, {"inputs": {"name": "a machine"}}, {"inputs": {"create": "true"}}):
        assert DeployRequest.fields_of(state) is None and host_of(state) == ""


def test_fields_that_changed_are_named() -> None:
    before, after = ({"inputs": dict(made(deployment(reboot=policy)).inputs)} for policy in ("ask", "auto"))
    assert changed_fields(before, after) == ["reboot"]


def test_what_was_born_as_the_request_says_is_asked_from_its_first_change_on() -> None:
    born, known = made(disks("scsi0 10"), born=True), made(disks("scsi0 10"), born=False)
    assert (born.inputs["create"], born.inputs["update"]) == (":", GrowDisksRequest.program())
    assert (known.inputs["create"], known.inputs["update"]) == (GrowDisksRequest.program(),) * 2
    # Which of both it was is no difference in the next run.
    assert born.ignore_changes == known.ignore_changes == ("create",)
    assert GrowDisksRequest.fields_of({"inputs": dict(born.inputs)}) is not None


# Run as a request's script, they read it.
_ASKED = {
    "components/github/api.py",
    "components/github/published.py",
    "components/github/push.py",
    "components/registry/digest.py",
}


def test_no_other_module_knows_how_a_request_is_written() -> None:
    names = {variable(field) for kind in kinds() for field in kind.model_fields}
    files = [path for folder in ("components", "stacks", "ops") for path in Path(folder).rglob("*.py") if str(path) not in _ASKED]
    words = {str(path): names & set(re.findall(r"AETHER_[A-Z_]+", path.read_text())) for path in files}
    assert not {path: found for path, found in words.items() if found}
