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


def module(path: Path, base: Path) -> str:
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import in TREE: of functions, and of what is imported for its types alone, too."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))


def graph(*folders: str) -> dict[str, set[str]]:
    """Modules of FOLDERS, each with those of them that it imports."""
    files: dict[str, Path] = {}
    for folder in folders:
        base = REPOSITORY / folder
        files |= {module(path, base.parent): path for path in base.rglob("*.py")}
    found = {}
    for name, path in files.items():
        wanted: set[str] = set()
        for node in imports(ast.parse(path.read_text())):
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
    found = graph(*LAYERS)
    assert [name for name in found if name.split(".")[0] == layer]
    assert not [
        f"{name} -> {other}"
        for name, others in found.items()
        for other in others
        if name.split(".")[0] == layer and other.split(".")[0] in above
    ]


@pytest.mark.parametrize("folders", [LAYERS, (SIMULATOR,), ("packages/aether-engine/src/aether_engine",), ("bench",)])
def test_no_circle(folders: tuple[str, ...]) -> None:
    assert circle(graph(*folders)) == []


def test_a_circle_is_found() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}
    tree = ast.parse("if TYPE_CHECKING:\n    import x\ndef f():\n    import y\n")
    assert [ast.unparse(node) for node in imports(tree)] == ["import x", "import y"]


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
