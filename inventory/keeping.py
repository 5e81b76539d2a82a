"""Secrets over the years: which there are, what each opens and how old it is; rotating old ones; an operator who leaves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType

from inventory import agekey, sops
from inventory.ages import Ages
from inventory.generate import MAKERS, public_half, read_names
from inventory.keys import bare, set_fields
from inventory.overlay import base_of
from inventory.secret_facts import HOST_KEY, HOST_KEY_PUB
from inventory.secret_manager import SecretManager


@dataclass(frozen=True)
class Secret:
    """One value: where it is, never what it is."""

    file: str
    key: str
    readers: tuple[str, ...]
    """Hosts that decrypt it; the owners do, too."""
    made: date | None
    opens: str
    shared: str
    """What it shares its value under: two sides of one secret have the same."""
    kind: str
    public: str | None
    """File of the repository that has its public half."""
    rotates: bool
    """`secrets rotate` may rotate it: both sides take it with their next deployment, nothing is encrypted with it."""

    @property
    def name(self) -> str:
        """HOST/KEY."""
        return f"{self.file.removeprefix('hosts/').removesuffix('.yaml')}/{self.key}"

    def older(self, than: timedelta, today: date) -> bool:
        """Whether it is older THAN that; what nobody knows is."""
        return self.made is None or today - self.made > than


def secrets(manager: SecretManager) -> list[Secret]:
    """Every value of every file, by file and key."""
    store, names, ages = manager.store, read_names(manager.store.root), Ages(manager.store.root)
    who = {recipient: host for host, recipient in manager.recipients().items()}
    found = []
    for file in store.files():
        readers = tuple(sorted(who[key] for key in store.recipients(file) if key in who))
        host, environment = manager.origin(file.removeprefix("hosts/").removesuffix(".yaml"))
        for path in store.leaves(file):
            key = ".".join(path)
            if key == HOST_KEY_PUB:
                continue
            name = f"{host}/{key}"
            opens = f"{host} itself: logins to it, and its secrets" if key == HOST_KEY else names.opens_of(name)
            public = None if environment else names.public_file(name)
            shared = f"{environment}{names.value_of(name)}"
            found.append(
                Secret(file, key, readers, ages.of(file, key), opens, shared, names.kind(name), public, names.rotates(name))
            )
    return found


def listing(found: Sequence[Secret], today: date, between: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """A line a secret: name, age, readers, what it opens, and what BETWEEN says of what it shares its value under."""
    width = max((len(secret.name) for secret in found), default=0)
    for secret in found:
        age = f"{(today - secret.made).days} d" if secret.made else "not known"
        told = f"read by {', '.join(secret.readers) or 'the owners alone'}; opens {secret.opens}{between.get(secret.shared, '')}"
        yield f"{secret.name:{width}}  {age:>9}  {told}"


def rotate_old(manager: SecretManager, days: int, *, dry: bool, today: date | None = None) -> list[str]:
    """Rotate what is older than DAYS and may be (``[rotate]`` of names.toml), both sides of it; say what is left."""
    now, every = today or date.today(), secrets(manager)
    old = [secret for secret in every if secret.older(timedelta(days=days), now)]
    rotated = {secret.shared: MAKERS[secret.kind]() for secret in old if secret.rotates}
    hosts: set[str] = set()
    for secret in (secret for secret in every if secret.shared in rotated):
        if not dry:
            manager.store.set(secret.file, secret.key.split("."), rotated[secret.shared])
            if secret.public:
                (manager.store.root.parent / secret.public).write_text(public_half(secret.kind, rotated[secret.shared]) + "\n")
        hosts.update((*secret.readers, secret.name.split("/")[0]))
        print(f"{secret.name}: {'would be ' if dry else ''}rotated")
    for secret in (secret for secret in old if not secret.rotates):
        print(f"{secret.name}: left as it is, {by_hand(secret)}")
    if hosts and not dry:
        print(f"Deploy {', '.join(sorted(hosts))} together: make up. Until then they have what they had")
    return []


def by_hand(secret: Secret) -> str:
    """What rotates a secret that these commands do not."""
    host = secret.name.split("/")[0]
    if secret.key == HOST_KEY:
        return f"./aether secrets rotate {host} makes a new one"
    if secret.key.endswith("password-hash"):
        return f"mkpasswd --method=yescrypt | ./aether secrets set {host} {secret.key}"
    return f"only its service takes a new one; then ./aether secrets set {host} {secret.key}"


def leave(manager: SecretManager, operator: str, recipient: str | None) -> list[str]:
    """OPERATOR (the comment of an authorized key) goes: no login, no secret from now on; says what that person has seen.

    Raises:
        ValueError: nobody is called so, it is not known which age recipient is theirs, or nobody would be left.
    """
    site = next(inventory.site for inventory in manager.inventories if not inventory.base)
    keys = [key for key in site.authorized_keys if key.split()[2:3] == [operator]]
    if not keys and recipient is None:
        known = ", ".join(sorted({key.split()[2] for key in site.authorized_keys if len(key.split()) > 2})) or "nobody"
        raise ValueError(f"no authorized key has the comment '{operator}'. Fix: one of {known}, or --recipient age1…")
    theirs = {recipient} if recipient else {agekey.recipient(bare(key)) for key in keys} & set(site.age_recipients)
    if not theirs:
        listed = ", ".join(site.age_recipients)
        raise ValueError(f"which age recipient is {operator}'s is not known. Fix: --recipient, one of {listed}")
    if unknown := theirs - set(site.age_recipients):
        raise ValueError(f"{', '.join(unknown)} is no recipient of [site]. Fix: one of {', '.join(site.age_recipients)}")
    left_keys = [key for key in site.authorized_keys if key not in keys]
    left = [key for key in site.age_recipients if key not in theirs]
    if not left or not left_keys:
        raise ValueError(f"without {operator} nobody could log in or read the secrets. Fix: add another owner first")
    seen = [secret for secret in secrets(manager) if theirs & set(manager.store.recipients(secret.file))]
    for path in manager.files:
        if base_of(path) is None:
            set_fields(path, "site", {"age_recipients": left, "authorized_keys": left_keys})
    manager.reload()
    manager.rekey()
    owners = sops.owner_recipients(manager.inventories)
    for file in sorted(set(manager.store.files()) - set(sops.readers(manager.inventories))):
        if manager.store.rekey(file, owners):
            print(f"{manager.store.root / file}: encrypted to the owners that are left")
    print(f"\n{operator} has seen {len(seen)} values, and keeps what git had until now. Rotate them:")
    for secret in seen:
        how = "./aether secrets rotate --older 0d" if secret.rotates else by_hand(secret)
        print(f"  {secret.name} (opens {secret.opens}): {how}")
    print(f"\nThen make up: until a host is deployed, {operator} can log in to it.")
    return []
