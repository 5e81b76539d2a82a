"""`./aether github token`: what the GitHub token has to be allowed, computed from what the stack does."""

from components.github.permissions import CLASSIC_SCOPES, PERMISSIONS
from ops.arguments import parser
from ops.stack import Stack


def github(stack: Stack, arguments: list[str]) -> int:
    """Print the permissions; the command's own parser says the rest."""
    made = parser("github", "The GitHub token of the image repository.")
    made.add_argument("what", choices=["token"], help="print the permissions that the token needs, and what for")
    made.parse_args(arguments)
    print("\n".join(lines(stack.name)))
    return 0


def lines(stack: str) -> list[str]:
    """The text, for a stack of this name."""
    width = max(len(permission.shown) for permission in PERMISSIONS.values())
    found = ["Fine-grained token (https://github.com/settings/personal-access-tokens/new), repository permissions:"]
    found += [
        f"  {permission.shown:{width}}  {permission.level:5}  {', '.join(permission.used_by)}"
        for permission in PERMISSIONS.values()
    ]
    found += [
        "  Repository access: All repositories, while the repository does not exist: a token that is limited to named",
        "  repositories cannot create one. Limit it to the repository afterwards, or make the repository first and adopt it",
        "  (docs/image.md).",
        "",
        "Or a classic token (https://github.com/settings/tokens/new), scopes:",
        *(f"  {scope:{width}}  {why}" for scope, why in CLASSIC_SCOPES.items()),
        "",
        f"Give it to the stack: pulumi -s {stack} config set --secret aether:githubToken",
    ]
    return found
