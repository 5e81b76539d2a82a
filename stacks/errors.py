"""What is wrong with a stack, whoever reads its configuration: the program, or a command without Pulumi's SDK."""


class SettingsError(Exception):
    """The stack's configuration cannot be used; one line a reason."""
