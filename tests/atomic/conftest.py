"""One machine for the tests of a file: to build its system takes most of the time."""

from collections.abc import Iterator

import pytest

from tests.atomic.sysroot import Machine, may


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with the image installed as `one`, which has not booted yet."""
    if why := may():
        pytest.skip(why)
    work = tmp_path_factory.mktemp("machine") / "work"
    work.mkdir()
    with Machine(work) as made:
        made.build("one")
        made.install("one")
        yield made
