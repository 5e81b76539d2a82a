"""Many hosts: the whole job from nothing, and deploys, against OpenTofu and Ansible."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from bench.ansible import Ansible
from bench.fleet import Fleet
from bench.measure import BenchError, Report, Timed, interleaved, timed
from bench.nixtools import NixTool
from bench.resources import declared
from bench.settings import Run
from bench.stack import BenchStack, changes, expect_unchanged
from bench.tofu import Tofu


@dataclass(frozen=True)
class Way:
    """How a user runs OpenTofu and Ansible: operations, and hosts, at a time; the playbook's style."""

    name: str
    style: str
    parallelism: int
    forks: int
    text: str
    expected: bool = False
    """What a user would pick: targets are against this one."""

    @property
    def playbook(self) -> str:
        return f"ansible-playbook ({self.style}) --forks {self.forks}"

    def target(self, ratio: float) -> float | None:
        return ratio if self.expected else None


WAYS = (
    Way("usual", "plain", 10, 5, "tofu apply, then ansible-playbook, as they come", expected=True),
    Way("lean", "lean", 10, 5, "the same without facts and modules, over kept connections"),
    Way("tuned", "lean", 64, 64, "the lean one with -parallelism=64 and --forks 64"),
)

# By the commands that they run (bench/nixtools.py); no target is against them.
NIX_TOOLS = ("colmena", "deploy-rs")


def measure_small(run: Run, report: Report) -> None:
    _whole(run, report, run.small, f"whole_{run.small}")
    run.close(_stack_name(run.small))


def measure_large(run: Run, report: Report) -> None:
    _whole(run, report, run.hosts, f"whole_{run.hosts}")


def measure_deploys(run: Run, report: Report) -> None:
    """The fleet that is up: nothing changed, and one host changed."""
    report.section(f"deploys: {run.hosts} hosts, against ansible-playbook over the same SSH servers")
    fleet = Fleet(run.hosts)
    stack = run.stack(_stack_name(run.hosts), fleet)
    if not stack.environment:
        stack.begin()
    # After another way made the hosts, Aether's state is of hosts that are gone: one honest start for both.
    stack.empty()
    stack.up()
    stack.check_configured(fleet.names)
    playbooks = {way.name: Ansible(stack, fleet, style=way.style, forks=way.forks, pinned=True) for way in WAYS}
    tools = {name: NixTool(stack, fleet, name) for name in NIX_TOOLS}
    name = f"deploy_{run.hosts}"
    medians = interleaved(
        run.runs,
        {
            "aether": lambda: expect_unchanged(_up(stack), 3 * run.hosts),
            "aether_checked": lambda: expect_unchanged(_up(stack, checked=True), 3 * run.hosts),
            **{way: partial(playbook.run, changed=0) for way, playbook in playbooks.items()},
            **{tool: nix_tool.run for tool, nix_tool in tools.items()},
        },
    )
    seconds = {side: median.seconds for side, median in medians.items()}
    report.seconds(f"{name}_none_aether_seconds", seconds["aether"], "pulumi up, nothing changed")
    report.seconds(f"{name}_none_aether_checked_seconds", seconds["aether_checked"], "the same, every host asked what it runs")
    for way in WAYS:
        _against(report, f"{name}_none", way, seconds, "nothing changed", way.target(5))
        ratio = seconds[way.name] / seconds["aether_checked"]
        text = f"{way.name} Ansible / Aether that asks every host"
        report.ratio(f"{name}_none_checked_vs_{way.name}", ratio, text, rival=ratio)
    for tool in NIX_TOOLS:
        _against(report, f"{name}_none", tool, seconds, "nothing changed: every host is switched")

    host = fleet.names[run.hosts // 2]
    medians = interleaved(
        run.runs,
        {
            "aether": lambda: _one(stack, fleet, host),
            **{
                way: partial(_one_by, stack, fleet, host, partial(playbook.run, changed=1)) for way, playbook in playbooks.items()
            },
            **{tool: partial(_one_by, stack, fleet, host, nix_tool.run) for tool, nix_tool in tools.items()},
        },
    )
    seconds = {side: median.seconds for side, median in medians.items()}
    report.seconds(f"{name}_one_aether_seconds", seconds["aether"], "pulumi up, one host's file changed")
    for way in WAYS:
        _against(report, f"{name}_one", way, seconds, "one host's file changed", way.target(3))
    for tool in NIX_TOOLS:
        _against(report, f"{name}_one", tool, seconds, "one host's file changed")
    run.close(_stack_name(run.hosts))


def _against(
    report: Report, name: str, way: Way | str, seconds: Mapping[str, float], what: str, at_least: float | None = None
) -> None:
    """The seconds of a WAY, or of one of NIX_TOOLS, that did WHAT, and how many times Aether's they are."""
    side, text = (way.name, way.playbook) if isinstance(way, Way) else (way, f"what {way} does")
    ratio = seconds[side] / seconds["aether"]
    report.seconds(f"{name}_{side}_seconds", seconds[side], f"{text}, {what}")
    report.ratio(f"{name}_vs_{side}", ratio, f"{side} / Aether, {what}", at_least=at_least, rival=ratio)


def _stack_name(size: int) -> str:
    return f"fleet-{size}"


def _up(stack: BenchStack, *, checked: bool = False) -> Timed:
    """`pulumi up`, which asks every host what it runs where it is CHECKED. Said each time: the engine keeps what it is told."""
    return stack.up("--config", f"aether:detectDrift={str(checked).lower()}")


def _touch(stack: BenchStack, fleet: Fleet, host: str) -> str:
    """Change the host's own file; what it runs now."""
    (stack.path / fleet.host_file(host)).write_text(f'{{ ... }}:\n{{\n  system.nixos.label = "{time.time_ns()}";\n}}\n')
    return stack.systems()[host]


def _expect_new(stack: BenchStack, host: str, before: str) -> None:
    if stack.systems()[host] == before:
        raise BenchError(f"{host} still runs {before}")


def _one(stack: BenchStack, fleet: Fleet, host: str) -> float:
    before = _touch(stack, fleet, host)
    done = _up(stack)
    if changes(done.text).get("updated") != 1:
        raise BenchError(f"one host was touched, but: {changes(done.text)}")
    _expect_new(stack, host, before)
    return done.seconds


def _one_by(stack: BenchStack, fleet: Fleet, host: str, rival: Callable[[], float]) -> float:
    before = _touch(stack, fleet, host)
    seconds = rival()
    _expect_new(stack, host, before)
    return seconds


def _whole(run: Run, report: Report, size: int, name: str) -> None:
    report.section(f"{name.replace('_', '-')}: {size} hosts from nothing to configured, guests boot in {run.boot_seconds:g} s")
    fleet = Fleet(size)
    stack = run.stack(_stack_name(size), fleet)
    stack.begin(run.boot_seconds)
    rounds = 2 if size <= run.small else 1
    samples: dict[str, list[float]] = {"aether": [], **{way.name: [] for way in WAYS}}
    parts: dict[str, tuple[float, float]] = {}
    for number in range(rounds):
        if number:
            stack.empty(run.boot_seconds)
        samples["aether"].append(stack.up().seconds)
        stack.check_configured(fleet.names)
        report.note(f"{samples['aether'][-1]:.1f} s by Aether, every host configured")
        resources = declared(stack.resources())
        for way in WAYS:
            stack.empty(run.boot_seconds, keep_state=True)
            parts[way.name] = _rival(stack, fleet, way, Tofu(stack, resources, commands=False))
            stack.check_configured(fleet.names)
            samples[way.name].append(sum(parts[way.name]))
            report.note(f"{samples[way.name][-1]:.1f} s by {way.text}, every host configured")
    aether = statistics.median(samples["aether"])
    report.seconds(f"{name}_aether_seconds", aether, "pulumi up")
    for way in WAYS:
        seconds = statistics.median(samples[way.name])
        apply, playbook = parts[way.name]
        report.seconds(f"{name}_{way.name}_seconds", seconds, f"{way.text} (last: {apply:.0f} s and {playbook:.0f} s)")
    for way in WAYS:
        ratio = statistics.median(samples[way.name]) / aether
        report.ratio(
            f"{name}_vs_{way.name}", ratio, f"{way.name} OpenTofu and Ansible / Aether", at_least=way.target(2), rival=ratio
        )


def _rival(stack: BenchStack, fleet: Fleet, way: Way, tofu: Tofu) -> tuple[float, float]:
    """Seconds of images and `tofu apply`, and of `ansible-playbook`."""
    begun = time.monotonic()
    for item in declared(stack.resources()):
        if item.inputs.get("create", "").endswith("build-image.sh"):
            environment = {**stack.environment, **item.inputs["environment"]}
            timed(["bash", item.inputs["create"]], cwd=stack.path, env=environment)
    images = time.monotonic() - begun
    applied = tofu.apply(f"-parallelism={way.parallelism}")
    return images + applied, Ansible(stack, fleet, style=way.style, forks=way.forks, pinned=False).run(changed=fleet.size)
