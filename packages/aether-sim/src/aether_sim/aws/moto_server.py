"""`python -m aether_sim.aws.moto_server ADDRESS`: moto on a free port of ADDRESS; the port is the first line of output.

It ends with its parent: a simulator that was killed leaves nothing behind.
"""

from __future__ import annotations

import ctypes
import re
import signal
import sys
from typing import Any

from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.exceptions import _RESTError
from moto.ec2.models.instances import Instance
from moto.iam.access_control import IAMRequestBase
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from aether_sim.aws import images

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


def errors_that_every_client_reads() -> None:
    """A gap of moto 5.2: what it refuses is written as EC2 writes it, also to clients of IAM, Route 53 and of services in JSON.

    Signatures are not compared: it computes others than the clients for queries.
    """
    original = _RESTError.__init__

    def made(self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        self.description = re.sub(r"<Errors>(<Error>.*</Error>)</Errors>", r"\g<0>\1", self.description, flags=re.DOTALL)

    decided = ActionAuthenticatorMixin._authenticate_and_authorize_normal_action

    def decide(self: Any, *arguments: Any, **named: Any) -> None:
        try:
            decided(self, *arguments, **named)
        except _RESTError as refused:
            if self.service_name == "ebs" or self.headers.get("Content-Type", "").startswith("application/x-amz-json"):
                raise refused.to_json() from None
            raise

    _RESTError.__init__ = made  # type: ignore[method-assign]
    ActionAuthenticatorMixin._authenticate_and_authorize_normal_action = decide  # type: ignore[method-assign]
    IAMRequestBase.check_signature = lambda self: None  # type: ignore[method-assign]


def main(address: str) -> None:
    """Serve until the end of the parent."""
    free_addresses_of_terminated_instances()
    errors_that_every_client_reads()
    images.apply()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    server = make_server(address, 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
