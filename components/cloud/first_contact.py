"""The first connection to a machine: it is given its own SSH host key over one that its birth key vouches for."""

import pulumi
import pulumi_command as command

from components.base import Component, Operator, script


def first_contact(
    parent: Component, name: str, instance: pulumi.Output[str], bootstrap_key: pulumi.Output[str], operator: Operator
) -> pulumi.Output[str]:
    """INSTANCE, known once the machine answers with its own key. BOOTSTRAP_KEY is the public half of what it was born with.

    A run that broke off half-way is made again: the machine answers with one of the two keys, whatever was done.
    """
    environment = operator.environment(name)
    environment["AETHER_INSTANCE"] = instance
    environment["AETHER_BOOTSTRAP_KEY"] = bootstrap_key
    contact = command.local.Command(
        f"{name}-contact",
        command.local.CommandArgs(
            create=script("cloud", "scripts", "first-contact.sh"), environment=environment, logging=command.local.Logging.STDERR
        ),
        opts=parent.child(),
    )
    return pulumi.Output.all(instance, contact.stdout).apply(lambda values: str(values[0]))
