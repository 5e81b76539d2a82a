"""What the Proxmox cluster holds, asked over its API before anything is registered."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from inventory import proxmox_rights
from inventory.files import REPOSITORY
from stacks.errors import SettingsError

if TYPE_CHECKING:
    from stacks.settings import Settings

TAG = "aether"
"""Tag of every guest that the program made."""
RETIRED = "retired"
"""Tag of a guest that `./aether retire` stopped and kept."""
SCRATCH = "aether-scratch"
"""Tag of a copy that `./aether restore` made (components/proxmox/scripts/scratch-guest.sh)."""


@dataclass(frozen=True)
class ClusterGuest:
    """One virtual machine or container, as `/cluster/resources` lists it."""

    vmid: int
    kind: Literal["qemu", "lxc"]
    name: str
    node: str
    tags: frozenset[str] = frozenset()
    running: bool = False
    disk: int = 0
    """Size of the boot disk or root file system, in bytes; 0 when it is not known."""
    ha: bool = False
    """The HA manager decides on its node."""
    pool: str = ""

    @classmethod
    def of(cls, item: dict[str, Any]) -> ClusterGuest:
        """The guest of one element of the API's answer."""
        return cls(
            vmid=int(item["vmid"]),
            kind=item["type"],
            name=str(item.get("name", "")),
            node=str(item["node"]),
            tags=frozenset(tag for tag in str(item.get("tags", "")).replace(",", ";").split(";") if tag),
            running=item.get("status") == "running",
            disk=int(item.get("maxdisk") or 0),
            ha=bool(item.get("hastate")),
            pool=str(item.get("pool") or ""),
        )


Cluster = dict[int, ClusterGuest]
"""Every guest of the cluster by VMID."""


def ask(settings: Settings) -> Callable[[], Cluster | None]:
    """Start asking the stack's cluster; what is returned waits for the answer.

    The answer is None in a preview that cannot reach the API, which is said, and where the stack's configuration holds no
    credentials (tests with mocks).

    Raises (when waited for):
        SettingsError: the API does not answer an `up`, or refuses the credentials.
    """
    login = credentials()
    if login is None or not settings.proxmox_endpoint:
        return lambda: None
    pool = ThreadPoolExecutor(1)
    authority = authority_file(settings.proxmox_ca)
    answer = pool.submit(guests, settings.proxmox_endpoint, login, insecure=settings.proxmox_insecure, authority=authority)
    pool.shutdown(wait=False)

    def wait() -> Cluster | None:
        import pulumi

        try:
            return answer.result()
        except ClusterError as error:
            said = f"{settings.proxmox_endpoint}: {error}"
            if not pulumi.runtime.is_dry_run():
                raise SettingsError(f"{said}. Nothing was changed. {error.fix}") from None
            pulumi.log.warn(f"{said}: whether VMIDs are free was not looked at, an `up` will be refused. {error.fix}")
            return None

    return wait


class ClusterError(Exception):
    """The API gave no answer that could be used; FIX says what to do."""

    def __init__(self, message: str, fix: str) -> None:
        self.fix = f"Fix: {fix}"
        super().__init__(message)


def credentials() -> dict[str, str] | None:
    """What proxmoxer logs in with, by the stack's configuration."""
    from stacks.settings import plain

    return login(plain("proxmoxApiToken"), plain("proxmoxUsername"), plain("proxmoxPassword"))


def login(token: str | None, user: str | None, password: str | None) -> dict[str, str] | None:
    """What proxmoxer logs in with: TOKEN (USER@REALM!NAME=UUID), or else USER and PASSWORD; None where there is neither."""
    if token:
        identity, _, value = token.partition("=")
        owner, _, name = identity.partition("!")
        return {"user": owner, "token_name": name, "token_value": value}
    return {"user": user or "", "password": password} if password else None


def authority_file(name: str | None) -> str:
    """The PEM file that aether:proxmoxCa names, as a path; empty where it names none."""
    return str(REPOSITORY / name) if name else ""


def guests(endpoint: str, login: dict[str, str], *, insecure: bool = False, authority: str = "") -> Cluster:
    """Every guest of the cluster at ENDPOINT, whose certificate AUTHORITY (a PEM file) signed.

    Raises:
        ClusterError: with what the API said.
    """
    # Imported here: it takes as long as the answer, and runs beside the rest of the program's start.
    import requests
    from proxmoxer import AuthenticationError, ResourceException

    try:
        found = connect(endpoint, login, insecure=insecure, authority=authority).cluster.resources.get(type="vm")
    except AuthenticationError:
        raise ClusterError("Proxmox refused the user, password or token", "set what the stack logs in with") from None
    except ResourceException as error:
        if error.status_code in (401, 403):
            raise ClusterError("Proxmox refused the user, password or token", "set what the stack logs in with") from None
        message = f"the Proxmox API reported an error of its own ({error.status_code} {str(error.content).strip()})"
        raise ClusterError(message, "look at the node's log (journalctl -u pvedaemon), then run it again") from None
    except requests.exceptions.SSLError as error:
        message = f"the Proxmox API's certificate is not signed by the authority in aether:proxmoxCa ({error})"
        fix = (
            "compare aether:proxmoxCa with /etc/pve/pve-root-ca.pem of a node, and find out who answers before you trust another"
        )
        raise ClusterError(message, fix) from None
    except requests.exceptions.Timeout:
        raise ClusterError("the Proxmox API did not answer in time", "see whether the node is up") from None
    except requests.exceptions.RequestException as error:
        fix = "see whether the node is up, or set aether:proxmoxEndpoint"
        raise ClusterError(f"the Proxmox API cannot be reached ({error})", fix) from None
    except OSError as error:
        raise ClusterError(f"the Proxmox API was not asked ({error})", "write a PEM file in aether:proxmoxCa") from None
    return {guest.vmid: guest for guest in map(ClusterGuest.of, found)}


def lacking_rights(settings: Settings, tables: Mapping[str, Any]) -> list[str]:
    """What the stack's token may not do of what an inventory (its TABLES) needs, as `PRIVILEGE on PATH`.

    Raises:
        SettingsError: the API cannot be asked.
    """
    login = credentials()
    if login is None:
        return []
    from proxmoxer import AuthenticationError, ResourceException

    try:
        api = client(settings, login)
        major = 8 if str(api.version.get()["version"]).startswith("8") else 9
        return proxmox_rights.lacking(proxmox_rights.Use.of(tables, major), api.access.permissions.get())
    except (AuthenticationError, ResourceException, OSError) as error:
        raise SettingsError(f"{settings.proxmox_endpoint}: the rights of the token cannot be read ({error})") from error


def detached_disks(settings: Settings, guests: Iterable[ClusterGuest]) -> dict[int, list[str]]:
    """Disks that were detached from GUESTS and kept, by VMID: Proxmox deletes them with the guest.

    Raises:
        SettingsError: the API cannot be asked.
    """
    login = credentials()
    if login is None:
        return {}
    from proxmoxer import AuthenticationError, ResourceException

    found = {}
    try:
        api = client(settings, login)
        for guest in guests:
            config = api.nodes(guest.node)(guest.kind)(guest.vmid).config.get()
            found[guest.vmid] = [f"{key} ({config[key]})" for key in sorted(config) if key.startswith("unused")]
    except (AuthenticationError, ResourceException, OSError) as error:
        raise SettingsError(f"{settings.proxmox_endpoint}: the disks of guests cannot be read ({error})") from error
    return found


def client(settings: Settings, login: dict[str, str]) -> Any:
    """A proxmoxer client of the stack's API."""
    authority = authority_file(settings.proxmox_ca)
    return connect(settings.proxmox_endpoint, login, insecure=settings.proxmox_insecure, authority=authority)


def connect(endpoint: str, login: dict[str, str], *, insecure: bool = False, authority: str = "") -> Any:
    """A proxmoxer client. It trusts AUTHORITY alone; without one what the provider trusts, the system's or SSL_CERT_FILE."""
    from proxmoxer import ProxmoxAPI

    url = urlsplit(endpoint)
    paths = ssl.get_default_verify_paths()
    return ProxmoxAPI(
        url.hostname,
        port=url.port or 443,
        verify_ssl=False if insecure else authority or paths.cafile or paths.capath or True,
        timeout=20,
        **login,
    )
