"""The simulated AWS when its server is late."""

import asyncio
from pathlib import Path

import botocore.session  # type: ignore[import-untyped]
import pytest
from botocore.awsrequest import HeadersDict  # type: ignore[import-untyped]
from botocore.parsers import create_parser  # type: ignore[import-untyped]

from aether_sim.aws import moto_process
from aether_sim.aws.errors import refuse
from aether_sim.aws.moto_process import Moto, MotoError


def test_a_server_that_did_not_start_in_time_is_said_and_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize(("code", "named"), [("Throttling", "RequestThrottledException"), ("ExpiredToken", "ExpiredToken")])
def test_a_fault_is_told_to_whoever_writes_snapshots_as_aws_tells_it(code: str, named: str) -> None:
    answer = refuse("ebs", 400, code, "said")
    call = botocore.session.get_session().get_service_model("ebs").operation_model("PutSnapshotBlock")
    assert isinstance(answer.body, bytes)
    read = create_parser("rest-json").parse(
        {"status_code": answer.status, "headers": HeadersDict(answer.headers), "body": answer.body}, call.output_shape
    )
    assert (read["Error"]["Code"], read["Error"]["Message"]) == (named, "said")
