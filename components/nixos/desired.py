"""Desired closures: what each NixOS host should run, known at preview."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from components.contents import as_lines
from components.nixos.source_closure import Sources, sources_of
from components.nixos.tool import nix_command
from inventory.files import write_whole

HOST_GIB = 0.9
"""Memory that the evaluation of one NixOS host takes."""

Evaluator = Literal["auto", "nix", "source"]


# What only a boot changes (components/nixos/scripts/host.sh, needs_reboot) and what inhibits a switch. Nothing of it is built.
_BOOTS = """config: let critical = config.system.switch.inhibitors or { }; in
  (if critical == { } then { } else { inherit critical; }) // (if config.boot.isContainer then { } else {
    kernel = config.system.build.kernel.outPath;
    initrd = config.system.build.initialRamdisk.outPath;
    modules = config.system.modulesTree.outPath;
    parameters = config.boot.kernelParams;
  })"""


# What a person reviews of a system. Nothing of it is built. `${}` copies a file by itself: its path stays while its content does.
_SYSTEM = """config: let
  named = packages: builtins.listToAttrs (map (package:
    let name = builtins.parseDrvName package.name;
    in { name = package.pname or name.name; value = package.version or name.version; }) packages);
  those = keep: set: removeAttrs set (builtins.filter (name: !keep set.${name}) (builtins.attrNames set));
  digest = text: builtins.substring 0 8 (builtins.hashString "sha256" (builtins.unsafeDiscardStringContext text));
  open = rules: { tcp = rules.allowedTCPPorts; udp = rules.allowedUDPPorts; };
  firewall = config.networking.firewall;
  units = "systemd/system";
in {
  packages = named config.environment.systemPackages;
  units = builtins.mapAttrs (_: unit: digest unit.text) (those (unit: unit.enable && unit.text != null) config.systemd.units);
  files = builtins.mapAttrs (_: file: digest "${file.source}")
    (those (file: file.enable && file.target != units) config.environment.etc);
  ports = if !firewall.enable then "all" else open firewall // builtins.mapAttrs (_: open) firewall.interfaces;
  users = builtins.attrNames (those (user: user.isNormalUser) config.users.users);
  kernel = if config.boot.isContainer then "the node's" else config.boot.kernelPackages.kernel.version;
  release = config.system.nixos.release;
  stateVersion = config.system.stateVersion;
}"""


@dataclass(frozen=True)
class Desired:
    """What a host should run."""

    closure: str
    """drvPath, or ``source:HASH`` where there is no Nix."""
    boots: str = ""
    """What of it only a boot brings, as JSON: kernel, initrd and modules (store paths), parameters, and in ``critical`` what
    inhibits a switch when it changes. Empty where there is no Nix."""
    system: str = ""
    """What a person reviews, a fact a line: packages with their versions, digests of units and of files below /etc, ports, users,
    kernel, release, stateVersion. Where there is no Nix, digests of the files that it is made of."""


class EvaluationError(Exception):
    """Nix could not evaluate the hosts; the message is Nix's own."""


def desired_closures(
    repository: Path,
    inventory_files: list[Path],
    attributes: Mapping[str, str],
    *,
    evaluator: Evaluator = "auto",
    nix: str = "nix",
    evaluate: bool = True,
) -> dict[str, Desired]:
    """What each host should run.

    Args:
        attributes: host name to its attribute of nixosConfigurations.
        evaluator: "auto" takes Nix where the executable exists.
        evaluate: have Nix evaluate what is not known yet; without, those hosts are left out.

    Raises:
        EvaluationError: with Nix's message and the hosts that were asked for.
    """
    sources = sources_of(repository, inventory_files, attributes)
    if evaluator == "source" or (evaluator == "auto" and shutil.which(nix) is None):
        return {host: _unevaluated(made_of) for host, made_of in sources.items()}
    hashes = {host: made_of.digest for host, made_of in sources.items()}
    cache = EvaluationCache(repository / ".aether/cache/evaluations.json")
    if not evaluate:
        return {host: cache[digest] for host, digest in hashes.items() if digest in cache}
    kept = _kept({cache[digest].closure for digest in hashes.values() if digest in cache}, repository, nix)
    missing = {
        host: attributes[host] for host, digest in hashes.items() if digest not in cache or cache[digest].closure not in kept
    }
    if missing:
        for host, desired in _evaluate(repository, nix, missing).items():
            cache[hashes[host]] = desired
        cache.save()
    return {host: cache[digest] for host, digest in hashes.items()}


def _unevaluated(sources: Sources) -> Desired:
    """A system of which nothing is known but its SOURCES. Sixteen digits tell it from every other one."""
    return Desired(f"source:{sources.digest[:16]}", system=as_lines({"sources": sources.summary()}))


def untracked(repository: Path) -> list[str]:
    """Files of the flake's folders that git does not track: a flake does not see them. None outside a git checkout."""
    command = ["git", "ls-files", "--others", "--exclude-standard", "--", "flake.nix", "nix", "inventory", "home"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=False, cwd=repository)
    except FileNotFoundError:
        return []
    return listed.stdout.splitlines() if listed.returncode == 0 else []


class EvaluationCache:
    """What was evaluated, by source hash, in a file that may be deleted at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            found = json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            found = {}
        # Older ones knew less of each.
        self._entries: dict[str, list[str]] = {
            digest: entry for digest, entry in found.items() if isinstance(entry, list) and len(entry) == len(fields(Desired))
        }

    def __contains__(self, digest: str) -> bool:
        return digest in self._entries

    def __getitem__(self, digest: str) -> Desired:
        return Desired(*self._entries[digest])

    def __setitem__(self, digest: str, desired: Desired) -> None:
        self._entries[digest] = list(astuple(desired))

    def save(self) -> None:
        """Replace the file in one step, so that an interrupted run leaves the old one."""
        write_whole(self.path, json.dumps(self._entries, indent=1))


def _kept(drvs: set[str], repository: Path, nix: str) -> set[str]:
    """Those of DRVS that the store still has: a garbage collection takes derivations that nothing holds on to."""
    here = {drv for drv in drvs if Path(drv).exists()}
    if here == drvs:
        return drvs
    # The store may be elsewhere than its paths say; it answers for all of them at once.
    command = [*nix_command(nix), "path-info", *sorted(drvs - here)]
    asked = subprocess.run(command, capture_output=True, check=False, cwd=repository)
    return here if asked.returncode else drvs


def _evaluate(repository: Path, nix: str, attributes: Mapping[str, str]) -> dict[str, Desired]:
    """What each host should run, so many at a time as there is memory for; hosts that fail are named, all of them.

    An evaluation keeps one core busy, so there are as many side by side as there are cores.
    """
    found, failed = dict[str, Desired](), dict[str, str]()
    at_once = batch_size()
    workers = min(os.cpu_count() or 1, at_once, len(attributes))
    size = min(-(-len(attributes) // workers), at_once // workers)

    def evaluate(hosts: Sequence[str]) -> None:
        evaluated, error = _evaluate_batch(repository, nix, {host: attributes[host] for host in hosts})
        found.update(evaluated)
        if error and len(hosts) == 1:
            failed[hosts[0]] = error
        elif error:
            # One host's error is all that Nix says of a batch.
            for host in hosts:
                evaluate([host])

    with ThreadPoolExecutor(workers) as pool:
        # The list is for what they raise.
        list(pool.map(evaluate, batched(list(attributes), size)))
    if failed:
        told = (f"nix could not evaluate {host}:\n{failed[host]}" for host in attributes if host in failed)
        raise EvaluationError("\n".join(told))
    return found


def batched(hosts: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """HOSTS in groups of at most SIZE."""
    return (hosts[start : start + size] for start in range(0, len(hosts), size))


def batch_size() -> int:
    """Hosts that one evaluation may hold at a time: a NixOS host takes about 0.9 GiB, and half of what is free is left alone."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        available = int(lines["MemAvailable"].split()[0]) / 1024**2
    except (OSError, KeyError, ValueError):
        return 4
    return max(1, min(16, int(available * 0.5 / HOST_GIB)))


def expression(attributes: Mapping[str, str]) -> str:
    """The function of nixosConfigurations that says ``drv``, ``boots`` and ``system`` of each host of ATTRIBUTES."""
    wanted = " ".join(f"{json.dumps(host)} = host all.{json.dumps(attribute)}.config;" for host, attribute in attributes.items())
    said = "drv = config.system.build.toplevel.drvPath; boots = boots config; system = system config;"
    return f"all: let boots = {_BOOTS}; system = {_SYSTEM}; host = config: {{ {said} }}; in {{ {wanted} }}"


def _evaluate_batch(repository: Path, nix: str, attributes: Mapping[str, str]) -> tuple[dict[str, Desired], str]:
    # Not by its path, which may hold what a flake reference cannot.
    command = [*nix_command(nix), "eval", "--json", ".#nixosConfigurations", "--apply", expression(attributes)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=repository)
    if result.returncode:
        return {}, result.stderr.strip()
    answer: dict[str, dict[str, Any]] = json.loads(result.stdout)
    return {
        name: Desired(each["drv"], json.dumps(each["boots"], sort_keys=True), as_lines(each["system"]))
        for name, each in answer.items()
    }, ""
