"""What the operator's commands take. A word that a command does not know is refused before anything runs."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

# Options of the engine's that name a part of the stack: what is deployed, or either that or what is not.
TARGETS = {"-t", "--target"}
IN_PART = {*TARGETS, "--exclude"}
# Options of the engine's that commands take and pass on: flags, metavar (None: no value), help, commands.
_ALL = ("up", "preview", "refresh", "down")
_CHANGES = ("up", "preview")
_ENGINE: tuple[tuple[tuple[str, ...], str | None, str, tuple[str, ...]], ...] = (
    (("-c", "--config"), "KEY=VALUE", "a setting, kept in the stack's configuration; may be repeated", _CHANGES),
    (("--config-path",), None, "the keys of --config are paths", _CHANGES),
    (("-t", "--target"), "URN", "these resources only (** is any text); may be repeated", _ALL),
    (("--target-dependents",), None, "and what depends on them", _ALL),
    (("--exclude",), "URN", "all but these; may be repeated", _ALL),
    (("--exclude-dependents",), None, "and what depends on them", _ALL),
    (("-p", "--parallel"), "N", "so many resources at a time", _ALL),
    (("--run-program",), None, "run the program too", ("refresh", "down")),
    (("-d", "--diff"), None, "property by property", _CHANGES),
    (("--show-sames",), None, "also what does not change", _CHANGES),
    (("--policy-pack",), "DIR", "check the resources by these policies", _CHANGES),
    (("--event-log",), "FILE", "write the engine's events there", _ALL),
    (("--debug",), None, "everything the engine has to say", _ALL),
    (("--logtostderr",), None, "the engine's log on standard error", _ALL),
    (("-v", "--verbose"), "LEVEL", "how much of it", _ALL),
)


def parser(command: str, function: Callable[..., object] | str | None) -> argparse.ArgumentParser:
    """Parser of `aether COMMAND`, described by FUNCTION's docstring (or the text itself)."""
    text = function if isinstance(function, str) else (function.__doc__ if function else "") or ""
    return argparse.ArgumentParser(prog=f"aether {command}", description=text.strip(), allow_abbrev=False)


def nothing(command: str, function: Callable[..., object], arguments: Sequence[str]) -> None:
    """For a command that takes no arguments: refuse any, answer --help."""
    parser(command, function).parse_args(arguments)


def engine_parser(command: str, function: Callable[..., object]) -> argparse.ArgumentParser:
    """As `parser`, with the options of the engine's that COMMAND passes on; they are found in ``options.passed``."""
    made = parser(command, function)
    group = made.add_argument_group("passed on to Pulumi")
    for flags, metavar, text, commands in _ENGINE:
        if command not in commands:
            continue
        if metavar:
            group.add_argument(*flags, metavar=metavar, help=text, action=_Pass, dest="passed", default=[])
        else:
            group.add_argument(*flags, help=text, action=_Pass, nargs=0, dest="passed", default=[])
    if command != "preview":
        made.add_argument(
            "--wait", type=float, default=0, metavar="MINUTES", help="for another operator who is at work on the stack; default 0"
        )
    if command != "refresh":
        group.add_argument(
            "-r", "--refresh", nargs="?", choices=("true", "false"), const="true", metavar="true|false", action=_Pass,
            dest="passed", default=[], help="read the real state of every resource first",
        )  # fmt: skip
    return made


class _Pass(argparse.Action):
    """Keeps an option as it was written, in the order of writing."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        word = str(option_string)
        if self.nargs == "?":
            words = [f"{word}={values}" if values else word]
        elif self.nargs == 0:
            words = [word]
        else:
            words = [word, str(values)]
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), *words])
