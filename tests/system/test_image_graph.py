"""One graph: repository, workflow, published digest, rebase. One `up` from nothing, with the real engine and GitHub provider."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from inventory.files import REPOSITORY
from tests.system.checkout import Checkout
from tests.system.small import atomic, running, small_checkout

pytestmark = [
    pytest.mark.long,
]

RECIPE = "image/recipes/common/fonts.yml"
HEALTH = 'health = [{ unit = "sshd.service" }]'
STATION = atomic("station", 20, 'image = "ghcr.io/example/aether-kinoite"', HEALTH)
GAMES = atomic("games", 21, 'image = "ghcr.io/ublue-os/bazzite"', 'tag = "stable"', HEALTH)
MORE = f"""\
[image]
owner = "example"
repository = "aether-image"
images = ["aether-kinoite", "aether-kinoite-nvidia"]
hosts = "homelab.toml"

{STATION}
{GAMES}"""


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The small fleet with two Atomic hosts and an image repository, deployed by one `up`."""
    for tool in ("cosign", "crane", "sops"):
        if not (REPOSITORY / ".aether/engine/bin" / tool).exists():
            pytest.skip(f"{tool} is not there; make it with: ./aether engine ensure")
    yield from running(small_checkout(tmp_path_factory.mktemp("graph"), MORE))


def booted(checkout: Checkout, host: str) -> str:
    """The image that an Atomic host has booted, by digest."""
    status = checkout.ssh(host, "rpm-ostree status --json")
    deployments = json.loads(status.text)["deployments"]
    return str(next(item for item in deployments if item["booted"]).get("container-image-reference", ""))


def outputs(checkout: Checkout) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in checkout.resources() if item["type"] == "pulumi:pulumi:Stack")["outputs"]
    return found


def repository(checkout: Checkout) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((checkout.path / ".aether/sim/github/github.json").read_text())["repositories"][0]
    return found


def change(checkout: Checkout, what: str) -> None:
    """A recipe that is another one each time."""
    path = checkout.path / RECIPE
    path.write_text(f"{path.read_text()}# {what}\n")


def digest(checkout: Checkout) -> str:
    return str(outputs(checkout)["images"]["aether-kinoite"]).partition("@")[2]


def applied(checkout: Checkout) -> str:
    up = checkout.up()
    assert up.code == 0, up.text[-5000:]
    return up.text


def test_one_up_builds_publishes_and_rebases(graph: Checkout) -> None:
    (run,) = repository(graph)["runs"]
    assert (run["event"], run["conclusion"], run["head_sha"]) == ("push", "success", outputs(graph)["imageCommit"])
    assert booted(graph, "station") == f"ostree-image-signed:docker://ghcr.io/example/aether-kinoite@{digest(graph)}"


def test_an_image_of_others_is_followed_by_its_tag(graph: Checkout) -> None:
    assert re.fullmatch(r"ostree-image-signed:docker://ghcr.io/ublue-os/bazzite@sha256:[0-9a-f]{64}", booted(graph, "games"))


def test_nothing_changed_asks_no_workflow_and_changes_nothing(graph: Checkout) -> None:
    runs = len(repository(graph)["runs"])
    assert set(graph.preview().changes()) == {"unchanged"}
    assert "unchanged" in applied(graph) and len(repository(graph)["runs"]) == runs


def test_a_changed_recipe_is_one_commit_one_run_and_the_next_digest(graph: Checkout) -> None:
    before = digest(graph)
    change(graph, "another font")
    shown = graph.preview()
    assert shown.changes()["to update"] == 3, shown.text[-3000:]
    applied(graph)
    assert len(repository(graph)["runs"]) == 2 and digest(graph) != before
    assert booted(graph, "station").endswith(digest(graph))


@pytest.mark.fault
def test_a_failed_workflow_says_why_leaves_hosts_and_is_started_again_by_the_next_up(graph: Checkout) -> None:
    before = booted(graph, "station")
    change(graph, "a build that fails")
    graph.fault("github", "workflow-fails=9")
    up = graph.up()
    assert up.code != 0
    for words in ("ended with failure", "job build aether-kinoite", "package 'no-such-package' was not found", "/actions/runs/"):
        assert words in up.text, up.text[-4000:]
    assert booted(graph, "station") == before
    graph.clear_faults()
    assert "starts its failed jobs again" in applied(graph)
    assert booted(graph, "station").endswith(digest(graph)) and booted(graph, "station") != before


@pytest.mark.fault
def test_a_private_package_is_a_warning_and_its_host_stays_as_it_is(graph: Checkout) -> None:
    before = booted(graph, "station")
    change(graph, "a private package")
    assert graph.sim("fault", "registry", "private=aether-kinoite").code == 0
    text = applied(graph)
    assert "the registry denies it without a login" in text and "Fix: make it public" in text, text[-4000:]
    assert booted(graph, "station") == before
    graph.clear_faults()
    assert graph.sim("fault", "registry", "private=aether-kinoite", "--off").code == 0
    applied(graph)
    assert booted(graph, "station") != before, "the next update asks again"
    assert set(graph.preview().changes()) == {"unchanged"}


def test_no_token_is_in_the_state(graph: Checkout) -> None:
    token = (graph.path / ".aether/sim/keys/github-token").read_text()
    state = (graph.path / ".aether/state/.pulumi/stacks/aether/sim.json").read_text()
    assert token not in state


def test_a_repository_that_exists_is_adopted_with_its_rules(graph: Checkout) -> None:
    """The state forgets it, as if somebody else had made it."""
    code = (
        "from ops.stack import Stack; s = Stack('sim')\n"
        "for item in [r for r in s.resources() if r['type'].startswith('github:index/')][::-1]:\n"
        "    s.output('state', 'delete', item['urn'], '--yes', '--force', '--target-dependents')\n"
    )
    graph.run(graph.python, "-c", code, timeout=600)
    before = repository(graph)
    adopted = graph.up("--config", "aether:adoptImageRepository=true")
    assert adopted.code == 0, adopted.text[-4000:]
    after = repository(graph)
    for what in ("rulesets", "runs"):
        assert after[what] == before[what], what
    assert after["environments"]["release"]["policies"] == before["environments"]["release"]["policies"]
    ended = graph.up("--config", "aether:adoptImageRepository=false")
    assert ended.code == 0 and "unchanged" in ended.text, ended.text[-3000:]
