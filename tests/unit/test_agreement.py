"""What has to be agreed to, and by which words."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from ops import agreement, plan, review
from ops.agreement import Agreement
from ops.progress import ProgressPrinter
from ops.stack import OpsError, Stack
from tests.unit.engine_events import begin, broken, done

VM = "proxmoxve:index/vmLegacy:VmLegacy"
LXC = "proxmoxve:index/containerLegacy:ContainerLegacy"
COMMAND = "command:local:Command"
REAL = Stack("homelab")


def step(op: str, name: str, kind: str = VM, **more: Any) -> dict[str, Any]:
    return {"op": op, "urn": f"urn:pulumi:homelab::aether::aether:proxmox:NixosVm${kind}::{name}", **more}


def replaced(name: str, kind: str = VM) -> list[dict[str, Any]]:
    ops = ("delete-replaced", "replace", "create-replacement")
    return [step(op, name, kind, replaceReasons=["vmId"] if op == "replace" else []) for op in ops]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([step("create", "web"), step("update", "dns", LXC), step("same", "log")], []),
        ([step("replace", "web", COMMAND), step("delete", "web", COMMAND)], []),
        ([step("delete", "web")], [("delete", "web", "")]),
        (replaced("dns", LXC), [("replace", "dns", "vmId")]),
        ([step("delete", "zone", "aws:route53/zone:Zone")], [("delete", "zone", "")]),
        ([step("delete", "gateway", "aws:ec2/eip:Eip")], [("delete", "gateway", "")]),
        ([step("replace", "cloud", "aws:ec2/instance:Instance")], [("replace", "cloud", "")]),
        ([step("delete", "image", "github:index/repository:Repository")], [("delete", "image", "")]),
        # Whatever somebody called protected is worth a word.
        ([step("delete", "odd", "x:y/z:Odd", oldState={"protect": True})], [("delete", "odd", "")]),
        ([step("delete-replaced", "gone")], [("replace", "gone", "")]),
        ([step("discard", "moved")], [("delete", "moved", "")]),
    ],
)
def test_what_would_be_lost(steps: list[dict[str, Any]], expected: list[tuple[str, str, str]]) -> None:
    assert [(loss.option, loss.name, loss.why) for loss in plan.losses(steps)] == expected


@pytest.mark.parametrize(
    ("replace", "delete", "left"),
    [
        ([], [], {"web", "dns"}),
        (["web"], [], {"dns"}),
        (["web", "dns"], [], {"dns"}),
        ([], ["dns"], {"web"}),
        ([], ["web", "dns"], set()),
        (["other"], ["none"], {"web", "dns"}),
    ],
)
def test_a_loss_is_named_by_its_own_word(replace: list[str], delete: list[str], left: set[str]) -> None:
    found = plan.losses([*replaced("web"), step("delete", "dns", LXC)])
    assert {loss.name for loss in plan.unnamed(found, replace=replace, delete=delete)} == left


class Terminal(io.StringIO):
    def __init__(self, text: str = "", *, terminal: bool = True) -> None:
        super().__init__(text)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def agree(
    monkeypatch: pytest.MonkeyPatch, steps: list[dict[str, Any]], words: Agreement, answer: str | None, stack: Stack = REAL
) -> object:
    monkeypatch.setattr(review, "preview_steps", lambda *_: steps)
    monkeypatch.setattr(sys, "stdin", Terminal(answer or "", terminal=answer is not None))
    return agreement.agree_to_up(stack, words, [], lambda _: None)


def test_a_simulated_stack_is_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AETHER_GUARD", raising=False)
    assert agree(monkeypatch, [step("delete", "web")], Agreement(), None, Stack("sim")) is None
    monkeypatch.setenv("AETHER_GUARD", "1")
    with pytest.raises(OpsError, match="--delete web"):
        agree(monkeypatch, [step("delete", "web")], Agreement(), None, Stack("sim"))


@pytest.mark.parametrize(("answer", "does"), [("y\n", True), ("yes\n", True), ("\n", False), ("n\n", False), ("sure\n", False)])
def test_a_change_is_asked_about(monkeypatch: pytest.MonkeyPatch, answer: str, does: bool) -> None:
    steps = [step("update", "web")]
    if does:
        assert agree(monkeypatch, steps, Agreement(), answer) == steps
    else:
        with pytest.raises(OpsError, match="Nothing was changed"):
            agree(monkeypatch, steps, Agreement(), answer)


def test_a_loss_is_typed_before_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = replaced("web")
    assert agree(monkeypatch, steps, Agreement(), "web\ny\n") == steps
    for answer in ("y\ny\n", "\ny\n", "dns\ny\n"):
        with pytest.raises(OpsError, match="Nothing was changed"):
            agree(monkeypatch, steps, Agreement(), answer)
    assert agree(monkeypatch, steps, Agreement(replace=("web",)), "y\n") == steps


def test_nothing_to_do_is_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    assert agree(monkeypatch, [step("same", "web")], Agreement(), None) == [step("same", "web")]


def test_without_a_terminal_a_plan_is_wanted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    steps = [step("update", "web", newState={"inputs": {"memory": 2}})]
    file = tmp_path / "plans/plan.json"
    for words in (Agreement(), Agreement(yes=True)):
        with pytest.raises(OpsError, match=r"preview STACK=homelab ARGS='--save-plan FILE'.*--yes --plan FILE"):
            agree(monkeypatch, steps, words, None)
    plan.save(file, "homelab", steps)
    assert agree(monkeypatch, steps, Agreement(yes=True, plan=file), None) == steps
    other = [step("update", "web", newState={"inputs": {"memory": 4}}), step("create", "new")]
    with pytest.raises(OpsError, match=r"Nothing was changed.\n  not planned: create .*::new\n  otherwise:   update .*::web"):
        agree(monkeypatch, other, Agreement(yes=True, plan=file), None)
    with pytest.raises(OpsError, match="plan of stack homelab"):
        agree(monkeypatch, steps, Agreement(yes=True, plan=file), None, Stack("cloud"))


def test_a_plan_does_not_name_what_is_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever wrote the plan may not have read it: a pipeline names the guest as well."""
    steps = replaced("web")
    plan.save(tmp_path / "plan", "homelab", steps)
    with pytest.raises(OpsError, match="--replace web"):
        agree(monkeypatch, steps, Agreement(yes=True, plan=tmp_path / "plan"), None)
    assert agree(monkeypatch, steps, Agreement(yes=True, plan=tmp_path / "plan", replace=("web",)), None) == steps


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 0, "stack": "homelab", "steps": {}}'])
def test_what_is_no_plan_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan").write_text(text)
    with pytest.raises(OpsError, match="Fix: make preview"):
        plan.compare(tmp_path / "plan", "homelab", [])
    with pytest.raises(OpsError, match="Fix: make preview"):
        plan.compare(tmp_path / "absent", "homelab", [])


def test_a_plan_is_the_same_whatever_the_encryption_of_secrets(tmp_path: Path) -> None:
    def with_secret(ciphertext: str, state: str = "new") -> list[dict[str, Any]]:
        secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": ciphertext}
        return [step("update", "web", newState={"inputs": {"a": [secret]}, "modified": ciphertext}, detailedDiff={"a": {}})]

    plan.save(tmp_path / "plan", "homelab", with_secret("one"))
    plan.compare(tmp_path / "plan", "homelab", with_secret("two"))
    assert "one" not in (tmp_path / "plan").read_text()


@pytest.mark.parametrize(("words", "answer", "does"), [
    (Agreement(delete=("homelab",)), None, True),
    (Agreement(), "homelab\n", True),
    (Agreement(), "y\n", False),
    (Agreement(yes=True), None, False),
])  # fmt: skip
def test_the_end_of_a_stack_is_agreed_to_by_its_name(
    monkeypatch: pytest.MonkeyPatch, words: Agreement, answer: str | None, does: bool
) -> None:
    monkeypatch.setattr(Stack, "resources", lambda self: [step("", "web")])
    monkeypatch.setattr(sys, "stdin", Terminal(answer or "", terminal=answer is not None))
    said: list[str] = []
    if does:
        agreement.agree_to_down(REAL, words, said.append)
    else:
        with pytest.raises(OpsError, match="Nothing was changed"):
            agreement.agree_to_down(REAL, words, said.append)
        assert "web is destroyed" in said[0]


def test_what_was_reached_is_said() -> None:
    printer = ProgressPrinter(planned={"web": 2, "dns": 1, "log": 1, "bad": 1}, out=io.StringIO())
    for event in (
        done("create", "web", VM),
        done("create", "dns", VM),
        begin("create", "bad", VM),
        broken("create", "bad", VM),
    ):
        printer.feed(event)
    assert printer.reached().splitlines() == [
        "Done: dns.",
        "Done in part, the rest waits for what failed: web.",
        "Not begun: log.",
        "Not done: bad.",
    ]
