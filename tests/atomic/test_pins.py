"""The real ostree pins one deployment, the booted one, whatever was pinned before; the next ones leave it there."""

from pathlib import Path

from tests.atomic.sysroot import Machine

PIN = (Path(__file__).resolve().parents[2] / "components/atomic/scripts/pin.sh").read_text()


def pinned(machine: Machine) -> list[str]:
    return [image for marks, image in machine.deployments() if "pinned" in marks]


def stage(machine: Machine, image: str) -> None:
    machine.run("ostree", "admin", "deploy", "--stage", image)
    machine.eventually(lambda: machine.active("ostree-finalize-staged.service") == "active", "is ready to finalize it")


def test_one_deployment_is_pinned_and_stays_when_others_come(machine: Machine) -> None:
    for image in ("two", "three"):
        machine.derive(image, "one", {f"/usr/lib/{image}": ""})
    machine.boot()
    machine.run("bash", "-c", PIN)
    machine.run("bash", "-c", PIN)
    assert pinned(machine) == ["one"]
    for image in ("two", "three"):
        stage(machine, image)
        machine.reboot()
    assert [image for _, image in machine.deployments()] == ["three", "two", "one"]

    # With one that is staged, indexes are others.
    stage(machine, "two")
    machine.run("bash", "-c", PIN)
    assert pinned(machine) == ["three"]
    machine.reboot()
    assert [image for _, image in machine.deployments()] == ["two", "three"]
