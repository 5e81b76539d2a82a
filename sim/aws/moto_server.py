"""`python -m sim.aws.moto_server ADDRESS`: moto on a free port of ADDRESS; the port is the first line of output.

It ends with its parent: a simulator that was killed leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Any

from moto.ec2.models.instances import Instance
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

_PR_SET_PDEATHSIG = 1


def free_addresses_of_terminated_instances() -> None:
    """A gap of moto 5.2: a terminated instance keeps its private address, and nobody else can have it."""
    original = Instance.terminate

    def terminate(self: Any) -> Any:
        state = original(self)
        if self.subnet_id:
            self.ec2_backend.get_subnet(self.subnet_id).del_subnet_ip(self.private_ip)
        return state

    Instance.terminate = terminate  # type: ignore[method-assign]


def main(address: str) -> None:
    """Serve until the end of the parent."""
    free_addresses_of_terminated_instances()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    server = make_server(address, 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
