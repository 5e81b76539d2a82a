"""What a person reviews of a host: a fact a line, and the lines that differ."""

from collections.abc import Mapping

from components.contents import as_lines, from_lines
from ops.contents import MOST, content_differences, differences

SYSTEM = {
    "packages": {"htop": "3.5.0", "jq": "1.8.1"},
    "units": {"caddy.service": "0a1b2c3d"},
    "ports": {"tcp": [80, 443], "udp": []},
    "kernel": "6.18.37",
}


def test_a_fact_is_a_line_and_comes_back() -> None:
    text = as_lines(SYSTEM)
    assert text.splitlines() == [
        "kernel: 6.18.37",
        "packages: htop: 3.5.0",
        "packages: jq: 1.8.1",
        "ports: tcp: 80 443",
        "ports: udp: ",
        "units: caddy.service: 0a1b2c3d",
    ]
    assert from_lines(text)["packages: htop"] == "3.5.0"
    assert from_lines(text)["ports: udp"] == ""


def test_what_differs_is_said_with_both_values_and_of_a_digest_with_its_name() -> None:
    after = {
        **SYSTEM,
        "packages": {"htop": "3.5.1", "age": "1.2"},
        "units": {"caddy.service": "ffffffff", "new.timer": "00000000"},
    }
    found = list(differences(from_lines(as_lines(SYSTEM)), from_lines(as_lines(after))))
    assert found == [
        "+ packages: age 1.2",
        "~ packages: htop 3.5.0 → 3.5.1",
        "- packages: jq 1.8.1",
        "~ units: caddy.service",
        "+ units: new.timer",
    ]


def _state(document: Mapping[str, object]) -> dict[str, object]:
    return {"inputs": {"environment": {"AETHER_HOST": "web"}, "stdin": as_lines(document)}}


def test_of_a_new_nixpkgs_the_first_lines_are_shown_and_the_others_counted() -> None:
    before, after = ({"packages": {f"p{number:03}": version for number in range(100)}} for version in ("1", "2"))
    step = {"urn": "urn::x::y::web", "oldState": _state(before), "newState": _state(after)}
    lines = content_differences([step])["web"].splitlines()
    assert lines[0] == "~ packages: p000 1 → 2"
    assert (len(lines), lines[-1]) == (MOST + 1, f"… and {100 - MOST} more")


def test_what_an_older_version_deployed_has_nothing_to_compare() -> None:
    old = {"inputs": {"environment": {"AETHER_HOST": "web"}}}
    assert content_differences([{"urn": "urn::x::y::web", "oldState": old, "newState": _state(SYSTEM)}]) == {}
