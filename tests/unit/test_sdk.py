"""What the program changes in Pulumi's SDK holds for the SDK that is installed."""

import asyncio

import pulumi
import pytest
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
