"""Domain types of the inventory, defined once and reused everywhere."""

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field

from inventory.agekey import check_public_key, check_recipient
from inventory.syncthing import check_device_id


def _matches(pattern: str, say: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(say)
        return value

    return check


def _ipv4(value: str) -> str:
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError:
        raise ValueError("is not an IPv4 address; write four numbers from 0 to 255, like 192.168.10.10") from None


def _cidr(value: str) -> str:
    try:
        return str(ipaddress.IPv4Network(value))
    except ValueError:
        raise ValueError("is not an IPv4 network; write its first address and prefix, like 192.168.10.0/24") from None


def _ipv6(value: str) -> str:
    try:
        return str(ipaddress.IPv6Address(value))
    except ValueError:
        raise ValueError('is not an IPv6 address; write it like fd00:10::10, or "auto" where that may be') from None


def _ipv6_or_auto(value: str) -> str:
    return value if value == "auto" else _ipv6(value)


def _cidr6(value: str) -> str:
    try:
        return str(ipaddress.IPv6Network(value))
    except ValueError:
        raise ValueError("is not an IPv6 prefix; write its first address and length, like fd00:10::/64") from None


def _recipient_holds(value: str) -> str:
    if problem := check_recipient(value):
        raise ValueError(f"{problem}; copy it again from `age-keygen -y` or `./aether secrets list`")
    return value


def _device_holds(value: str) -> str:
    if problem := check_device_id(value):
        raise ValueError(f"{problem}; write eight groups of seven, as Syncthing shows them under Actions, Show ID")
    return value


def _key_holds(value: str) -> str:
    if problem := check_public_key(value):
        raise ValueError(f"{problem}; paste the whole line of the .pub file again")
    return value


HostName = Annotated[
    str,
    AfterValidator(
        _matches(
            r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?",
            "is not a host name; write lower-case letters, digits and hyphens, a letter first (RFC 1123)",
        )
    ),
]
GuestName = Annotated[
    str,
    AfterValidator(
        _matches(
            r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?",
            "is no name that a Proxmox guest has; write letters, digits, hyphens and dots",
        )
    ),
]
PoolName = Annotated[
    str,
    AfterValidator(
        _matches(
            r"[A-Za-z][A-Za-z0-9._-]*(/[A-Za-z][A-Za-z0-9._-]*){0,2}",
            "is no name of a Proxmox pool; write letters, digits, dots, hyphens and underscores, a letter first; "
            "a/b is pool b inside of a, three levels at most",
        )
    ),
]
Fqdn = Annotated[
    str,
    AfterValidator(
        _matches(
            r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}",
            "is not a domain name; write it in lower case without a trailing dot, like home.example.org",
        )
    ),
]
Ipv4 = Annotated[str, AfterValidator(_ipv4)]
Ipv6 = Annotated[str, AfterValidator(_ipv6)]
Ipv6OrAuto = Annotated[str, AfterValidator(_ipv6_or_auto)]
MacAddress = Annotated[
    str,
    AfterValidator(
        _matches(
            # An odd second digit means a group of cards.
            r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}",
            "is not the MAC address of a card; write six pairs of digits in lower case, like 00:00:5e:00:53:0a",
        )
    ),
]
Cidr = Annotated[str, AfterValidator(_cidr)]
Cidr6 = Annotated[str, AfterValidator(_cidr6)]
VmId = Annotated[int, Field(ge=100, le=999_999_999, description="Proxmox guest id, unique in the cluster.")]
Port = Annotated[int, Field(ge=1, le=65535)]
LEAST_MEMORY = 64
"""MiB. Less is a number of GiB, written by mistake."""

Mebibytes = Annotated[int, Field(ge=LEAST_MEMORY, description="Memory in MiB.")]
Gibibytes = Annotated[int, Field(ge=1, description="Disk size in GiB.")]
Phase = Annotated[int, Field(ge=1, le=9)]
SshPublicKey = Annotated[
    str,
    AfterValidator(
        _matches(
            r"(ssh-ed25519|ecdsa-sha2-nistp256|ssh-rsa|sk-ssh-ed25519@openssh\.com) [A-Za-z0-9+/]+=*( .*)?",
            "is not an SSH public key; paste the whole line of the .pub file, like ssh-ed25519 AAAA… comment",
        )
    ),
    AfterValidator(_key_holds),
]
AgeRecipient = Annotated[
    str,
    AfterValidator(_matches(r"age1[02-9ac-hj-np-z]{58}", "is not an age recipient; write age1 and 58 more characters")),
    AfterValidator(_recipient_holds),
]
SyncthingId = Annotated[str, AfterValidator(_device_holds)]
ImageDigest = Annotated[
    str,
    AfterValidator(
        _matches(
            r"sha256:[0-9a-f]{64}",
            "is not an image digest; write sha256: and 64 hexadecimal digits, never a tag",
        )
    ),
]
UsbId = Annotated[
    str,
    AfterValidator(_matches(r"[0-9a-f]{4}:[0-9a-f]{4}", "is not a USB id; write vendor:product as lsusb does, like 10c4:ea60")),
]
PciId = Annotated[
    str,
    AfterValidator(
        _matches(r"[0-9a-f]{4}:[0-9a-f]{4}", "is not a PCI id; write vendor:device as lspci -nn does, like 8086:46d1")
    ),
]
UnitName = Annotated[
    str,
    AfterValidator(
        _matches(
            r"[A-Za-z0-9:_.@\\-]+\.(service|socket|timer|mount|target|path)",
            "is not a systemd unit name; write it with its suffix, like caddy.service",
        )
    ),
]
Timezone = Annotated[
    str,
    AfterValidator(
        _matches(
            r"UTC|[A-Z][A-Za-z_]+(/[A-Z][A-Za-z_+-]+){1,2}",
            "is not an IANA time zone; write it like Europe/Berlin or UTC",
        )
    ),
]
ImageName = Annotated[
    str,
    AfterValidator(
        _matches(
            r"[a-z0-9.-]+\.[a-z]+(:[0-9]+)?(/[a-z0-9._-]+)+",
            "is not an image name; write registry/owner/name without tag (the digest has its own field), "
            "like ghcr.io/example/aether-kinoite",
        )
    ),
]
HomeAttribute = Annotated[
    str,
    AfterValidator(
        _matches(
            r"[a-z_][a-z0-9_-]*@[a-z0-9-]+",
            "is not a Home Manager attribute; write user@host, like mitso@desktop",
        )
    ),
]
DeviceNode = Annotated[
    str,
    AfterValidator(_matches(r"/dev/[A-Za-z0-9/_.-]+", "is not a device node; write its path, like /dev/net/tun")),
]
AmiId = Annotated[
    str,
    AfterValidator(
        _matches(
            r"ami-[0-9a-f]{8,17}",
            "is not an AMI id; write the pinned image of the region, like ami-0123456789abcdef0, never an alias or a parameter",
        )
    ),
]
AllocationId = Annotated[
    str,
    AfterValidator(
        _matches(
            r"eipalloc-[0-9a-f]{8,17}",
            "is not the id of an Elastic IP; write it like eipalloc-0123456789abcdef0 (`./aether adopt` shows those there are)",
        )
    ),
]
