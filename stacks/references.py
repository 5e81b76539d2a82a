"""What the other stack exports. Apart from the providers of the public side, whose SDKs take a while to import."""

import pulumi

from stacks.settings import Settings


def homelab_addresses(settings: Settings) -> pulumi.Output[dict[str, str]]:
    """Addresses that the homelab's stack exports; none where it is not deployed, or the stack names none."""
    if not settings.homelab_stack:
        return pulumi.Output.from_input(dict[str, str]())
    reference = pulumi.StackReference(settings.homelab_stack)
    return reference.get_output("addresses").apply(lambda addresses: dict(addresses or {}))


def published_images(settings: Settings) -> pulumi.Output[dict[str, str]] | None:
    """Images that the cloud's stack published: name to ``REGISTRY/OWNER/NAME@sha256:…``; None where the stack names no other."""
    if not settings.cloud_stack:
        return None
    return pulumi.StackReference(settings.cloud_stack).get_output("images").apply(lambda images: dict(images or {}))


def published_digest(published: pulumi.Output[dict[str, str]], image: str, host: str) -> pulumi.Output[str]:
    """The digest of IMAGE (``REGISTRY/OWNER/NAME``) among PUBLISHED; empty, with a warning of HOST, where it has none."""

    def find(images: dict[str, str]) -> str:
        reference = images.get(image.rsplit("/", 1)[1])
        if reference is None:
            pulumi.log.warn(
                f"{host} stays as it is: the stack that builds {image} knows no digest of it ({', '.join(images) or 'none'} is "
                "known). Fix: what that stack's own warning says (docs/image.md), or pin digest in the inventory"
            )
            return ""
        return reference.rsplit("@", 1)[1]

    return published.apply(find)
