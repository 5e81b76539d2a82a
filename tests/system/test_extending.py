"""docs/extending.md, followed: a provider that does not exist is added to a checkout by the recipe's steps, and serves a host.

Its API, SDK and plugin are Hetzner's under another name (the recipe's steps 1 and 2 bring those, and are not repeated); all else
is written as the recipe says, in the places that it names and in no other.
"""

import re
import subprocess
from collections.abc import Iterator

import pytest

from inventory.files import REPOSITORY
from tests.system.hetzner_checkout import HOST, INVENTORY, Project, checkout_of, needs_the_plugin

pytestmark = pytest.mark.in_order("the provider's server is made once, changed, and destroyed last")

# Outland has a number of its own on the simulator's loopback, as each service has.
SIMULATOR = "packages/aether-sim/src/aether_sim"
PLACE = "super().__init__(datacentre, 4)", "super().__init__(datacentre, 9)"


def renamed(text: str) -> str:
    """TEXT about Outland instead of Hetzner; what is the SDK's keeps its name."""
    text = re.sub(r"(?<!pulumi_)(?<!as )hcloud(?!\.[A-Z])", "outland", text)
    return text.replace("Hcloud", "Outland").replace("Hetzner", "Outland").replace("hetzner", "outland")


def text_of(name: str) -> str:
    return (REPOSITORY / name).read_text()


def again(pattern: str, text: str) -> str:
    """TEXT with what matches PATTERN there a second time, renamed, after the first."""
    (found,) = re.finditer(pattern, text, re.MULTILINE | re.DOTALL)
    return text[: found.end()] + renamed(found[0]) + text[found.end() :]


def kind() -> dict[str, str]:
    """Step 3."""
    models = again(r" HcloudVm \|", again(r" HcloudVm,", text_of("inventory/models.py")))
    return {
        "inventory/cloud.py": again(r"^class HcloudVm\(.*?\n\n\n(?=def |class )", text_of("inventory/cloud.py")),
        "inventory/models.py": models,
    }


def folder(name: str) -> dict[str, str]:
    """Every file of one that is Hetzner's, renamed."""
    files = subprocess.run(["git", "ls-files", name], cwd=REPOSITORY, text=True, capture_output=True, check=True).stdout.split()
    assert files, name
    return {renamed(file): renamed(text_of(file)) for file in files}


def component() -> dict[str, str]:
    """Step 4."""
    return folder("components/hcloud")


def composition() -> dict[str, str]:
    """Step 5."""
    settings = again(r', "hetzner"', text_of("stacks/settings.py"))
    return {
        "stacks/outland.py": renamed(text_of("stacks/hetzner.py")),
        "stacks/settings.py": again(r"^    hcloud_endpoint.*?    hcloud_token[^\n]*\n", settings),
        "Pulumi.yaml": again(r"^  aether:hcloudEndpoint:\n.*?is Hetzner's own\.\n", text_of("Pulumi.yaml")),
        "Pulumi.outland.yaml": renamed(text_of("Pulumi.hetzner.yaml")),
        "ops/setup.py": re.sub(r'(composition) == "hetzner"', r'\1 in ("hetzner", "outland")', text_of("ops/setup.py")),
    }


def simulator() -> dict[str, str]:
    """Step 6."""
    service = folder(f"{SIMULATOR}/hcloud")
    file = f"{SIMULATOR}/outland/service.py"
    assert PLACE[0] in service[file]
    service[file] = service[file].replace(*PLACE)
    return {
        **service,
        f"{SIMULATOR}/extensions.py": again(r'    "aether_sim\.hcloud\.service",\n', text_of(f"{SIMULATOR}/extensions.py")),
        "Pulumi.sim-outland.yaml": renamed(text_of("Pulumi.sim-hetzner.yaml")),
    }


def machine() -> dict[str, str]:
    """Step 7."""
    return {renamed(name): renamed(text_of(name)) for name in ("nix/images/hetzner.nix", "nix/images/hetzner-host-key.sh")}


STEPS = {3: kind, 4: component, 5: composition, 6: simulator, 7: machine}
WRITTEN = {"inventory/outland.toml": renamed(INVENTORY)}


def recipe() -> dict[int, tuple[str, ...]]:
    """Files and folders that each step of the document's table names, for the provider there."""
    rows = re.findall(r"^\| (\d)\. [^|]*\|([^|]*)\|", text_of("docs/extending.md"), re.MULTILINE)
    named = {int(number): re.findall(r"`([\w./-]+(?:/|\.\w+))`", cell) for number, cell in rows}
    return {step: tuple(name for name in names if (REPOSITORY / name).exists()) for step, names in named.items()}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_writes_where_the_recipe_says(step: int) -> None:
    """Each file in a place that the step names, and something in each of those."""
    places = tuple(renamed(name) for name in recipe()[step])
    assert places
    files = STEPS[step]()
    elsewhere = [file for file in files if not any(file == place or file.startswith(place) for place in places)]
    assert not elsewhere, f"docs/extending.md, step {step}, does not name {elsewhere}"
    untouched = [place for place in places if not any(file == place or file.startswith(place) for file in files)]
    assert not untouched, f"docs/extending.md, step {step}, names {untouched}"


def test_nothing_that_exists_is_written_again() -> None:
    """What is there keeps its lines: they are added to."""
    for write in STEPS.values():
        for file, text in write().items():
            if (REPOSITORY / file).exists() and file != "ops/setup.py":
                lines = iter(text.splitlines())
                lost = [line for line in text_of(file).splitlines() if renamed(line) == line and line not in lines]
                assert not lost, f"{file}: {lost}"


@pytest.fixture(scope="module")
def outland(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One server of the provider's, deployed."""
    needs_the_plugin()
    files = {file: text for write in STEPS.values() for file, text in write().items()}
    with checkout_of(tmp_path_factory.mktemp("outland"), "sim-outland", {**files, **WRITTEN}) as checkout:
        checked = checkout.run(checkout.python, "-m", "inventory", "check", "inventory/outland.toml")
        assert checked.code == 0, checked.text
        up = checkout.up()
        assert up.code == 0, up.text[-6000:]
        yield Project(checkout, "outland")


class TestOutland:
    @pytest.mark.long
    def test_its_server_is_a_host_like_any(self, outland: Project) -> None:
        assert (outland.server()["name"], outland.server()["status"]) == (HOST, "running")
        assert outland.checkout.ssh(HOST, "hostname").text.strip() == HOST
        status = outland.checkout.ops("status")
        assert status.code == 0 and re.search(rf"{HOST}\b.*running", status.text), status.text

    @pytest.mark.long
    def test_a_second_preview_has_nothing_to_do(self, outland: Project) -> None:
        again = outland.checkout.preview()
        assert set(again.changes()) == {"unchanged"}, again.text[-4000:]

    @pytest.mark.long
    def test_and_goes_again(self, outland: Project) -> None:
        """Last of this module."""
        stack = "from ops.stack import Stack; raise SystemExit(Stack('sim-outland')"
        program = f"{stack}.hear(print, 'destroy', '--yes', '--skip-preview'))"
        down = outland.checkout.run(outland.checkout.python, "-c", program)
        assert down.code == 0, down.text[-4000:]
        assert outland.list("servers") == []
