"""Health checks as the scripts on a host read them, and what they call them."""

from inventory.models import CommandCheck, HealthCheck, HttpCheck, TcpCheck, UnitCheck


def check_lines(checks: tuple[HealthCheck, ...]) -> str:
    """KIND, VALUE, STATUS, SECONDS, tab-separated, one check a line; a fifth word, warn, stands behind those that take nothing
    back.
    """
    return "".join("\t".join(_check_fields(check)) + "\n" for check in checks)


def check_name(check: HealthCheck) -> str:
    """What the scripts call it: KIND and VALUE."""
    return " ".join(_check_fields(check)[:2])


def _check_fields(check: HealthCheck) -> tuple[str, ...]:
    match check:
        case UnitCheck():
            fields = ("unit", check.unit, "-")
        case TcpCheck():
            fields = ("tcp", str(check.tcp), "-")
        case HttpCheck():
            fields = ("http", check.http, str(check.status))
        case CommandCheck():
            fields = ("command", check.command, "-")
    return (*fields, str(check.timeout), *(("warn",) if check.warn else ()))
