"""Evaluates the flake with local trees in place of its inputs: nothing is fetched and nothing is built.

    NIXTREES=DIR python -m nix.tools.evaluate gateway cockpit      drvPath of hosts (all without a name)
    NIXTREES=DIR python -m nix.tools.evaluate --attr packages.x86_64-linux.proxmox-vm.drvPath

DIR holds ``nixpkgs/`` and ``inputs/NAME/`` for the flake's other inputs. Without NIXTREES the locked inputs are
fetched as Nix always does.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
NIX = ROOT / "nix" / "tools" / "nix.sh"


class NixError(Exception):
    """Nix refused; the text is its error message, without the stack of calls above it."""


@dataclass(frozen=True)
class Result:
    value: Any
    seconds: float
    """From start to end."""
    processor_seconds: float
    """Time of the processor: the same on a busy machine."""
    mebibytes: int
    """Most memory that the evaluator held."""
    messages: str
    """What Nix wrote to stderr: warnings among it."""


@dataclass
class Trees:
    """Local trees of the flake's inputs, each added to the store once, until it changes."""

    directory: Path
    _paths: dict[str, str] = field(default_factory=dict)

    def tree(self, name: str) -> Path:
        return self.directory / "nixpkgs" if name == "nixpkgs" else self.directory / "inputs" / name

    def store_path(self, name: str) -> str:
        """Store path of an input's tree; a stamp beside the trees remembers it."""
        if name in self._paths:
            return self._paths[name]
        tree = self.tree(name)
        if not tree.is_dir():
            raise NixError(f"no local tree for input '{name}': put one at {tree}")
        stamp = self.directory / f"added.{name}"
        path = stamp.read_text().strip() if stamp.exists() else ""
        if not path or not Path(path).is_dir() or _changed_since(tree, stamp):
            path = run(["store", "add", "--name", "source", str(tree.resolve())]).value.strip()
            stamp.write_text(path + "\n")
        self._paths[name] = path
        return path

    def nar_hash(self, name: str) -> str:
        """Hash of the tree: with it Nix knows that the store has it, and does not read it all again."""
        path = self.store_path(name)
        note = self.directory / f"narhash.{Path(path).name}"
        if not note.exists():
            note.write_text(run(["hash", "path", path]).value.strip())
        return note.read_text()

    def overrides(self) -> list[str]:
        """Options that replace every input of the flake by its tree."""
        names = json.loads((ROOT / "flake.lock").read_text())["nodes"]["root"]["inputs"]
        options = ["--no-write-lock-file", "--offline"]
        for name in sorted(names):
            options += [
                "--override-input",
                name,
                f"path:{self.store_path(name)}?narHash={quote(self.nar_hash(name), safe='')}",
            ]
        return options


def _changed_since(tree: Path, stamp: Path) -> bool:
    found = subprocess.run(
        ["find", str(tree.resolve()), "-newer", str(stamp), "-print", "-quit"],
        capture_output=True,
        text=True,
        check=True,
    )
    return bool(found.stdout)


def trees() -> Trees | None:
    """The trees that NIXTREES names; None where it is not set."""
    directory = os.environ.get("NIXTREES")
    return Trees(Path(directory)) if directory else None


def run(arguments: list[str], *, json_output: bool = False) -> Result:
    """Runs nix.sh; raises NixError with Nix's own words."""
    begin = time.monotonic()
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        # wait4, because only it tells the memory of this one process; its output goes to files meanwhile.
        process = subprocess.Popen([str(NIX), *arguments], stdout=out, stderr=err, text=True, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output, messages = out.read(), err.read()
    if process.returncode != 0:
        raise NixError(_message(messages))
    return Result(
        value=json.loads(output) if json_output else output,
        seconds=time.monotonic() - begin,
        processor_seconds=usage.ru_utime + usage.ru_stime,
        mebibytes=usage.ru_maxrss // 1024,
        messages=messages,
    )


def _message(stderr: str) -> str:
    """The part of Nix's error that speaks to the reader: from the last `error:` on."""
    return stderr[stderr.rfind("error:") :].strip()


def evaluate(attribute: str, *, apply: str | None = None, flake: str | None = None) -> Result:
    """Value of a flake's attribute as JSON. ``flake``: a reference; default is this repository's tracked files."""
    local = trees()
    reference = flake or f"git+file://{quote(str(ROOT))}"
    arguments = ["eval", "--json", f"{reference}#{attribute}", "--option", "allow-import-from-derivation", "false"]
    if apply is not None:
        arguments += ["--apply", apply]
    arguments += local.overrides() if local else []
    return run(arguments, json_output=True)


def path_literal(path: Path) -> str:
    """PATH as a Nix expression. A path as it is ends at its first space."""
    text = json.dumps(str(path)).replace("${", "\\${")
    return f"(/. + {text})"


def host_names(*, written: bool = True) -> list[str]:
    """Flake attributes of the inventory's NixOS hosts: those that have a configuration, or those that have none yet."""
    expression = (
        f"with (import {path_literal(ROOT / 'nix/lib')} {{ root = {path_literal(ROOT)}; }}).hosts; "
        "builtins.mapAttrs (_: map attribute) "
        "(builtins.partition (name: builtins.elem name written) (builtins.attrNames nixos))"
    )
    found = run(["eval", "--json", "--impure", "--expr", expression], json_output=True).value
    return list(found["right" if written else "wrong"])


def report(host: str, *, flake: str | None = None) -> Result:
    """What nix/lib/report.nix says of a host."""
    return evaluate(f"nixosConfigurations.{host}", apply=(ROOT / "nix" / "lib" / "report.nix").read_text(), flake=flake)


def main() -> int:
    parser = argparse.ArgumentParser(description="Evaluate hosts of the flake.")
    parser.add_argument("hosts", nargs="*", help="hosts; all where none is named")
    parser.add_argument("--attr", help="any attribute of the flake, printed as JSON")
    options = parser.parse_args()
    try:
        if options.attr:
            print(json.dumps(evaluate(options.attr).value, indent=2))
            return 0
        for host in options.hosts or host_names():
            result = evaluate(f"nixosConfigurations.{host}.config.system.build.toplevel.drvPath")
            print(f"{host:16} {result.seconds:5.1f} s {result.mebibytes:5d} MiB  {result.value}")
    except NixError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
