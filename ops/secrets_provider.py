"""Why the engine cannot open a stack's secrets, and what mends it: said instead of the engine's own words.

docs/state.md says which providers there are.
"""

import re

_SERVER = re.compile(r"(?P<server>https?://[^/\s\"]+)/v1/transit/")
_NOBODY = r"connection refused|no such host|i/o timeout|no route to host|network is unreachable"
# What OpenBao's and Vault's transit engine says, what is wrong, what mends it.
_TRANSIT = (
    (r"is sealed", "{server} is sealed", "bao operator unseal, at that server"),
    (r"permission denied", "{server} refuses the token", "VAULT_SERVER_TOKEN: one that holds, with the policy of docs/state.md"),
    (
        r"disallowed by policy \(too old\)",
        "what sealed Pulumi.{stack}.yaml is a version of the transit key that is not allowed any more at {server}",
        "git pull, for the file of after the rotation",
    ),
    (r"encryption key not found", "{server} has no such key", "secretsprovider in Pulumi.{stack}.yaml, or VAULT_SERVER_URL"),
    (_NOBODY, "{server} does not answer", "start it, or VAULT_SERVER_URL"),
)
_PASSPHRASE = (
    (r"incorrect passphrase", "the passphrase is another one", "export PULUMI_CONFIG_PASSPHRASE (or …_PASSPHRASE_FILE)"),
    (r"passphrase must be set", "no passphrase was given", "export PULUMI_CONFIG_PASSPHRASE (or …_PASSPHRASE_FILE)"),
)


def explain(stack: str, said: str) -> str:
    """One sentence and its fix, where what the engine SAID is that STACK's secrets cannot be opened; else an empty text."""
    found = _SERVER.search(said)
    facts = {"stack": stack, "server": found["server"] if found else ""}
    for words, what, fix in _TRANSIT if found else _PASSPHRASE:
        if re.search(words, said):
            told = f"the secrets of stack {stack} cannot be opened: {what.format(**facts)}"
            return f"{told}. Nothing was changed. Fix: {fix.format(**facts)}"
    return ""
