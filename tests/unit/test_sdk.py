"""What the program changes in Pulumi's SDK holds for the SDK that is installed."""

import asyncio
import sys
from pathlib import Path

import pulumi
import pytest
from pulumi.runtime import resource
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
