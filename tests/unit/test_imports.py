"""The drawing of the imports: no arrow upward, and no circle."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LAYERS = ("inventory", "components", "stacks", "ops")
"""Each may know those before it."""
IMPORT = re.compile(r"^\s*(?:from \S+ )?import (?:\([^)]*\)|.*)", re.MULTILINE)
SIMULATOR = "packages/aether-sim/src/aether_sim"
# A simulated host is made of parts that know the host which they are of by its type: nothing is imported for it as they run.


def module(path: Path, base: Path) -> str:
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, *, types: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import in TREE, of functions too; what is imported for its TYPES alone where that is wanted."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not isinstance(node, ast.If) or types or ast.unparse(node.test) != "TYPE_CHECKING":
            yield from imports(node, types=types)


def graph(*folders: str, types: bool) -> dict[str, set[str]]:
    """Modules of FOLDERS, each with those of them that it imports."""
    files: dict[str, Path] = {}
    for folder in folders:
        base = REPOSITORY / folder
        files |= {module(path, base.parent): path for path in base.rglob("*.py")}
    found = {}
    for name, path in files.items():
        wanted: set[str] = set()
        for node in imports(ast.parse(path.read_text()), types=types):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif node.module:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                wanted |= inner & files.keys() or {node.module}
        found[name] = wanted & files.keys() - {name}
    return found


def circle(known: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(known).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("layer", LAYERS)
def test_no_arrow_goes_upward(layer: str) -> None:
    above = LAYERS[LAYERS.index(layer) + 1 :]
    found = graph(*LAYERS, types=True)
    assert [name for name in found if name.split(".")[0] == layer]
    assert not [
        f"{name} -> {other}"
        for name, others in found.items()
        for other in others
        if name.split(".")[0] == layer and other.split(".")[0] in above
    ]


@pytest.mark.parametrize("folders", [LAYERS, (SIMULATOR,), ("packages/aether-engine/src/aether_engine",), ("bench",)])
def test_no_circle_as_it_runs(folders: tuple[str, ...]) -> None:
    assert circle(graph(*folders, types=False)) == []


def test_no_circle_among_the_types_either_but_a_simulated_hosts() -> None:
    assert circle(graph(*LAYERS, types=True)) == []
    simulator = graph(SIMULATOR, types=True)
    host = {name for name in simulator if name.startswith("aether_sim.hosts.")}
    assert circle({name: others - host for name, others in simulator.items()}) == []


def test_a_circle_is_found() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}
    tree = ast.parse("if TYPE_CHECKING:\n    import x\ndef f():\n    import y\n")
    assert [ast.unparse(node) for node in imports(tree, types=False)] == ["import y"]
    assert [ast.unparse(node) for node in imports(tree, types=True)] == ["import x", "import y"]


def test_no_test_imports_a_test() -> None:
    """What tests share has a module of its own, named for what it is."""
    files = [path for folder in ("tests", "packages", "bench") for path in (REPOSITORY / folder).rglob("*.py")]
    tests = {path.stem for path in files if path.stem.startswith("test_")}
    assert len(tests) > 200
    assert not [f"{path.relative_to(REPOSITORY)}: {name}" for path in files for name in words(path.read_text()) & tests]


def words(text: str) -> set[str]:
    """Every word of a text's imports, without parsing it: there are hundreds of them."""
    return {word for line in IMPORT.findall(text) for word in re.findall(r"\w+", line)}


def test_an_import_of_a_test_is_found() -> None:
    for text in (
        "from .test_a import x",
        "from tests import (\n    b,\n    test_a as c,\n)",
        " import tests.test_a",
    ):
        assert "test_a" in words(text)
    assert "test_a" not in words("def test_a(): ...\nimport b\n")
