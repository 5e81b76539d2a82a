"""Ansible's linear strategy, by Mitogen where it is installed: one Python a host for all tasks, instead of one or more a task."""

import hashlib
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from ansible.plugins.loader import filter_loader, strategy_loader, test_loader

# Last, so that Ansible's own names come first.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from ansible import constants
from inventory.files import REPOSITORY, write_whole

DOCUMENTATION = """
name: aether_linear
short_description: linear, with Mitogen's connections where Mitogen is installed
description:
  - As C(ansible.builtin.linear) in what tasks do and in which order.
"""

# Seconds between two looks at a task that runs. With Ansible's own 0.001 a dozen playbooks keep a processor busy with looking.
# Not in ansible.cfg, of which every playbook is made: each would run again for it.
constants.DEFAULT_INTERNAL_POLL_INTERVAL = max(constants.DEFAULT_INTERNAL_POLL_INTERVAL, 0.01)

# Each task is a fork of this process, and would read every filter and test by itself.
for loader in (filter_loader, test_loader):
    list(loader.all())

CACHE = REPOSITORY / ".aether/cache/mitogen"


def kept(name: str, function: Callable[[Any], Any]) -> Callable[[str | bytes], Any]:
    """FUNCTION of a source text, with its results (JSON) kept from run to run, under NAME, where they can be kept."""

    @cache
    def remembered(source: str | bytes) -> Any:
        text = source if isinstance(source, bytes) else source.encode()
        made_by = f"{name} {mitogen.__version__} {sys.version}\0".encode()
        file = CACHE / hashlib.sha256(made_by + text).hexdigest()
        with suppress(OSError, ValueError):
            return json.loads(file.read_bytes())
        result = function(source)
        with suppress(OSError):
            write_whole(file, json.dumps(result))
        return result

    return remembered


_BASES: tuple[type, ...] = ()
try:
    import ansible_mitogen.connection
    import ansible_mitogen.module_finder
    import ansible_mitogen.strategy
    import ansible_mitogen.transport_config
    import mitogen.imports
    import mitogen.master
    import mitogen.minify
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

    # What goes to a host is read, made small and compiled for what it imports: some 150 sources, the same ones in each run.
    imports = mitogen.imports.codeobj_imports
    mitogen.imports.codeobj_imports = kept("imports", lambda source: list(imports(compile(source, "", "exec"))))
    mitogen.minify.minimize_source = kept("small", mitogen.minify.minimize_source)
    for module in (ansible_mitogen.module_finder, mitogen.master):
        module.compile = lambda source, *rest: source
    walk = ansible_mitogen.module_finder.walk_imports
    ansible_mitogen.module_finder.walk_imports = cache(lambda source, prefix=None: tuple(walk(source, prefix)))


class StrategyModule(*_BASES, strategy_loader.get("linear", class_only=True)):  # type: ignore[misc]
    """``linear``'s, behind Mitogen's where it is there."""
