"""The deployed checkout that system tests share: made once a run, deployed by the real engine."""

from collections.abc import Iterator

import pytest

from inventory.files import REPOSITORY
from tests.system.checkout import CHANGED, Checkout


@pytest.fixture(scope="session")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A homelab in a folder whose name has a space, for the test that deploys it in its own way: the first of its group
    (HOMELABS of conftest.py). Nothing is deployed, unless other groups ran in this process before.
    """
    if not (REPOSITORY / ".aether/engine/bin/pulumi").exists():
        pytest.skip("the engine is not there; make it with: ./aether engine ensure")
    made = Checkout.make(tmp_path_factory.mktemp("checkout") / "a folder")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def checkout(newcomer: Checkout) -> Checkout:
    """The homelab, deployed: by the tests before, or now. A test that changes it leaves it deployed and healthy."""
    up = newcomer.up()
    assert up.code == 0, up.text[-6000:]
    return newcomer


@pytest.fixture
def restored(checkout: Checkout) -> Iterator[Checkout]:
    """The checkout, with faults off and facts and roles put back afterwards. They are not deployed: the next test's `up` does it.

    A host's Nix file stays as the test left it when that is what the host runs.
    """
    kept = {path: path.read_bytes() for folder in CHANGED for path in (checkout.path / folder).rglob("*") if path.is_file()}
    checkout.deployed = ""
    yield checkout
    checkout.clear_faults()
    settled = checkout.deployed == checkout.sources()
    for path, content in kept.items():
        if (not settled or "nix" not in path.relative_to(checkout.path).parts) and (
            not path.exists() or path.read_bytes() != content
        ):
            path.write_bytes(content)


@pytest.fixture
def settling(checkout: Checkout) -> Iterator[None]:
    """Whatever the test leaves is deployed after it, unless it did that itself."""
    yield
    if checkout.deployed != checkout.sources():
        result = checkout.up()
        assert result.code == 0, result.text[-4000:]


@pytest.fixture
def settled(settling: None, restored: Checkout) -> Checkout:
    """The checkout, restored and deployed afterwards."""
    return restored
