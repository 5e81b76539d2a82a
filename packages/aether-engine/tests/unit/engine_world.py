"""An empty cache and checkout, with a Go and a Pulumi that only pretend."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aether_engine import checkout, doctor, parts
from aether_engine.parts import Part
from aether_engine.progress import Progress

FAKE_GO = """#!/bin/sh
echo "$*" >> "$FAKE_LOG"
case "$1" in
version) echo "go version go${FAKE_GO_VERSION:-1.26.8} linux/amd64" ;;
list) echo "$FAKE_MODULE" ;;
build)
  [ -z "$FAKE_GO_SLOW" ] || { echo $$ > "$FAKE_GO_SLOW"; sleep 60; }
  [ -z "$FAKE_GO_FAIL" ] || { echo "undefined: Flux"; exit 1; }
  while [ "$1" != "-o" ]; do shift; done
  printf '#!/bin/sh\\necho built\\n' > "$2" ;;
esac
"""
FAKE_PULUMI = """#!/bin/sh
[ "$1 $2 $3" = "plugin install resource" ] || exit 1
dir="$PULUMI_HOME/plugins/resource-$4-v$5"
mkdir -p "$dir"
if [ "$6" = --file ]; then cp "$7" "$dir/pulumi-resource-$4"; else echo released > "$dir/pulumi-resource-$4"; fi
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache and checkout, three small parts, and a Go on PATH that writes scripts."""
    for name in ("pulumi", "thing", "tool"):
        source = tmp_path / "go" / name
        source.mkdir(parents=True)
        (source / "go.mod").write_text(f"module example/{name}\n\ngo 1.26.0\n")
    module = tmp_path / "module"
    module.mkdir()
    (module / "exec").write_text("#!/usr/bin/env python\n")
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    (bin_dir / "go").write_text(FAKE_GO)
    (bin_dir / "go").chmod(0o755)
    table = (
        Part("pulumi", "core", "1.0.0", {"pulumi": "."}, files=(("pulumi-exec", "example/sdk", "exec"),)),
        Part("thing", "plugins", "2.0.0", {"pulumi-resource-thing": "."}, plugin="thing"),
        Part("tool", "tools", "3.0.0", {"tool": "."}),
    )
    monkeypatch.setattr(parts, "GO_DIR", tmp_path / "go")
    for module_of_table in (parts, doctor):
        monkeypatch.setattr(module_of_table, "PARTS", table)
    for name, path in (("CHECKOUT", "clone"), ("STATE", "clone/.aether"), ("ENGINE_LINK", "clone/.aether/engine")):
        monkeypatch.setattr(checkout, name, tmp_path / path)
    monkeypatch.setattr(checkout, "PULUMI_HOME", tmp_path / "clone/.aether/pulumi-home")
    (tmp_path / "clone").mkdir()
    monkeypatch.setenv("PATH", f"{bin_dir}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("AETHER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AETHER_ENGINE", "build")
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "go.log"))
    monkeypatch.setenv("FAKE_MODULE", str(module))
    real_run = Progress.run

    def run(self: Progress, what: str, command: list[str], log: Path, *, cwd: Path, env: dict[str, str] | None = None) -> None:
        """The Pulumi that was built cannot install plugins; a script does."""
        if Path(command[0]).name == "pulumi":
            Path(command[0]).write_text(FAKE_PULUMI)
        real_run(self, what, command, log, cwd=cwd, env=env)

    monkeypatch.setattr(Progress, "run", run)
    yield tmp_path


def part(name: str) -> Part:
    return next(one for one in parts.PARTS if one.name == name)


def builds(world: Path) -> int:
    log = world / "go.log"
    return sum(line.startswith("build") for line in log.read_text().splitlines()) if log.exists() else 0
