"""The simulated AWS when its server is late."""

import asyncio
from pathlib import Path

import pytest

from sim.aws import moto_process
from sim.aws.moto_process import Moto, MotoError


def test_a_server_that_did_not_start_in_time_is_said_and_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    async def both() -> int:
        moto = Moto(tmp_path, "127.0.0.1", "eu-central-1", said.append)
        try:
            monkeypatch.setattr(moto_process, "START", 0)
            with pytest.raises(MotoError, match=r"moto did not start within 0 s; see .*/moto\.log"):
                await moto.send("GET", "/moto-api/data.json", {}, b"")
            monkeypatch.undo()
            status, _, _ = await moto.send("GET", "/moto-api/data.json", {}, b"")
            return status
        finally:
            await moto.stop()

    assert asyncio.run(both()) == 200
