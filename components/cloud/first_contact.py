"""The first connection to a machine: it is given its own SSH host key over one that its birth key vouches for."""

import pulumi

from components.base import Component, Operator
from components.requests import CloudContactRequest, local_command


def first_contact(
    parent: Component, name: str, instance: pulumi.Output[str], bootstrap_key: pulumi.Output[str], operator: Operator
) -> pulumi.Output[str]:
    """INSTANCE, known once the machine answers with its own key. BOOTSTRAP_KEY is the public half of what it was born with.

    A run that broke off half-way is made again: the machine answers with one of the two keys, whatever was done.
    """
    request = CloudContactRequest(host=name, operator=operator, instance=instance, bootstrap_key=bootstrap_key)
    contact = local_command(f"{name}-contact", request, parent.child())
    return pulumi.Output.all(instance, contact.stdout).apply(lambda values: str(values[0]))
