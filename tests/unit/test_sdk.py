"""What the program changes in Pulumi's SDK holds for the SDK that is installed."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import resource, settings
from pulumi.runtime import stack as runtime
from pulumi.runtime.rpc_manager import RPCManager

from stacks import sdk

FAILED = runtime.ResourceRegistrationFailed("resource station failed to register")


@pytest.fixture(autouse=True)
def changed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Put back at the end: the other tests have the SDK as it is.
    async def nothing_outstanding() -> None:
        pass

    monkeypatch.setattr(RPCManager, "do_rpc", RPCManager.do_rpc)
    monkeypatch.setattr(runtime, "wait_for_rpcs", nothing_outstanding)
    sdk.outlive_failures()


async def _fails(error: Exception) -> None:
    raise error


def call(error: Exception) -> RPCManager:
    async def run() -> RPCManager:
        manager = RPCManager()  # type: ignore[no-untyped-call]
        await manager.do_rpc("register resource", _fails)(error)
        return manager

    return asyncio.run(run())


def test_what_waits_for_a_failed_resource_does_not_end_the_program_at_once() -> None:
    assert call(FAILED).unhandled_exception is None


def test_but_it_does_not_end_well() -> None:
    asyncio.run(runtime.wait_for_rpcs())
    call(FAILED)
    with pytest.raises(pulumi.RunError, match="what waits for a resource that failed stays as it is"):
        asyncio.run(runtime.wait_for_rpcs())


def test_a_mistake_of_the_program_ends_it() -> None:
    assert isinstance(call(ValueError("a mistake")).unhandled_exception, ValueError)


class _Outstanding:
    """Outputs that the program still has to wait for, in the SDK's own list, and how often it was gone through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looked_at: list[int] = []
        self.outputs: set[asyncio.Future[int]] = set()
        monkeypatch.setattr(settings.SETTINGS, "outputs", self.outputs)
        wait = asyncio.wait

        async def counted(pending: list[asyncio.Future[int]], **options: Any) -> tuple[set[Any], set[Any]]:
            self.looked_at.append(len(pending))
            return await wait(pending, **options)

        monkeypatch.setattr(asyncio, "wait", counted)

    async def begin(self, number: int, failure: Exception | None = None) -> None:
        """NUMBER outputs, ready one after the other; FAILURE ends the first."""

        async def ready(turn: int) -> int:
            for _ in range(turn):
                await asyncio.sleep(0)
            if failure and turn == 0:
                raise failure
            return turn

        def remove(output: "asyncio.Future[int]") -> None:
            # As the SDK does: what failed stays.
            if not output.exception():
                self.outputs.discard(output)

        for turn in range(number):
            output = asyncio.ensure_future(ready(turn))
            self.outputs.add(output)
            output.add_done_callback(remove)


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What was outstanding when the SDK's own waiting began."""
    outstanding: list[int] = []

    async def theirs() -> None:
        outstanding.append(len(settings.SETTINGS.outputs))

    monkeypatch.setattr(runtime, "wait_for_rpcs", theirs)
    sdk.wait_once()
    return outstanding


@pytest.mark.parametrize("failure", [None, FAILED])
def test_outputs_are_waited_for_once_and_not_once_each(
    monkeypatch: pytest.MonkeyPatch, waited: list[int], failure: Exception | None
) -> None:
    outstanding = _Outstanding(monkeypatch)

    async def program() -> None:
        await outstanding.begin(300, failure)
        await runtime.wait_for_rpcs()

    asyncio.run(program())
    # The one that failed is left for the SDK, which says so.
    assert waited == [1 if failure else 0] and sum(outstanding.looked_at) < 700


def test_a_mistake_ends_the_waiting(monkeypatch: pytest.MonkeyPatch, waited: list[int]) -> None:
    outstanding = _Outstanding(monkeypatch)

    async def program() -> None:
        await outstanding.begin(300, ValueError("a mistake"))
        await runtime.wait_for_rpcs()

    asyncio.run(program())
    assert waited[0] > 100, "they wait for nobody: the program ends with its mistake"


def test_outputs_that_others_make_are_waited_for(monkeypatch: pytest.MonkeyPatch, waited: list[int]) -> None:
    outstanding = _Outstanding(monkeypatch)

    async def program() -> None:
        await outstanding.begin(3)
        next(iter(outstanding.outputs)).add_done_callback(lambda _: asyncio.ensure_future(outstanding.begin(5)))
        await runtime.wait_for_rpcs()

    asyncio.run(program())
    assert waited == [0]


def test_the_engine_is_told_where_a_resource_is_written_and_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, int, int]] = []
    monkeypatch.setattr(resource, "_get_stack_trace", resource._get_stack_trace)
    sdk.shorten_traces()
    ours = resource._get_stack_trace

    class Resource:
        def __init__(self) -> None:
            trace = ours()
            told.append((trace.frames[0].pc.uri, trace.frames[0].pc.line, len(trace.frames)))

    class CustomResource(Resource):
        def __init__(self) -> None:
            super().__init__()

    class Command(CustomResource):
        def __init__(self) -> None:
            self._internal_init()

        def _internal_init(self) -> None:
            super().__init__()

    Command()
    assert told == [(Path(__file__).as_uri(), sys._getframe().f_lineno - 1, 1)]
