"""A page an error: every code that scripts and rules can end with has one, and each says what its script or rule says."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from inventory import codes
from inventory.blocks import replaced
from ops import explain
from ops.__main__ import main
from ops.stack import PAGES, OpsError, Stack
from tests.unit.inventory_cases import CASES, edited, problems_of

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = {path: path.read_text() for path in (ROOT / "components").rglob("scripts/*.sh")}
# Scripts that end with a code of somebody else's: what they ran, or a word between two of ours.
ENDS = r"\b(?:fail|fail_with|try|revert_now|exit|return) (\d+)\b"
# A double-quoted text behind the code that it explains.
SAYS = r'\b(?:fail|fail_with|try|revert_now) (\d+) "((?:[^"\\]|\\.)*)"'
# What is said by a function of several codes.
ELSEWHERE = {
    "2": [r"\S+ is neither signed by the fleet's key nor a generation of this host\. Fix: .+"],
    "12": [r"\S+ does not answer on SSH at \S+ \(.+\)"],
    "20": [r"another deployment is at work here: .+ since .+\. Try again when it is done"],
    "22": [r"\S+ answers with another SSH host key than the inventory has; .+"],
    "30": [r"activation failed: this switch broke \S+; back on generation \d+ \(.+\)"],
    "31": [r"not healthy after activation: .+; back on generation \d+ \(.+\)"],
    "37": [r"activation failed: this switch broke \S+; the way back failed too \(.+\), so it reboots into .+"],
    "62": [r"greenboot found the new deployment red and rolled back; the host runs .+"],
    "43": [r"\S+ could not .+; what it has is kept"],
}


def ended() -> set[str]:
    """Codes that scripts end with; below ten they are between our own scripts, but for a refusal of the host's program."""
    found = {code for text in SCRIPTS.values() for code in re.findall(ENDS, text) if 10 <= int(code) < 100}
    refusals = re.findall(r"\nrefuse\(\) \{[^}]*exit (\d+)", (ROOT / "components/nixos/scripts/entry.sh").read_text())
    return found | set(refusals) | {code for text in SCRIPTS.values() for code in re.findall(r"\bfail (\d+)\b", text)}


@cache
def said(code: str) -> list[str]:
    """Patterns of the sentences that CODE comes with."""
    patterns = [*ELSEWHERE.get(code, [])]
    for text in SCRIPTS.values():
        for found, sentence in re.findall(SAYS, text):
            if found == code:
                whole = sentence.replace('\\"', '"').replace("\\`", "`")
                words = re.split(r"\$\((?:[^()]|\([^()]*\))*\)|\$\{[^}]*\}|\$\w+", whole)
                patterns.append(".+".join(re.escape(word) for word in words))
    return patterns


def test_every_exit_code_has_a_page_and_every_page_a_code() -> None:
    assert len(ended()) > 20
    assert set(explain.deployments()) == ended()


@pytest.mark.parametrize("code", explain.deployments())
def test_a_page_says_what_happened_what_is_now_and_what_to_do(code: str) -> None:
    text = explain.text_of(code)
    assert text.startswith(f"# {code}: ")
    assert tuple(re.findall(r"(?m)^## (.+)$", text)) == explain.HEADINGS
    parts = dict(zip(("", *explain.HEADINGS), re.split(r"(?m)^## .+$", text), strict=True))
    assert all(part.strip() for part in parts.values())
    causes = re.findall(r"(?m)^\| (.+?) \| (.+) \|$", parts["Causes"])[1:]
    assert len(causes) >= 2 and sum("`" in how for _, how in causes) >= 2


@pytest.mark.parametrize("code", explain.deployments())
def test_an_example_is_what_the_script_says(code: str) -> None:
    example = re.split(r"(?m)^## Example$", explain.text_of(code))[1]
    line = re.sub(r"^\s*[\w-]+: (?:FAILED: )?", "", example.strip().splitlines()[1])
    assert any(re.fullmatch(pattern, line) for pattern in said(code)), (line, said(code))


def test_the_runbooks_table_is_that_of_the_pages() -> None:
    runbook = (ROOT / "docs/runbook.md").read_text()
    wanted = replaced(runbook, explain.BEGIN, explain.END, explain.table())
    assert runbook == wanted, "renew it: ./aether explain --write docs/runbook.md"


def test_the_site_lists_every_page() -> None:
    nav = (ROOT / "mkdocs.yml").read_text()
    assert not [path.name for path in PAGES.glob("*.md") if f"- errors/{path.name}\n" not in nav]


def test_every_code_of_the_inventory_is_in_a_row_of_its_page_and_no_other_is() -> None:
    listed = [code for group, _ in codes.groups() for code in group]
    assert sorted(listed) == sorted(codes.reports()) and len(listed) > 100


def test_codes_that_tests_provoke_are_among_them() -> None:
    assert {case[2] for case in CASES} <= set(codes.reports())


@pytest.mark.parametrize(("old", "new", "code", "place", "fix"), CASES, ids=[f"{c[2]}-{i}" for i, c in enumerate(CASES)])
def test_what_a_rule_says_is_what_its_page_says(tmp_path: Path, old: str, new: str, code: str, place: str, fix: str) -> None:
    """With the values of the moment where the page has large names."""
    for problem in problems_of(tmp_path, edited((old, new))):
        reports = codes.reports()[problem.code]
        messages = [pattern for report in reports for pattern in patterns(report.message)]
        assert any(re.fullmatch(rf"{pattern}(, did you mean '.+'\?)?", problem.message) for pattern in messages), problem
        fixes = [pattern for report in reports for pattern in patterns(report.fix)]
        assert any(re.fullmatch(pattern, problem.fix) for pattern in fixes), problem


def patterns(text: str) -> list[str]:
    """Of a sentence of a page: one for each of its alternatives."""
    text = text.removeprefix("'VALUE' ")  # Which is not repeated where it is long, secret or no text.
    return ["('.*' )?" + re.sub(r"\b[A-Z][A-Z0-9_]*\b(?![a-z])|…", ".*", re.escape(part)) for part in text.split("; or: ")]


def test_no_report_is_passed_over() -> None:
    """A code that the source does not spell out comes from somebody who does."""
    handed_on = {("inventory/parse.py", "code"), ("inventory/rules/unique.py", "code")}
    for path in (ROOT / "inventory").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "report":
                code = node.args[0]
                if not isinstance(code, ast.Constant | ast.JoinedStr):
                    assert (path.relative_to(ROOT).as_posix(), ast.unparse(code)) in handed_on
    assert {"duplicate-usb", "unknown-pci", "usb-claimed-twice", "duplicate-vmid", "overlay-range"} <= set(codes.reports())


@pytest.mark.parametrize("code", codes.reports())
def test_a_rules_page_has_its_subject_its_sentences_and_the_line_to_write(code: str) -> None:
    text = explain.text_of(code)
    assert text.startswith(f"# {code}\n\n") and "\n\n.\n" not in text
    for report in codes.reports()[code]:
        assert report.place and report.message and report.fix, report
        assert "{" not in report.message, report


def test_a_page_is_read_from_the_rule() -> None:
    text = explain.text_of("canary-roams")
    assert "A canary of waves is there, and runs what it was given: everybody else waits for it." in text
    assert (
        "rollout.canary: 'CANARY' may be away (roams), and all other hosts would wait for it. "
        "Fix: write a host that stays, or remove roams = true\n"
    ) in text
    (usb,) = codes.reports()["unknown-usb"]
    assert usb.place == "hosts.HOST.usb" and "has no USB device 'DEVICE'" in usb.message
    (vmid,) = codes.reports()["duplicate-vmid"]
    assert str(vmid) == "hosts.NAME.vmid: VMID VALUE is OTHER's too. Fix: write a VMID that no guest of the cluster has"
    assert "](../proxmox.md)" in explain.text_of("moved")


def test_the_command_asks_for_no_stack(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stack", "nowhere", "explain", "31", "canary-roams"]) == 0
    shown = capsys.readouterr().out
    assert "31: a health check failed" in shown and "back on generation 2" in shown and "may be away (roams)" in shown
    # A link's file instead of the link.
    assert main(["--stack", "nowhere", "explain", "37"]) == 0
    assert "34 (docs/errors/34.md)" in capsys.readouterr().out
    assert main(["--stack", "nowhere", "explain", "--list"]) == 0
    shown = capsys.readouterr().out
    assert all(re.search(rf"(?m)^{code} ", shown) for code in (*explain.deployments(), *codes.reports()))


def test_a_slip_names_the_nearest() -> None:
    with pytest.raises(OpsError, match=r"'canary-roam' is no code of an error, did you mean 'canary-roams'\? Fix: .* --list"):
        explain.explain(Stack("nowhere"), ["canary-roam"])


def test_what_is_refused_names_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lab.toml").write_text("[hosts.DNS]\nkind = 'external'\n")
    assert main(["inventory", "check", str(tmp_path / "lab.toml")]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("What it means, and what to do: ./aether explain ") and "missing-table" in last
    assert last.split().count("missing-table") == 1
