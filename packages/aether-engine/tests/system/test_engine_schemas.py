"""The stored schemas are those of the plugins as they are built."""

from pathlib import Path

import pytest

from aether_engine import schemas
from aether_engine.cache import is_complete
from aether_engine.parts import Part
from aether_engine.progress import Progress


@pytest.mark.parametrize("part", schemas.PLUGINS, ids=lambda part: part.name)
def test_the_stored_schema_is_that_of_the_plugin(part: Part, tmp_path: Path) -> None:
    if not is_complete(part):
        pytest.skip("the engine is not there: ./aether engine ensure")
    for path in schemas.generate(part, tmp_path, Progress(quiet=True)):
        stored = schemas.stored(part).parent / path.name
        assert path.read_text() == stored.read_text(), f"out of date: ./aether engine schemas ({stored})"
