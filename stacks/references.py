"""What another stack exported. The homelab asks the cloud, never the other way."""

import pulumi

from stacks.settings import Settings


def published_images(settings: Settings) -> pulumi.Output[dict[str, str]] | None:
    """Images that the cloud's stack published: name to ``REGISTRY/OWNER/NAME@sha256:…``; None where the stack names no other."""
    if not settings.cloud_stack:
        return None
    return pulumi.StackReference(settings.cloud_stack).get_output("images").apply(lambda images: dict(images or {}))
