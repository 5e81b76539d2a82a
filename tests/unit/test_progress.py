"""What the engine says, as a person reads it."""

import io

import pytest

from ops.progress import ProgressPrinter

OUTPUT = """Updating (sim):
@ updating....
 +  command:local:Command gateway creating (0s) gateway: builds
 +  command:local:Command gateway creating (0s) gateway: builds
 +  command:local:Command gateway created (2s) gateway: committed as generation 2
 ~  proxmoxve:index:ContainerLegacy keycloak updating (0s) [diff: ~memory]
 ~  proxmoxve:index:ContainerLegacy keycloak **updating failed** [diff: ~memory]; error: 1 error occurred:
 ~  command:local:Command cockpit updated (2s) [diff: ~environment]; cockpit: committed as generation 3
 +  aether:nixos:NixosSystem gateway created
Diagnostics:
  pulumi:pulumi:Stack (aether-sim):
    error: update failed

  proxmoxve:index:ContainerLegacy (keycloak):
    error:   sdk-v2/provider2.go:572: sdk.helper_schema: All attempts fail:
    #1: received an HTTP 595 response - Reason: No route to host: provider=proxmox@8.3.0

  command:local:Command (media):
    error: exit status 31: running "components/nixos/scripts/deploy.sh":
    media: builds
        jellyfin[1]: cannot open database
    media: FAILED: not healthy after activation: unit jellyfin.service; back on generation 2 (/nix/store/x)

Resources:
    + 1 created
    2 errored
"""


def run_with_progress() -> tuple[str, ProgressPrinter]:
    out = io.StringIO()
    printer = ProgressPrinter({"keycloak": "oracle"}, out)
    for line in OUTPUT.splitlines():
        printer.feed(line)
    return out.getvalue(), printer


def test_each_thing_is_said_once_and_components_are_not() -> None:
    text, _ = run_with_progress()
    assert text.count("gateway: builds") == 1
    assert "  + Command gateway created (2s)" in text
    assert "cockpit: committed as generation 3" in text
    assert "NixosSystem" not in text
    assert "    + 1 created" in text


def test_a_failure_is_one_sentence_with_host_and_cause() -> None:
    _, printer = run_with_progress()
    keycloak, media = printer.failures()
    assert keycloak.startswith("keycloak: its Proxmox node oracle is offline, or the API cannot reach it (")
    assert media.splitlines()[0] == (
        "media: not healthy after activation: unit jellyfin.service; back on generation 2 (/nix/store/x)"
    )
    assert "cannot open database" in media


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("error: received an HTTP 500 response - Reason: VM is locked (backup)", "it is locked by a backup (vzdump)"),
        ("error: timeout while waiting for VM 110 configuration to become unlocked", "the lock was not given back in time"),
        ("error: can't lock file '/var/lock/qemu-server/lock-110.conf' - got timeout", "another task holds its lock"),
        ("error: received an HTTP 429 response - Reason: Too Many Requests", "refuses so many requests at once"),
        ("error: received an HTTP 503 response - Reason: Service Unavailable", "more requests than it takes"),
        ("error: rpc error: code = Unavailable desc = error reading from server: EOF", "Fix: run the same command again"),
        (
            "error: EC2: CreateVpc, exceeded maximum number of attempts, 26, https response error StatusCode: 500",
            "AWS reported an error of its own, 26 times",
        ),
        ("error: cluster not ready - no quorum?", "has lost its quorum"),
    ],
)
def test_a_clusters_own_troubles_are_told_in_words(said: str, means: str) -> None:
    printer = ProgressPrinter({"web": "oracle"}, io.StringIO())
    for line in ("Diagnostics:", "  proxmoxve:index:VmLegacy (web):", f"    {said}"):
        printer.feed(line)
    assert means in printer.failures()[0]


def test_what_the_program_warns_of_is_shown_and_a_plugins_warnings_are_not() -> None:
    out = io.StringIO()
    printer = ProgressPrinter({}, out)
    for line in (
        "Diagnostics:",
        "  pulumi:pulumi:Stack (aether-sim):",
        "    warning: station stays as it is",
        "  command:local:Command (media):",
        "    warning: a plugin's own",
    ):
        printer.feed(line)
    assert "warning: station stays as it is" in out.getvalue() and "plugin" not in out.getvalue()


STACK = """error: Program failed with an unhandled exception:
Traceback (most recent call last):
  File "pulumi/runtime/stack.py", line 181, in wait_for_rpcs
    await rpc_manager.rpcs.pop()
{last}"""


def test_a_failed_resource_is_told_by_itself_and_not_by_the_stacks_of_python() -> None:
    registration = STACK.format(last="pulumi.runtime.stack.ResourceRegistrationFailed: resource cloud [aws:ec2/vpc:Vpc] failed")
    printer = ProgressPrinter({}, io.StringIO())
    printer.feed("Diagnostics:")
    printer.feed("  pulumi:pulumi:Stack (aether-sim-cloud):")
    for (
        line
    ) in f"{registration}\n\nThe above exception was the direct cause of the following exception:\n\n{registration}".splitlines():
        printer.feed(f"    {line}")
    printer.feed("  aws:ec2:Vpc (cloud):")
    printer.feed("    error: creating Vpc: no such region")
    assert printer.failures() == ["cloud: error: creating Vpc: no such region"]


def test_a_defect_of_the_program_keeps_its_stack() -> None:
    printer = ProgressPrinter({}, io.StringIO())
    printer.feed("Diagnostics:")
    printer.feed("  pulumi:pulumi:Stack (aether-sim):")
    for line in STACK.format(last="TypeError: unsupported operand").splitlines():
        printer.feed(f"    {line}")
    (told,) = printer.failures()
    assert "wait_for_rpcs" in told and told.endswith("TypeError: unsupported operand")


def test_the_codes_of_scripts_that_failed_are_kept_for_who_explains_them() -> None:
    _, printer = run_with_progress()
    assert printer.codes() == [31]


def test_what_the_hosts_own_program_refuses_is_one_sentence_too() -> None:
    printer = ProgressPrinter({}, io.StringIO())
    for line in (
        "Diagnostics:",
        "  command:local:Command (web):",
        '    error: exit status 2: running "components/nixos/scripts/deploy.sh":',
        "    web: builds",
        "    web: REFUSED: it is neither signed by the fleet's key nor a generation of this host",
    ):
        printer.feed(line)
    assert printer.failures() == ["web: it is neither signed by the fleet's key nor a generation of this host"]
    assert printer.codes() == [2]


def test_what_the_program_says_of_another_ones_failure_is_no_failure_of_its_own() -> None:
    printer = ProgressPrinter({}, io.StringIO())
    for line in (
        "Diagnostics:",
        "  pulumi:pulumi:Stack (aether-sim):",
        "    error: what waits for a resource that failed stays as it is (resource notes [command:local:Command] failed)",
        "    error: an unhandled error occurred: program exited with non-zero exit code: 1",
        "  command:local:Command (notes):",
        '    error: exit status 40: running "components/proxmox/scripts/first-contact.sh":',
        "    notes: FAILED: secrets/hosts/notes.yaml does not exist. Fix: ./aether secrets init",
    ):
        printer.feed(line)
    assert printer.failures() == ["notes: secrets/hosts/notes.yaml does not exist. Fix: ./aether secrets init"]


def test_a_program_that_ended_says_so_where_nobody_else_does() -> None:
    printer = ProgressPrinter({}, io.StringIO())
    ended = "error: an unhandled error occurred: program exited with non-zero exit code: 1"
    for line in ("Diagnostics:", "  pulumi:pulumi:Stack (aether-sim):", f"    {ended}"):
        printer.feed(line)
    assert printer.failures() == [f"the program: {ended}"]
