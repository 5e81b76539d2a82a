"""OpenSSH's SFTP server of the machine, with which simulated hosts answer.

Standard library alone: the set-up asks it, too, by `python -m aether_sim.sftp`, which ends with 0 where there is one.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Where Debian, Fedora and SUSE have it: in the machine's /usr, which a host sees.
PLACES = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server")


def server() -> str | None:
    """Its path; None where the machine has none."""
    return next((path for path in PLACES if Path(path).exists()), None)


if __name__ == "__main__":
    sys.exit(server() is None)
