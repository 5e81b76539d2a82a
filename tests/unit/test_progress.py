"""What the engine's events say, as a person reads it."""

import io
import json
from pathlib import Path

import pytest

from ops.causes import refusals
from ops.events import Event, EventLog, steps_of
from ops.progress import ProgressPrinter
from tests.unit.engine_events import begin, broken, done, said, urn

COMMAND = "command:local:Command"
LXC = "proxmoxve:index/containerLegacy:ContainerLegacy"
FAILED_SCRIPT = """exit status 31: running "components/nixos/scripts/deploy.sh":
media: builds
    jellyfin[1]: cannot open database
media: FAILED: not healthy after activation: unit jellyfin.service; back on generation 2 (/nix/store/x)
"""
EVENTS = [
    begin("create", "gateway", "aether:nixos:NixosSystem"),
    begin("create", "gateway", COMMAND),
    said("info", "gateway: builds", "gateway", COMMAND),
    said("info", "gateway: builds", "gateway", COMMAND),
    begin("update", "keycloak", LXC),
    begin("update", "cockpit", COMMAND),
    said("info", "gateway: committed as generation 2", "gateway", COMMAND),
    done("create", "gateway", COMMAND),
    said(
        "error",
        "sdk-v2/provider2.go:572: sdk.helper_schema: All attempts fail:\n#1: received an HTTP 595 response - "
        "Reason: No route to host: provider=proxmox@8.3.0",
        "keycloak",
        LXC,
    ),
    broken("update", "keycloak", LXC),
    said("info", "cockpit: committed as generation 3", "cockpit", COMMAND),
    done("update", "cockpit", COMMAND),
    said("error", FAILED_SCRIPT, "media", COMMAND),
    broken("update", "media", COMMAND),
    done("create", "gateway", "aether:nixos:NixosSystem"),
    said("error", "update failed"),
    {"summaryEvent": {"resourceChanges": {"create": 1, "same": 12, "update": 0}}},
]


def printed(*events: Event, nodes: dict[str, str] | None = None) -> tuple[str, ProgressPrinter]:
    out = io.StringIO()
    printer = ProgressPrinter(nodes or {}, out)
    for event in events:
        printer.feed(event)
    return out.getvalue(), printer


def failures(*events: Event) -> list[str]:
    return printed(*events)[1].failures()


def test_each_thing_is_said_once_and_components_are_not() -> None:
    text, _ = printed(*EVENTS)
    assert text.count("gateway: builds") == 1
    assert "  + Command gateway created\n" in text
    assert "cockpit: committed as generation 3" in text
    assert "NixosSystem" not in text
    assert text.endswith("\nResources:\n    + 1 created\n    12 unchanged\n    2 failed\n"), text


def test_a_failure_is_one_sentence_with_host_and_cause() -> None:
    _, printer = printed(*EVENTS, nodes={"keycloak": "oracle"})
    keycloak, media = printer.failures()
    assert keycloak.startswith("keycloak: its Proxmox node oracle is offline, or the API cannot reach it (")
    assert media.splitlines()[0] == (
        "media: not healthy after activation: unit jellyfin.service; back on generation 2 (/nix/store/x)"
    )
    assert "cannot open database" in media


def test_what_is_read_back_is_told_where_it_is_otherwise_and_counts_for_nothing_done() -> None:
    same, other, gone = (
        (begin("refresh", name, LXC), done(op, name, LXC)) for name, op in (("a", "same"), ("b", "update"), ("c", "delete"))
    )
    text, printer = printed(*same, *other, *gone)
    assert text == "  ~ ContainerLegacy b is otherwise than it was left\n  - ContainerLegacy c is gone\n"
    assert printer.reached() == "Done: nothing.\nNot done: nothing."


def test_a_mandatory_policy_of_a_pack_that_is_broken_is_a_failure() -> None:
    found = {"policyName": "no-big", "message": "too big", "resourceUrn": urn("web", LXC)}
    assert failures({"policyEvent": {**found, "enforcementLevel": "advisory"}}) == []
    assert failures({"policyEvent": {**found, "enforcementLevel": "mandatory"}}) == ["web: policy no-big: too big"]


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("received an HTTP 500 response - Reason: VM is locked (backup)", "it is locked by a backup (vzdump)"),
        ("timeout while waiting for VM 110 configuration to become unlocked", "the lock was not given back in time"),
        ("can't lock file '/var/lock/qemu-server/lock-110.conf' - got timeout", "another task holds its lock"),
        ("received an HTTP 429 response - Reason: Too Many Requests", "refuses so many requests at once"),
        ("received an HTTP 503 response - Reason: Service Unavailable", "more requests than it takes"),
        ("rpc error: code = Unavailable desc = error reading from server: EOF", "Fix: run the same command again"),
        (
            "EC2: CreateVpc, exceeded maximum number of attempts, 26, https response error StatusCode: 500",
            "AWS reported an error of its own, 26 times",
        ),
        ("cluster not ready - no quorum?", "has lost its quorum"),
    ],
)
def test_a_clusters_own_troubles_are_told_in_words(text: str, means: str) -> None:
    assert means in failures(said("error", text, "web", LXC))[0]


def test_what_the_program_warns_of_is_shown_and_a_plugins_warnings_are_not() -> None:
    text, _ = printed(said("warning", "station stays as it is"), said("warning", "a plugin's own", "media", COMMAND))
    assert text == "warning: station stays as it is\n"


STACK = """Program failed with an unhandled exception:
Traceback (most recent call last):
  File "pulumi/runtime/stack.py", line 181, in wait_for_rpcs
    await rpc_manager.rpcs.pop()
{last}"""


def test_a_failed_resource_is_told_by_itself_and_not_by_the_stacks_of_python() -> None:
    registration = STACK.format(last="pulumi.runtime.stack.ResourceRegistrationFailed: resource cloud [aws:ec2/vpc:Vpc] failed")
    twice = f"{registration}\n\nThe above exception was the direct cause of the following exception:\n\n{registration}"
    told = failures(said("error", twice), said("error", "creating Vpc: no such region", "cloud", "aws:ec2/vpc:Vpc"))
    assert told == ["cloud: creating Vpc: no such region"]


def test_a_defect_of_the_program_keeps_its_stack() -> None:
    (told,) = failures(said("error", STACK.format(last="TypeError: unsupported operand")), said("error", "update failed"))
    assert "wait_for_rpcs" in told and told.endswith("TypeError: unsupported operand")


def test_the_codes_of_scripts_that_failed_are_kept_for_who_explains_them() -> None:
    _, printer = printed(*EVENTS)
    assert printer.codes() == [31]


def test_what_the_hosts_own_program_refuses_is_one_sentence_too() -> None:
    refused = """exit status 2: running "components/nixos/scripts/deploy.sh":
web: builds
web: REFUSED: it is neither signed by the fleet's key nor a generation of this host
"""
    _, printer = printed(said("error", refused, "web", COMMAND))
    assert printer.failures() == ["web: it is neither signed by the fleet's key nor a generation of this host"]
    assert printer.codes() == [2]


ENDED = "an unhandled error occurred: program exited with non-zero exit code: 1"


def test_what_the_program_says_of_another_ones_failure_is_no_failure_of_its_own() -> None:
    first_contact = """exit status 40: running "components/proxmox/scripts/first-contact.sh":
notes: FAILED: secrets/hosts/notes.yaml does not exist. Fix: ./aether secrets init
"""
    assert failures(
        said("error", "what waits for a resource that failed stays as it is (resource notes [command:local:Command] failed)"),
        said("error", ENDED),
        said("error", first_contact, "notes", COMMAND),
    ) == ["notes: secrets/hosts/notes.yaml does not exist. Fix: ./aether secrets init"]


def test_a_program_that_ended_says_so_where_nobody_else_does() -> None:
    assert failures(said("error", ENDED)) == [f"the program: {ENDED}"]


def test_a_program_that_ended_before_it_could_speak_is_told_by_its_standard_error() -> None:
    assert failures(said("info#err", "No module named pydantic"), said("error", ENDED)) == [
        f"the program: No module named pydantic\n{ENDED}"
    ]


def test_what_the_engine_refuses_before_it_does_anything_is_found_in_its_text() -> None:
    text = "warning: old\nerror: could not load plugin\n    more\n"
    assert refusals(text) == ["could not load plugin"]


def test_a_previews_events_are_its_steps() -> None:
    (event,) = [begin("update", "web", LXC, old={"inputs": {"memory": 1}}, new={"inputs": {"memory": 2}}, keys=["memory"])]
    assert steps_of([event, done("update", "web", LXC), said("info", "x")]) == [
        {
            "op": "update",
            "urn": urn("web", LXC),
            "oldState": {"inputs": {"memory": 1}},
            "newState": {"inputs": {"memory": 2}},
            "replaceReasons": ["memory"],
            "detailedDiff": None,
        }
    ]


def test_events_come_through_the_pipe_and_into_a_copy(tmp_path: Path) -> None:
    heard: list[Event] = []
    with EventLog(tmp_path / "deep/pipe", heard.append, tmp_path / "copy") as log, log.path.open("w") as engine:
        engine.writelines(f"{json.dumps(event)}\n" for event in EVENTS)
    assert heard == EVENTS
    assert [json.loads(line) for line in (tmp_path / "copy").read_text().splitlines()] == EVENTS
    assert not log.path.exists()


def test_an_engine_that_never_speaks_is_not_waited_for(tmp_path: Path) -> None:
    with EventLog(tmp_path / "pipe", lambda event: None):
        pass
    assert not list(tmp_path.iterdir())


def test_what_a_listener_cannot_take_is_an_error_of_the_command(tmp_path: Path) -> None:
    def hear(event: Event) -> None:
        raise KeyError(event["no such key"])

    with pytest.raises(KeyError), EventLog(tmp_path / "pipe", hear) as log, log.path.open("w") as engine:
        engine.write("{}\n")
