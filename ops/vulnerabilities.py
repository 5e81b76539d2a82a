"""`aether vulnerabilities`: what is known of what hosts run and of the pins, and what a change mends or brings."""

import sys
from collections.abc import Callable
from pathlib import Path

from inventory.files import REPOSITORY, write_whole
from ops.arguments import parser
from ops.changed import built, changed_hosts, checkout_of, nixos_hosts
from ops.stack import OpsError, Stack
from ops.update.vulnerabilities import Scan, of_closures, of_pins, of_revision, report


def vulnerabilities(stack: Stack, arguments: list[str]) -> int:
    """Known vulnerabilities of everything that NixOS hosts run (vulnix) and of the Python and Go pins (osv-scanner), as Markdown.
    With --base only hosts that change since: what the change mends, what it brings, what stays. Systems are built where they are
    not; nothing else is changed.
    """
    made = parser("vulnerabilities", vulnerabilities)
    made.add_argument("--base", default="", metavar="REVISION", help="compare with this git revision")
    made.add_argument("--mirror", default="", metavar="URL", help="of the National Vulnerability Database; default: vulnix' own")
    made.add_argument("--append", type=Path, metavar="FILE", help="add it to FILE, too: a merge request's text")
    options = made.parse_args(arguments)
    nix = stack.setting("nix") or "nix"
    print("looks at the pins …", file=sys.stderr, flush=True)
    after = of_pins(REPOSITORY)
    before = of_revision(REPOSITORY, options.base) if options.base else None
    attributes = changed_hosts(options.base) if options.base else nixos_hosts(REPOSITORY)
    if attributes:
        print(f"looks at {len(attributes)} systems: {', '.join(attributes)} …", file=sys.stderr, flush=True)
        after.add(_systems(lambda: built(attributes.values(), nix), options.mirror, nix))
    if attributes and before:
        with checkout_of(options.base) as place:
            old = [attribute for name, attribute in nixos_hosts(place).items() if name in attributes]
            before.add(_systems(lambda: built(old, nix, place) if old else [], options.mirror, nix))
    text = report(before, after)
    print(text, end="")
    if options.append:
        write_whole(options.append, (options.append.read_text() if options.append.exists() else "") + "\n" + text)
    return 0


def _systems(build: Callable[[], list[str]], mirror: str, nix: str) -> Scan:
    """What is known of what BUILD makes; where that fails, it is left out with the reason."""
    try:
        return of_closures(build(), mirror, nix)
    except OpsError as error:
        return Scan(left=[f"systems: {error}"])
