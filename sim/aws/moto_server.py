"""`python -m sim.aws.moto_server ADDRESS`: moto on a free port of ADDRESS; the port is the first line of output.

It ends with its parent: a simulator that was killed leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import signal
import sys

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

_PR_SET_PDEATHSIG = 1


def main(address: str) -> None:
    """Serve until the end of the parent."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    server = make_server(address, 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
