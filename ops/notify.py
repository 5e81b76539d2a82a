"""Telling people: ntfy, Matrix, e-mail, webhooks and whatever else Apprise speaks, of what happened to the fleet."""

import os
import sys
from typing import Any

from inventory.files import REPOSITORY
from inventory.secret_store import SecretStore, SecretStoreError
from ops.arguments import parser
from ops.stack import AETHER, OpsError, Stack

EVENTS = {
    "deploy": "a deployment succeeded",
    "failed": "a deployment failed",
    "drift": "a host runs something else than was deployed",
    "health": "a host does not answer, or a health check does not hold",
}
FILE, KEY = "notify.yaml", "urls"
ENVIRONMENT = "AETHER_NOTIFY"
_NEEDS = "Apprise is not installed. Fix: .venv/bin/python -m pip install apprise, or python3 ops/setup.py --group notify"
_FORM = f"write a line each: URL, then what it is told of ({', '.join(EVENTS)}; nothing: of all)"


def notify(stack: Stack, arguments: list[str]) -> int:
    """Who is told of what. `--set` reads it from standard input, a line each: an Apprise URL (https://appriseit.com/services/),
    then the events that it is told of (deploy, failed, drift, health; nothing: all of them). It is kept encrypted, in
    secrets/notify.yaml."""
    made = parser("notify", notify)
    how = made.add_mutually_exclusive_group()
    how.add_argument("--set", action="store_true", help="read from standard input whom to tell, and keep it")
    how.add_argument(
        "--test", action="store_true", help="tell everybody that this is a test; exit code 1 when one cannot be told"
    )
    options = made.parse_args(arguments)
    if options.set:
        lines = parse(sys.stdin.read())
        text = "\n".join(" ".join([url, *sorted(events)]) for url, events in lines)
        secret_store(stack).create(FILE, {KEY: text}, _owners(stack))
        print(f"secrets/{FILE}: {len(lines)} to tell. Try it: ./aether notify --test")
        return 0
    told = targets(stack)
    if not told:
        raise OpsError(f"Nobody is told. Fix: ./aether notify --set <FILE, {_FORM}")
    if not options.test:
        for url, events in told:
            print(f"{shown(url)}: {', '.join(sorted(events))}")
        return 0
    failed = [
        url for url, _ in told if not send(url, f"{stack.name}: a test", "Somebody asked whether you are told. You are.")
    ]  # fmt: skip
    for url, _ in told:
        print(f"{shown(url)}: {'cannot be told' if url in failed else 'told'}")
    return int(bool(failed))


def tell(stack: Stack, event: str, title: str, body: str) -> None:
    """Tell those who want to know of EVENT. That somebody cannot be told is said, and fails nothing."""
    try:
        wanted = [url for url, events in targets(stack) if event in events]
        unreached = [shown(url) for url in wanted if not send(url, title, body)]
    except (OpsError, SecretStoreError) as error:
        print(f"Nobody was told: {error}", file=sys.stderr)
        return
    if unreached:
        print(f"Not told: {', '.join(unreached)}. Look at it by: ./aether notify --test", file=sys.stderr)


def targets(stack: Stack) -> list[tuple[str, frozenset[str]]]:
    """URLs, and the events that each is told of: of AETHER_NOTIFY (a pipeline's), else of secrets/notify.yaml.

    Raises:
        SecretStoreError: the file cannot be decrypted.
    """
    if ENVIRONMENT in os.environ:
        return parse(os.environ[ENVIRONMENT])
    store = secret_store(stack)
    return parse(str(store.read(FILE).get(KEY, ""))) if (store.root / FILE).exists() else []


def parse(text: str) -> list[tuple[str, frozenset[str]]]:
    """What a line each of TEXT says.

    Raises:
        OpsError: a word is no URL, or no event.
    """
    found = []
    for line in text.splitlines():
        url, *events = line.split() or [""]
        if not url or url.startswith("#"):
            continue
        if "://" not in url or set(events) - set(EVENTS):
            raise OpsError(f"'{shown(url)} {' '.join(events)}' is not understood. Fix: {_FORM}")
        found.append((url, frozenset(events or EVENTS)))
    return found


# Of these the host is no secret: what stands behind it is a topic or a user.
_WITH_HOST = ("json", "jsons", "mailto", "mailtos", "matrix", "matrixs", "ntfy", "ntfys")


def shown(url: str) -> str:
    """URL without what is secret in it: the rest of it may be a token."""
    scheme, _, rest = url.partition("://")
    host = rest.rsplit("@", 1)[-1].partition("/")[0].partition("?")[0]
    return f"{scheme}://{host}/…" if scheme in _WITH_HOST else f"{scheme}://…"


def send(url: str, title: str, body: str) -> bool:
    """Tell URL; whether that worked.

    Raises:
        OpsError: Apprise is not there.
    """
    try:
        import apprise
    except ModuleNotFoundError:
        raise OpsError(_NEEDS) from None
    told: Any = apprise.Apprise()
    return bool(told.add(url) and told.notify(title=title, body=body))


def secret_store(stack: Stack) -> SecretStore:
    if stack.simulated:
        return SecretStore(AETHER / "sim/secrets", AETHER / "sim/keys/age.txt")
    return SecretStore(REPOSITORY / (stack.setting("secrets") or "secrets"))


def _owners(stack: Stack) -> list[str]:
    from inventory.sops import owner_recipients
    from ops.fleet import inventory_of

    return owner_recipients([inventory_of(stack)])
