"""Previews that change nothing: Aether, a bare Pulumi program with the same resources, OpenTofu with the same provider."""

from __future__ import annotations

from bench import homelab
from bench.bare import Bare
from bench.fleet import Fleet
from bench.measure import Report, interleaved
from bench.resources import declared
from bench.settings import Run
from bench.stack import BenchStack, expect_unchanged
from bench.tofu import Tofu


def measure_homelab(run: Run, report: Report) -> None:
    report.section("preview: the sim homelab, nothing to change")
    _compare(run, report, "homelab", homelab.deployed(run))


def measure_vms(run: Run, report: Report) -> None:
    report.section(f"preview-vms: {run.vms} virtual machines, nothing to change")
    run.close(homelab.NAME)
    stack = run.stack("vms", Fleet(run.vms))
    stack.begin()
    done = stack.up()
    stack.check_configured(Fleet(run.vms).names)
    report.seconds(
        "up_vms_seconds", done.seconds, f"pulumi up of {run.vms} machines from nothing, configured, with their simulated boots"
    )
    _compare(run, report, "vms", stack)
    run.close("vms")


def _compare(run: Run, report: Report, name: str, stack: BenchStack) -> None:
    bare = Bare(stack)
    count = len(bare.resources)
    # A preview without refresh does not look at the world, so the same guests can be made by OpenTofu now.
    state = declared(stack.resources())
    tofu = Tofu(stack, state, commands=True)
    images = {path: path.read_bytes() for path in (stack.path / ".aether/images").iterdir()}
    stack.empty(keep_state=True)
    (stack.path / ".aether/images").mkdir(exist_ok=True)
    for path, data in images.items():
        path.write_bytes(data)
    report.seconds(
        f"apply_{name}_tofu_seconds", tofu.apply("-parallelism=64"), f"tofu apply of the same {tofu.count}, commands not run"
    )
    medians = interleaved(
        run.runs,
        {
            "aether": lambda: expect_unchanged(stack.preview(), count),
            "bare": bare.preview,
            "tofu": lambda: tofu.plan("-parallelism=64"),
            "tofu_no_refresh": lambda: tofu.plan("-refresh=false"),
        },
    )
    texts = {
        "aether": f"pulumi preview, {count} resources of providers, and components",
        "bare": "pulumi preview of the bare program, the same resources",
        "tofu": "tofu plan, which reads every guest first",
        "tofu_no_refresh": "tofu plan -refresh=false, which compares with the state as a preview does",
    }
    wall = {side: median.seconds for side, median in medians.items()}
    for side, text in texts.items():
        report.seconds(f"preview_{name}_{side}_seconds", medians[side].seconds, f"{text} ({medians[side].cpu:.2f} s of CPU)")
    times = {side: seconds / wall["aether"] for side, seconds in wall.items()}
    ratio = 1 / times["bare"]
    report.ratio(f"preview_{name}_vs_bare", ratio, "Aether / bare Pulumi", at_most=1.15, rival=times["bare"])
    cpu = medians["aether"].cpu / medians["bare"].cpu
    report.ratio(f"preview_{name}_cpu_vs_bare", cpu, "the same of CPU time, which other work on the machine does not stretch")
    report.ratio(f"preview_{name}_vs_tofu", 1 / times["tofu"], "Aether / OpenTofu", rival=times["tofu"])
    ratio = 1 / times["tofu_no_refresh"]
    report.ratio(f"preview_{name}_vs_tofu_no_refresh", ratio, "Aether / OpenTofu, no refresh", rival=times["tofu_no_refresh"])
