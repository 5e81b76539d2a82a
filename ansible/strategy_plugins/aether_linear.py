"""Ansible's linear strategy, by Mitogen where it is installed: one Python a host for all tasks, instead of one or more a task."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from ansible.plugins.loader import filter_loader, strategy_loader, test_loader

DOCUMENTATION = """
name: aether_linear
short_description: linear, with Mitogen's connections where Mitogen is installed
description:
  - As C(ansible.builtin.linear) in what tasks do and in which order.
"""

# Each task is a fork of this process, and would read every filter and test by itself.
for loader in (filter_loader, test_loader):
    list(loader.all())

_BASES: tuple[type, ...] = ()
try:
    import ansible_mitogen.connection
    import ansible_mitogen.module_finder
    import ansible_mitogen.strategy
    import ansible_mitogen.transport_config
except ImportError:
    pass
else:
    _BASES = (ansible_mitogen.strategy.StrategyMixin,)

    def runuser(spec: Any) -> dict[str, Any]:
        """`aether_su`: root's way to a user, whatever shell that one has. Mitogen's `su` asks the user's own shell.
        `runuser -u USER --` asks none, and has the arguments that Mitogen gives doas."""
        context: dict[str, Any] = ansible_mitogen.connection.CONNECTION_METHOD["doas"](spec)
        context["kwargs"]["doas_path"] = "runuser"
        return context

    ansible_mitogen.connection.CONNECTION_METHOD["aether_su"] = runuser
    split = ansible_mitogen.transport_config.parse_python_path

    def whole(said: str, *rest: Any, **named: Any) -> list[str]:
        """The operator's own Python is one word, whatever folder it lies in; Mitogen takes the words of a shell."""
        words: list[str] = [said] if said and Path(said).is_file() else split(said, *rest, **named)
        return words

    ansible_mitogen.transport_config.parse_python_path = whole

    # What a module needs is found by compiling all that it imports, once for each module; most of it is the same each time.
    walk = ansible_mitogen.module_finder.walk_imports
    ansible_mitogen.module_finder.compile = lru_cache(maxsize=None)(compile)
    ansible_mitogen.module_finder.walk_imports = lru_cache(maxsize=None)(lambda code, prefix=None: tuple(walk(code, prefix)))


class StrategyModule(*_BASES, strategy_loader.get("linear", class_only=True)):  # type: ignore[misc]
    """``linear``'s, behind Mitogen's where it is there."""
