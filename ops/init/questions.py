"""What `aether init` asks: each question with its default, its check, and what to write where the answer does not do."""

import getpass
import ipaddress
import os
import re
import tomllib
import zoneinfo
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from inventory.problems import did_you_mean
from inventory.types import Fqdn, HostName, Ipv4, SshPublicKey, Timezone
from ops.stack import OpsError

Answers = dict[str, str]
"""Name of a question to its checked answer."""

# Folders below nix/hosts that are Aether's: a host of that name would be found there.
_TAKEN = ("local-vm",)
_LEAST_MEMORY = 8
"""GiB: Proxmox VE itself, and the two guests."""


@dataclass(frozen=True)
class Question:
    """One question."""

    name: str
    """Its key in an answers file."""
    text: str
    default: Callable[[Answers], str]
    """From the answers before it; empty where there is none."""
    check: Callable[[str, Answers], str]
    """The answer as it is kept. Raises ValueError: what is wrong, and what to write."""


def _of(kind: Any) -> Callable[[str, Answers], str]:
    """The check of one of the inventory's types."""
    adapter: TypeAdapter[str] = TypeAdapter(kind)

    def check(value: str, _: Answers) -> str:
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None

    return check


def _machine(value: str, answers: Answers) -> str:
    """A host name that no other machine has."""
    name = _of(HostName)(value, answers)
    if name in _TAKEN:
        raise ValueError("is a machine of Aether's own; write another name")
    for other in ("node", "container"):
        if answers.get(other) == name:
            raise ValueError(f"is the {other}'s name already; write another one")
    return name


def _interface(value: str, _: Answers) -> str:
    try:
        found = ipaddress.IPv4Interface(value)
    except ValueError:
        raise ValueError("is not an IPv4 address with its network's prefix; write it like 192.168.1.11/24") from None
    network = found.network
    if "/" not in value or not 8 <= network.prefixlen <= 29:
        raise ValueError(
            "lacks its network's prefix (8 to 29); write it like 192.168.1.11/24, as `ip -4 addr` on the node shows it"
        )
    if found.ip in (network.network_address, network.broadcast_address):
        raise ValueError(
            f"is the network's own or its broadcast address; write one between, like {network[1]}/{network.prefixlen}"
        )
    return str(found)


def network(answers: Answers) -> ipaddress.IPv4Network:
    """The network that node and guests are in."""
    return ipaddress.IPv4Interface(answers["node_address"]).network


def node_address(answers: Answers) -> str:
    """The node's address, without its prefix."""
    return str(ipaddress.IPv4Interface(answers["node_address"]).ip)


def _used(answers: Answers) -> dict[str, str]:
    """Addresses that are taken, with whose they are."""
    found = {node_address(answers): "the node's"}
    names = {"gateway": "the gateway's", "container_address": "the container's"}
    return found | {answers[name]: whose for name, whose in names.items() if name in answers}


def _address(value: str, answers: Answers) -> str:
    """A free address of the node's network."""
    address, around = _of(Ipv4)(value, answers), network(answers)
    parsed = ipaddress.IPv4Address(address)
    if parsed not in around:
        raise ValueError(f"is outside the node's network {around}; write one of {around[1]} to {around[-2]}")
    if parsed in (around.network_address, around.broadcast_address):
        raise ValueError(f"is the network's own or its broadcast address; write one of {around[1]} to {around[-2]}")
    if address in _used(answers):
        raise ValueError(f"is {_used(answers)[address]}; write another one of {around}, outside of what the router gives away")
    return address


def _free(answers: Answers) -> str:
    """The first free address after the node's."""
    own, around = ipaddress.IPv4Address(node_address(answers)), network(answers)
    later = (own + step for step in range(1, int(around.broadcast_address) - int(own)))
    return next((str(each) for each in (*later, *around.hosts()) if str(each) not in _used(answers)), "")


def _router(answers: Answers) -> str:
    first = str(network(answers)[1])
    return "" if first == node_address(answers) else first


def _ssh_key(value: str, answers: Answers) -> str:
    """The line itself, or the file that holds it."""
    if value.startswith(("ssh-", "ecdsa-", "sk-")):
        return _key_line(value, answers)
    path = Path(value).expanduser()
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is no text"
        raise ValueError(
            f"is neither an SSH public key nor a file with one ({reason}); make one: ssh-keygen -t ed25519"
        ) from None
    if "PRIVATE KEY" in text:
        raise ValueError(f"is a private key, which belongs to nobody else; write the public one: {path}.pub")
    try:
        return _key_line(text, answers)
    except ValueError as error:
        raise ValueError(f"holds what {error}") from None


def _key_line(value: str, answers: Answers) -> str:
    if set('"\\') & set(value):
        raise ValueError("has a quotation mark or a backslash in its comment; remove that")
    return _of(SshPublicKey)(value, answers)


def _whole(least: int, unit: str) -> Callable[[str, Answers], str]:
    def check(value: str, _: Answers) -> str:
        if not re.fullmatch(r"[0-9]{1,5}", value) or int(value) < least:
            raise ValueError(f"is not a number of {unit} from {least} up; write it like {least}")
        return str(int(value))

    return check


def _named(pattern: str, example: str, what: str) -> Callable[[str, Answers], str]:
    def check(value: str, _: Answers) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"is not {what}; write it as Proxmox shows it, like {example}")
        return value

    return check


def _user(_: Answers) -> str:
    name = os.environ.get("SUDO_USER") or getpass.getuser()
    return name if name != "root" and re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name) else "admin"


def _timezone(_: Answers) -> str:
    link = Path("/etc/localtime").resolve().as_posix().partition("/zoneinfo/")[2]
    try:
        return _of(Timezone)(link.removeprefix("Etc/"), {})
    except ValueError:
        return "UTC"


def _own_key(_: Answers) -> str:
    found = [path for name in ("id_ed25519", "id_ecdsa", "id_rsa") if (path := Path(f"~/.ssh/{name}.pub").expanduser()).exists()]
    return str(found[0]) if found else ""


def _user_name(value: str, answers: Answers) -> str:
    if value == "root":
        raise ValueError("has no need of an account; write your own login name")
    return _of(HostName)(value, answers)


def _zone(value: str, answers: Answers) -> str:
    """One that this machine knows, where it knows any: a slip is UTC on every machine, and nobody says so."""
    name = _of(Timezone)(value, answers)
    known = zoneinfo.available_timezones()
    if known and name not in known:
        hint = did_you_mean(name, known)
        raise ValueError(f"is no time zone{hint or ''}{'' if hint else ';'} write one like Europe/Berlin, or UTC")
    return name


QUESTIONS = (
    Question("site", "Name of your site", lambda _: "home", _of(HostName)),
    Question("domain", "Domain of your machines (home.arpa is kept free for homes)", lambda _: "home.arpa", _of(Fqdn)),
    Question("timezone", "Time zone", _timezone, _zone),
    Question("user", "Your login name on the machines", _user, _user_name),
    Question("ssh_key", "Your SSH public key: the line, or its file", _own_key, _ssh_key),
    Question("node", "Name of the Proxmox node, as its installer was told", lambda _: "pve", _machine),
    Question("node_address", "Its address and prefix", lambda _: "192.168.1.11/24", _interface),
    Question("gateway", "The router's address in that network", _router, _address),
    Question("node_cpu", "The node's processor threads", lambda _: "4", _whole(1, "threads")),
    Question("node_memory", "The node's memory in GiB", lambda _: "16", _whole(_LEAST_MEMORY, "GiB")),
    Question(
        "storage",
        "Its storage for guests' disks (local-lvm; local-zfs after an installation on ZFS)",
        lambda _: "local-lvm",
        _named(r"[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9]", "local-lvm", "the id of a storage"),
    ),
    Question(
        "bridge",
        "The bridge that guests attach to",
        lambda _: "vmbr0",
        _named(r"[a-z][a-z0-9_.]{0,14}", "vmbr0", "the name of a bridge"),
    ),
    Question("container", "Name of the first container", lambda _: "dns", _machine),
    Question("container_address", "Its address", _free, _address),
    Question("vm", "Name of the first virtual machine", lambda _: "apps", _machine),
    Question("vm_address", "Its address", _free, _address),
)


def ask(read: Callable[[str], str], say: Callable[[str], None]) -> Answers:
    """Ask every question, each until its answer does; an empty one takes the default in brackets.

    Args:
        read: shows a prompt and returns the line that was typed, like ``input``.
        say: shows a line.
    """
    answers: Answers = {}
    for question in QUESTIONS:
        default = question.default(answers)
        shown = f"{question.text}{f' [{default}]' if default else ''}: "
        while question.name not in answers:
            value = read(shown).strip() or default
            try:
                answers[question.name] = question.check(value, answers)
            except ValueError as error:
                say(f"  '{value}' {error}" if value else "  There is no default: write an answer")
    return answers


def read_file(path: Path) -> Answers:
    """The answers of a TOML file; questions that it leaves out have their defaults.

    Raises:
        OpsError: with everything that is wrong with it, a line each.
    """
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise OpsError(f"{path}: {getattr(error, 'strerror', None) or 'is no text'}. Fix: name a file of answers") from None
    except tomllib.TOMLDecodeError as error:
        raise OpsError(f'{path}: is not TOML: {error}. Fix: write lines like  site = "home"') from None
    problems = list(_unknown(said))
    answers: Answers = {}
    for question in QUESTIONS:
        try:
            answers[question.name] = _answer(question, said, answers)
        except KeyError:
            continue  # It rests on an answer that is wrong itself.
        except ValueError as error:
            problems.append(f"{question.name}: {error}")
    if problems:
        raise OpsError("\n".join(f"{path}: {problem}" for problem in problems))
    return answers


def _answer(question: Question, said: Mapping[str, Any], answers: Answers) -> str:
    value = said.get(question.name, question.default(answers))
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f'is no text; write {question.name} = "…"')
    if value == "":
        raise ValueError(f'is missing, and there is no default; write {question.name} = "…"')
    try:
        return question.check(str(value), answers)
    except ValueError as error:
        raise ValueError(f"'{value}' {error}") from None


def _unknown(said: Mapping[str, Any]) -> Iterator[str]:
    names = [question.name for question in QUESTIONS]
    for name in said:
        if name not in names:
            hint = did_you_mean(name, names)
            yield f"{name}: nobody asks that{hint}{'' if hint else '.'} Fix: write one of {', '.join(names)}"


def as_file() -> str:
    """Every question with its default, as an answers file."""
    lines = ["# Answers for `./aether init DIRECTORY --answers FILE`. What is left out has the default written here."]
    answers: Answers = {}
    for question in QUESTIONS:
        default = question.default(answers)
        lines += ["", f"# {question.text}", f'{question.name} = "{default}"']
        answers[question.name] = default
    return "\n".join(lines) + "\n"
