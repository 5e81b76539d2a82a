"""The lab's systems hold what they were asked for, byte for byte; no machine is booted."""

from tests.lab import disk
from tests.lab.disk import nix


def test_scripts_reach_a_system_as_they_are(base: disk.Base) -> None:
    """`${seconds:-300}` is a URL to Nix: a trial's script lost its braces, and rebooted its machine at once."""
    script = "echo ${seconds:-300} ''quoted'' \\n \"$HOME\"\n" + "# " + "x" * 200_000
    path = nix("build", "--no-link", "--print-out-paths", f"{base.system(name='web', activation=script)}^out")
    assert nix("store", "cat", f"{path}/activation") == script
