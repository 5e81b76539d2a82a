"""docs/tour.md: every command of it does what the page says. `python -m tests.system.tour` writes it again."""

from pathlib import Path

import pytest

from tests.system import tour


@pytest.mark.long
def test_the_page_is_what_the_commands_print(tmp_path: Path) -> None:
    checkout = tour.make(tmp_path / "a tour")
    try:
        walked = "\n".join(tour.walk(checkout)) + "\n"
    finally:
        checkout.close()
    assert walked == tour.PAGE.read_text()
