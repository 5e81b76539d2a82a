"""The parts of the engine: what each is built from, and what it is called when released."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# The package in the checkout: pins and schemas lie beside its sources.
ENGINE_DIR = Path(__file__).resolve().parents[2]
GO_DIR = ENGINE_DIR / "go"
PULUMI_VERSION = "3.259.0"
# The released CLI and the built one report the same version to plugins and programs.
PULUMI_LDFLAGS = f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{PULUMI_VERSION}"

Group = Literal["core", "plugins", "tools", "cloud", "bench", "hcloud", "servers"]
GROUPS: tuple[Group, ...] = ("core", "plugins", "tools", "cloud", "bench", "hcloud", "servers")
# What a stack at home, or its simulation, cannot do without.
HOME_GROUPS: tuple[Group, ...] = ("core", "plugins", "tools")
# What `ensure` gets when nothing is said: benchmarks' tools, providers of single stacks and tests' servers are made on demand.
DEFAULT_GROUPS: tuple[Group, ...] = (*HOME_GROUPS, "cloud")


@dataclass(frozen=True)
class Part:
    """One Go module directory under `go/` and the programs that come out of it."""

    name: str
    group: Group
    version: str
    #: program -> Go package, built inside the module directory
    programs: dict[str, str]
    ldflags: str = ""
    #: program -> (Go module of the build list, path of a ready file in it)
    files: tuple[tuple[str, str, str], ...] = ()
    #: name of the Pulumi resource plugin, if it is one
    plugin: str | None = None
    #: where `pulumi plugin install` finds the released plugin, if not in Pulumi's own place
    server: str | None = None
    #: seconds that a first build takes on two cores alone: what the remaining time is guessed from
    cost: int = 30

    @property
    def source(self) -> Path:
        """The Go module directory."""
        return GO_DIR / self.name

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the executables in the part's `bin`."""
        return (*self.programs, *(name for name, _, _ in self.files))

    def digest(self) -> str:
        """Identity of the build: sources, pins, flags and machine; schema generators do not count."""
        digest = hashlib.sha256()
        facts = (self.version, sorted(self.programs.items()), self.ldflags, self.files, platform_name())
        digest.update(repr(facts).encode())
        for path in sorted(self.source.rglob("*")):
            relative = path.relative_to(self.source)
            if path.is_file() and relative.parts[0] != "gen" and not relative.name.endswith("_test.go"):
                digest.update(f"{relative.as_posix()}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:20]


def platform_name() -> str:
    """`linux-x64` and the like, as Pulumi's release archives are named."""
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(platform.machine().lower())
    return f"{platform.system().lower()}-{machine or platform.machine().lower()}"


def _plugin(name: str, version: str, cost: int, server: str | None = None, group: Group = "plugins") -> Part:
    return Part(name, group, version, {f"pulumi-resource-{name}": "."}, plugin=name, server=server, cost=cost)


def _tool(name: str, version: str, programs: dict[str, str], cost: int, ldflags: str = "") -> Part:
    return Part(name, "tools", version, programs, ldflags, cost=cost)


PARTS: tuple[Part, ...] = (
    Part(
        "pulumi",
        "core",
        PULUMI_VERSION,
        {"pulumi": "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"},
        PULUMI_LDFLAGS,
        files=(
            (
                "pulumi-language-python-exec",
                "github.com/pulumi/pulumi/sdk/v3",
                "python/cmd/pulumi-language-python-exec",
            ),
        ),
        cost=320,
    ),
    Part(
        "language-python",
        "core",
        PULUMI_VERSION,
        {"pulumi-language-python": "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"},
        PULUMI_LDFLAGS,
    ),
    _plugin("command", "1.2.1", 60),
    _plugin("proxmoxve", "8.3.0", 200, server="github://api.github.com/muhlba91/pulumi-proxmoxve"),
    _plugin("github", "6.12.2", 65, group="cloud"),
    _plugin("aws", "7.51.1", 80, group="cloud"),
    _plugin("hcloud", "1.32.2", 60, group="hcloud"),
    _tool("sops", "3.13.3", {"sops": "github.com/getsops/sops/v3/cmd/sops"}, 85),
    _tool(
        "age",
        "1.3.2",
        {"age": "filippo.io/age/cmd/age", "age-keygen": "filippo.io/age/cmd/age-keygen"},
        10,
        "-X main.Version=v1.3.2",
    ),
    _tool("chezmoi", "2.62.0", {"chezmoi": "github.com/twpayne/chezmoi/v2"}, 60, "-X main.version=2.62.0"),
    Part(
        "cosign",
        "cloud",
        "3.0.2",
        {"cosign": "github.com/sigstore/cosign/v3/cmd/cosign"},
        "-X sigs.k8s.io/release-utils/version.gitVersion=v3.0.2",
        cost=260,
    ),
    _tool(
        "crane",
        "0.20.6",
        {"crane": "github.com/google/go-containerregistry/cmd/crane"},
        15,
        "-X github.com/google/go-containerregistry/cmd/crane/cmd.Version=v0.20.6",
    ),
    Part("tofu", "bench", "1.12.6", {"tofu": "github.com/opentofu/opentofu/cmd/tofu"}),
    Part(
        "terraform-provider-proxmox",
        "bench",
        "0.111.1",
        {"terraform-provider-proxmox": "github.com/bpg/terraform-provider-proxmox"},
    ),
    Part("versitygw", "servers", "1.8.0", {"versitygw": "github.com/versity/versitygw/cmd/versitygw"}, "-X main.Version=v1.8.0"),
)


def select(groups: tuple[Group, ...]) -> tuple[Part, ...]:
    """Parts of these groups, in the order in which they are needed."""
    return tuple(part for part in PARTS if part.group in groups)


def fleet_digest() -> str:
    """Identity of all parts together: the name of the cache entry that `.aether/engine` points to."""
    return hashlib.sha256("".join(part.digest() for part in PARTS).encode()).hexdigest()[:20]
