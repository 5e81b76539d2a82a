"""Unit files and time spans, as systemd reads them."""

import pytest

from aether_sim.hosts import units

TEXT = """
# a comment
[Unit]
Description=One \\
  line
[Service]
ExecStart=/bin/one
ExecStart=
ExecStart=-/bin/two 'a b'
Environment="A=1" B=2
[X-Simulator]
Listen=80
Listen=8443/https/503
"""


def test_sections_lists_and_continued_lines() -> None:
    file = units.parse("x.service", "/etc/x", TEXT)
    assert file.value("Unit", "Description") == "One    line"
    # An empty assignment clears the list.
    assert file.values("Service", "ExecStart") == ["-/bin/two 'a b'"]
    assert units.command_line(file.value("Service", "ExecStart")) == ["/bin/two", "a b"]
    assert file.value("Service", "Nothing", "default") == "default"


def test_ports_of_a_simulated_unit() -> None:
    file = units.parse("x.service", "/etc/x", TEXT)
    assert file.listens == (units.Listen(80, "tcp", 200), units.Listen(8443, "https", 503))
    assert file.simulated
    assert not units.parse("y.service", "/etc/y", "[Service]\nExecStart=/bin/true\n").simulated


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", 5.0),
        ("1min 30s", 90.0),
        ("500ms", 0.5),
        ("2h", 7200.0),
        ("1.5m", 90.0),
        ("soon", None),
        ("", None),
        ("5 apples", None),
    ],
)
def test_time_spans(text: str, expected: float | None) -> None:
    assert units.seconds(text) == expected


def test_names() -> None:
    assert units.with_suffix("caddy") == "caddy.service"
    assert units.with_suffix("caddy.timer") == "caddy.timer"
