"""Units of a lab system, and the check that one of them is active."""

SLEEP = "[Unit]\nDescription=lab\n[Service]\nExecStart=/usr/bin/sleep {}\n"
FAILS = "[Unit]\nDescription=fails\n[Service]\nType=oneshot\nRemainAfterExit=true\nExecStart=/usr/bin/false\n"
ACTIVE = "unit\tweb.service\t-\t60\n"


def units(seconds: int = 1000, **more: str) -> dict[str, str]:
    return {"web.service": SLEEP.format(f"{seconds}d"), **{f"{name}.service": text for name, text in more.items()}}
