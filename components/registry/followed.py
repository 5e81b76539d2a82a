"""An image that somebody else builds, followed by its tag."""

import pulumi
import pulumi_command as command
from pydantic import Field

from components.base import Args, Component
from components.registry.lookup import Answer
from components.requests import DigestRequest, local_command


class FollowedImageArgs(Args):
    reference: str = Field(description="Registry, owner, name and tag, like ghcr.io/ublue-os/bazzite:stable.")
    attempt: int = Field(default=0, description="Another number looks again: an earlier run could not read it.")
    again: str = Field(default="", description="Another text looks again: for a newer build.")


class FollowedImage(Component):
    """The digest that a tag meant when it was looked up: by the first update, and by those that are told to look again.

    Creates:
        - ``command:local:Command`` that asks the registry (components/registry/digest.py).

    Outputs:
        digest: sha256:…, or empty where the registry does not give it.  unreadable: image name to why it does not.
    """

    asked: command.local.Command

    def __init__(self, name: str, args: FollowedImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:registry:FollowedImage", name, opts)
        request = DigestRequest(reference=args.reference, attempt=args.attempt, again=args.again)
        self.asked = local_command(name, request, self.child())
        answer = self.asked.stdout.apply(lambda text: Answer.model_validate_json(text or "{}"))
        self.digest = answer.apply(lambda known: next(iter(known.images.values()), "").rpartition("@")[2])
        self.unreadable = answer.apply(_warned)
        self.done({"digest": self.digest, "unreadable": self.unreadable})


def _warned(answer: Answer) -> dict[str, str]:
    for reason in answer.unreadable.values():
        pulumi.log.warn(f"its hosts stay as they are: {reason}")
    return answer.unreadable
