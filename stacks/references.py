"""What stacks exported: another one's now, and this one's at its last update. The homelab asks the cloud, never the other way."""

from typing import Any

import pulumi

from stacks.settings import Settings


def published_images(settings: Settings) -> pulumi.Output[dict[str, str]] | None:
    """Images that the cloud's stack published: name to ``REGISTRY/OWNER/NAME@sha256:…``; None where the stack names no other."""
    if not settings.cloud_stack:
        return None
    return pulumi.StackReference(settings.cloud_stack).get_output("images").apply(lambda images: dict(images or {}))


def last_outputs(settings: Settings) -> dict[str, Any]:
    """What this stack exported at its last update; nothing before the first."""
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{settings.stack}"
    found = pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": name}).value or {}
    return dict(found.get("outputs") or {})
