"""The engine's events, as it writes them (`--event-log`), for tests of what hears them."""

from typing import Any


def urn(name: str, type: str) -> str:
    return f"urn:pulumi:sim::aether::{type}::{name}"


def begin(op: str, name: str, type: str, **metadata: Any) -> dict[str, Any]:
    return {"resourcePreEvent": {"metadata": _metadata(op, name, type, metadata)}}


def done(op: str, name: str, type: str, **metadata: Any) -> dict[str, Any]:
    return {"resOutputsEvent": {"metadata": _metadata(op, name, type, metadata)}}


def broken(op: str, name: str, type: str) -> dict[str, Any]:
    return {"resOpFailedEvent": {"metadata": _metadata(op, name, type, {}), "status": 1, "steps": 1}}


def said(severity: str, text: str, name: str = "", type: str = "") -> dict[str, Any]:
    """Of the program, where no NAME is given."""
    of = {"urn": urn(name, type)} if name else {}
    return {
        "diagnosticEvent": {
            **of,
            "prefix": f"{severity}: ",
            "message": f"<{{%reset%}}>{text}\n",
            "color": "raw",
            "severity": severity,
        }
    }


def _metadata(op: str, name: str, type: str, more: dict[str, Any]) -> dict[str, Any]:
    return {"op": op, "urn": urn(name, type), "type": type, **more}
