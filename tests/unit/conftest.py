"""Unit tests run without an engine, a network or the simulator."""

import asyncio
import gc

import pytest

# The SDKs are a large heap that lives to the end: looking for garbage in it takes nearly half of these tests' time.
gc.set_threshold(200_000, 50, 100)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Give each test a current event loop before its fixtures: Pulumi wants one, and `asyncio.run` leaves none behind."""
    try:
        closed = asyncio.get_event_loop().is_closed()
    except RuntimeError:
        closed = True
    if closed:
        asyncio.set_event_loop(asyncio.new_event_loop())
