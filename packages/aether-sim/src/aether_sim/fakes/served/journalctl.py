"""journalctl and logger of a simulated host.

Imitates journalctl(1) of systemd 257: -u, -n, -o short|cat|json, -b, --since as `-SECONDS` or @UNIX, -r, -q, --no-pager,
-k; and logger(1) of util-linux with -t and -p. The journal holds what units and the service manager wrote since the
simulator started; -f is refused.
"""

from __future__ import annotations

import json
import time

from aether_sim.hosts import units
from aether_sim.hosts.agent import Call, Refused
from aether_sim.hosts.services import Entry

_WITH_VALUE = ["u", "n", "o", "t", "p", "S", "U", "g"]
_LONG = {"unit": "u", "lines": "n", "output": "o", "identifier": "t", "priority": "p", "since": "S", "until": "U", "grep": "g"}


def _parse(argv: list[str]) -> tuple[dict[str, list[str]], set[str]]:
    values: dict[str, list[str]] = {}
    flags: set[str] = set()
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            name, eq, value = word[2:].partition("=")
            if name in _LONG:
                values.setdefault(_LONG[name], []).append(value if eq else rest.pop(0) if rest else "")
            else:
                flags.add(name)
                if name == "boot":
                    values["b"] = [value or "0"]
            continue
        letters = word.lstrip("-")
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in _WITH_VALUE:
                values.setdefault(letter, []).append(letters or (rest.pop(0) if rest else ""))
                letters = ""
            elif letter == "b":
                following = letters or (rest.pop(0) if rest and rest[0].lstrip("-").isdigit() else "0")
                values["b"], letters = [following], ""
            else:
                flags.add(letter)
    return values, flags


def _when(text: str) -> float:
    if text.startswith("@"):
        return float(text[1:])
    span = units.seconds(text.lstrip("-+").removesuffix(" ago"))
    if span is not None:
        return time.time() - span
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d"):
        try:
            return time.mktime(time.strptime(text, form))
        except ValueError:
            continue
    if text in ("today", "yesterday", "now"):
        return {"today": time.time() // 86400 * 86400, "yesterday": 0.0, "now": time.time()}[text]
    raise Refused(f"Failed to parse timestamp: {text}")


def _format(call: Call, entry: Entry, output: str) -> str:
    if output == "cat":
        return entry.message
    if output.startswith("json"):
        return json.dumps(
            {
                "__REALTIME_TIMESTAMP": str(int(entry.when * 1e6)),
                "_SYSTEMD_UNIT": entry.unit,
                "SYSLOG_IDENTIFIER": entry.source,
                "_HOSTNAME": call.host.name,
                "MESSAGE": entry.message,
            }
        )
    stamp = time.strftime("%b %d %H:%M:%S", time.gmtime(entry.when))
    return f"{stamp} {call.host.name} {entry.source}[1]: {entry.message}"


async def run(call: Call) -> int:
    """Print journal lines."""
    values, flags = _parse(call.argv[1:])
    if "f" in flags or "follow" in flags:
        raise Refused("journalctl: --follow is not simulated")
    names = [units.with_suffix(name) for name in values.get("u", [])]
    names += [name.removesuffix(".service") + ".timer" for name in names]
    entries = call.host.services.lines(names)
    if "k" in flags or "dmesg" in flags:
        entries = [entry for entry in entries if entry.source == "kernel"]
    if "t" in values:
        entries = [entry for entry in entries if entry.source in values["t"]]
    if "b" in values:
        wanted = call.host.boots + int(values["b"][0] or 0)
        entries = [entry for entry in entries if entry.boot == wanted]
    if "S" in values:
        since = _when(values["S"][-1])
        entries = [entry for entry in entries if entry.when >= since]
    if "g" in values:
        import re

        entries = [entry for entry in entries if re.search(values["g"][-1], entry.message)]
    count = values.get("n", [""])[-1].lstrip("+")
    if count and count != "all":
        entries = entries[-int(count) :] if int(count) else []
    if "r" in flags or "reverse" in flags:
        entries = entries[::-1]
    output = values.get("o", ["short"])[-1]
    for entry in entries:
        call.out(_format(call, entry, output))
    if not entries and not flags & {"q", "quiet"}:
        call.out("-- No entries --")
    return 0


async def logger(call: Call) -> int:
    """Write a line to the journal."""
    words = call.argv[1:]
    tag = "root"
    message: list[str] = []
    while words:
        word = words.pop(0)
        if word in ("-t", "--tag") and words:
            tag = words.pop(0)
        elif word in ("-p", "--priority") and words:
            words.pop(0)
        elif not word.startswith("-") or message:
            message.append(word)
    if message:
        call.host.services.log("", " ".join(message), tag)
        return 0
    data = b""
    while piece := await call.stdin():
        data += piece
    for line in data.decode(errors="replace").splitlines():
        call.host.services.log("", line, tag)
    return 0
