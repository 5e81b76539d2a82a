"""What the program needs of Pulumi's Python SDK (3.259), and that does not do it by itself. One function a matter."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import pulumi
from pulumi.runtime import resource
from pulumi.runtime import stack as runtime
from pulumi.runtime.invoke import invoke_async
from pulumi.runtime.proto import source_pb2
from pulumi.runtime.rpc_manager import RPCManager
from pulumi.runtime.sync_await import _ensure_event_loop, _sync_await

from components.base import if_known


def quiet_debug() -> None:
    """Keep the SDK's debug lines here: five a resource, and it waits for the engine's answer to each; a seventh of a preview.

    AETHER_DEBUG=1 sends them.
    """
    if not os.environ.get("AETHER_DEBUG"):
        pulumi.log.debug = lambda *_, **__: None


def shorten_traces() -> None:
    """Tell the engine where a resource is written, and not by which twenty calls the program came there.

    Those were a third of the state, which is written whole after each step, most of them paths of the operator's own machine; to
    collect them took a twentieth of a preview.
    """
    resource._get_stack_trace = _written_at


def _written_at() -> source_pb2.StackTrace:
    """The caller of the resource's own constructor, which is the third one from here: behind Resource's and CustomResource's."""
    frame: FrameType | None = sys._getframe(1)
    constructors = 0
    while frame is not None and constructors < 3:
        constructors += frame.f_code.co_name == "__init__"
        frame = frame.f_back
    if frame is None:
        return source_pb2.StackTrace()
    place = source_pb2.SourcePosition(uri=Path(frame.f_code.co_filename).as_uri(), line=frame.f_lineno)
    return source_pb2.StackTrace(frames=[source_pb2.StackFrame(pc=place)])


def outlive_failures() -> None:
    """Let a resource that failed stop those that wait for it, and no other.

    Under --continue-on-error the engine goes on, but the SDK ends the program at the first resource that waits for a failed one:
    what was not registered by then, because it waits for a slower one, was never asked for. So the program goes on, and ends with
    an error once everything else is done. It must be an error: of a program that ends well, the engine **deletes** what was not
    registered.
    """
    do_rpc, wait_for_rpcs = RPCManager.do_rpc, runtime.wait_for_rpcs
    left: list[str] = []

    def forgiving(self: RPCManager, name: str, function: Callable[..., Awaitable[Any]]) -> Any:
        async def call(*arguments: Any, **named: Any) -> Any:
            try:
                return await function(*arguments, **named)
            except runtime.ResourceRegistrationFailed as failure:
                left.append(str(failure))
                return None

        return do_rpc(self, name, call)

    async def wait(*arguments: Any, **named: Any) -> None:
        await wait_for_rpcs(*arguments, **named)
        if left:
            raise pulumi.RunError(f"what waits for a resource that failed stays as it is ({'; '.join(dict.fromkeys(left))})")

    RPCManager.do_rpc = forgiving  # type: ignore[assignment,method-assign]
    runtime.wait_for_rpcs = wait


def begin_invoke(token: str, props: Mapping[str, Any]) -> Callable[[], Any]:
    """Ask the engine and go on; what is returned waits for the answer. The SDK's own `invoke` waits at once."""
    asked = asyncio.ensure_future(invoke_async(token, dict(props)), loop=_ensure_event_loop())  # type: ignore[no-untyped-call]
    # Until the question is under way, in a thread of its own.
    _sync_await(asyncio.sleep(0.001))
    return lambda: _sync_await(asked)


def export(name: str, value: pulumi.Input[Any]) -> None:
    """Export VALUE as the stack's output NAME: null where a resource that it comes from failed. The other outputs stay."""
    pulumi.export(name, if_known(value))
