"""The review: what it says of each kind of change, and that it gives no secret away."""

import json
from typing import Any

import pytest

from components.requests import DeployRequest
from ops.review import preview_steps, reboots, render, summary
from ops.stack import OpsError, Stack

TWICE = "error: Duplicate resource URN 'urn:pulumi:sim::aether::aether:ansible:Playbook$command:local:Command::oracle'"


def step(op: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"op": op, "urn": f"urn:pulumi:homelab::aether::aether:x:Y${kind}::{name}", **more}


def system(desired: str, **more: str) -> dict[str, Any]:
    environment = {"AETHER_HOST": "gateway", "AETHER_FLAKE": "gateway", "AETHER_DESIRED": desired, "AETHER_REBOOT": "ask", **more}
    return {"inputs": {"create": DeployRequest.program(), "environment": environment}}


def test_nothing_changes() -> None:
    text = render([step("same", "command:local:Command", "gateway")], "homelab")
    assert "Nothing changes." in text


def test_a_redeployment_names_both_closures() -> None:
    text = render(
        [
            step(
                "update",
                "command:local:Command",
                "gateway",
                oldState=system("source:aaaabbbbcccc1"),
                newState=system("source:ddddeeeeffff2"),
            )
        ],
        "homelab",
        {"gateway": "caddy: 2.9 -> 2.10"},
    )
    assert "### gateway" in text
    assert "system redeployed: `source:aaaabbbbcccc` -> `source:ddddeeeeffff`" in text
    assert "caddy: 2.9 -> 2.10" in text


def test_what_becomes_of_a_change_whose_host_is_away_is_said() -> None:
    steps = [step("update", "command:local:Command", "gateway", oldState=system("source:1"), newState=system("source:2"))]
    text = render(steps, "homelab", remarks={"gateway": "may be away", "other": "is not changed"})
    assert "- may be away" in text.split("### gateway")[1] and "is not changed" not in text


def test_a_replaced_guest_is_a_risk_with_its_reason() -> None:
    text = render(
        [step("replace", "proxmoxve:index/vmLegacy:VmLegacy", "media", replaceReasons=["vmId"], oldState={"protect": True})],
        "homelab",
    )
    risks = text.split("### Look at these first")[1].split("###")[0]
    assert "**media is replaced**: its disks are lost (vmId)" in risks
    assert "**media is protected**" in risks


def test_a_size_is_shown_old_and_new() -> None:
    text = render(
        [
            step(
                "update",
                "proxmoxve:index/vmLegacy:VmLegacy",
                "media",
                detailedDiff={"memory.dedicated": {}},
                oldState={"inputs": {"memory": {"dedicated": 4096}}},
                newState={"inputs": {"memory": {"dedicated": 8192}}},
            )
        ],
        "homelab",
    )
    assert "`memory.dedicated` 4096 -> 8192" in text


def test_a_secret_property_is_named_and_not_shown() -> None:
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"hunter2"'}
    text = render(
        [
            step(
                "update",
                "aws:ec2/instance:Instance",
                "public-gateway",
                detailedDiff={"userData": {}},
                oldState={"inputs": {"userData": "[secret]"}},
                newState={"inputs": {"userData": secret}},
            )
        ],
        "cloud",
    )
    assert "`userData` (secret)" in text
    assert "hunter2" not in text


def test_an_automatic_reboot_is_a_risk() -> None:
    text = render(
        [step("update", "command:local:Command", "gateway", oldState=system("a"), newState=system("b", AETHER_REBOOT="auto"))],
        "homelab",
    )
    assert "gateway may reboot by itself" in text


BEFORE = '{"kernel": "/nix/store/aaaaaaaaaaaa-linux-6.12.57", "parameters": ["quiet"], "critical": {"dbus": "dbus"}}'


@pytest.mark.parametrize(
    ("policy", "after", "says"),
    [
        ("auto", BEFORE, []),
        ("ask", BEFORE, []),
        (
            "auto",
            BEFORE.replace("aaaaaaaaaaaa-linux-6.12.57", "bbbbbbbbbbbb-linux-6.12.58"),
            ["gateway reboots: kernel linux-6.12.57 (aaaaaaa) -> linux-6.12.58 (bbbbbbb)"],
        ),
        (
            "ask",
            BEFORE.replace('["quiet"]', '["quiet", "nosmt"]'),
            ["gateway runs this only after a reboot, make reboot HOST=gateway: parameters quiet -> quiet nosmt"],
        ),
        (
            "auto",
            BEFORE.replace('"dbus"}', '"broker"}'),
            ["gateway reboots: its new system cannot be switched to, and is booted for a trial (dbus dbus -> broker)"],
        ),
        (
            "never",
            BEFORE.replace('"dbus"}', '"broker"}'),
            [
                "gateway refuses this (exit 38): only a boot leads there (dbus dbus -> broker). "
                'Fix: reboot = "auto" in the inventory'
            ],
        ),
        # What only one of them has inhibits nothing.
        ("never", BEFORE.replace('{"dbus": "dbus"}', '{"dbus": "dbus", "init": "systemd"}'), []),
    ],
)
def test_the_reboot_that_a_redeployment_brings_is_said(policy: str, after: str, says: list[str]) -> None:
    new = system("b", AETHER_REBOOT=policy, AETHER_BOOTS=after)
    steps = [step("update", "command:local:Command", "gateway", oldState=system("a", AETHER_BOOTS=BEFORE), newState=new)]
    assert reboots(steps) == says
    for words in says:
        assert words in render(steps, "homelab").replace("**", "").replace("`", "")


class TestOrder:
    """Who waits for whom, by what the engine says of dependencies."""

    @staticmethod
    def deployment(host: str, before: list[str] | None, after: list[str] | None, op: str = "same") -> dict[str, Any]:
        def state(waits: list[str] | None) -> dict[str, Any] | None:
            if waits is None:
                return None
            inputs = {"create": DeployRequest.program(), "environment": {"AETHER_HOST": host}}
            return {"inputs": inputs, "dependencies": [TestOrder.urn(other) for other in waits]}

        return {"op": op, "urn": TestOrder.urn(host), "oldState": state(before), "newState": state(after)}

    @staticmethod
    def urn(host: str) -> str:
        return f"urn:pulumi:homelab::aether::aether:nixos:NixosSystem$command:local:Command::{host}"

    def test_hosts_that_wait_for_others_than_before_are_named(self) -> None:
        steps = [
            self.deployment("dns", [], []),
            self.deployment("ca", [], []),
            self.deployment("web", ["dns", "web"], ["ca", "web"]),
        ]
        text = render(steps, "homelab")
        assert "### Who waits for whom\n\n- `web` waits for `ca` from now on, and no longer for `dns`\n" in text
        assert "Nothing changes" not in text

    def test_what_comes_and_goes_is_no_change_of_the_order(self) -> None:
        steps = [
            self.deployment("dns", None, [], "create"),
            self.deployment("old", ["web"], None, "delete"),
            self.deployment("web", [], []),
        ]
        assert "Who waits" not in render(steps, "homelab")


def test_a_program_is_told_what_changes_and_what_is_lost() -> None:
    before, after = system("source:1"), system("source:2")
    before["inputs"]["stdin"], after["inputs"]["stdin"] = "package: caddy: 2.9\n", "package: caddy: 2.10\n"
    found = summary(
        [
            step("same", "command:local:Command", "dns"),
            step("update", "aether:nixos:NixosSystem", "gateway"),
            step("update", "command:local:Command", "gateway", oldState=before, newState=after),
            step("replace", "proxmoxve:index/vmLegacy:VmLegacy", "media", replaceReasons=["vmId"], oldState={}),
        ],
        "homelab",
    )
    assert [(each["op"], each["host"], each["replacedBecauseOf"]) for each in found["changes"]] == [
        ("update", "gateway", []),
        ("replace", "media", ["vmId"]),
    ]
    assert found["changes"][0]["what"].startswith("system redeployed")
    assert list(found["inside"]) == ["gateway"] and "caddy" in found["inside"]["gateway"][0]
    assert found["losses"] == [{"name": "media", "what": "virtual machine", "how": "replace"}]
    json.dumps(found)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--target", "**::media"], "no part of the stack can be deployed by itself. Nothing was changed. Fix: "),
        (["--exclude", "**::media"], "./aether --stack homelab up"),
        ([], "Duplicate resource URN"),
    ],
)
def test_a_part_that_the_engine_cannot_take_by_itself_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    def refuse(*_: str) -> str:
        raise OpsError(TWICE)

    monkeypatch.setattr(Stack, "output", refuse)
    with pytest.raises(OpsError) as refused:
        preview_steps(Stack("homelab"), *arguments)
    assert says in str(refused.value)
    assert ("Duplicate" in str(refused.value)) is (not arguments)
