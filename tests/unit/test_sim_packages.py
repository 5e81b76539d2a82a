"""What the roles install exists in the simulated distributions: else a whole deployment fails for want of a name."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]


def table() -> set[str]:
    """Packages of every simulated distribution."""
    folder = REPOSITORY / "packages/aether-sim/src/aether_sim/fakes/host"
    sys.path.insert(0, str(folder))
    try:
        found = importlib.util.spec_from_file_location("package_table", folder / "package_table.py")
        assert found is not None and found.loader is not None
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return {name for value in vars(module).values() if isinstance(value, dict) for name in value if isinstance(name, str)}


def asked(tasks: Any) -> set[str]:
    """Package names that tasks say in so many words."""
    found: set[str] = set()
    if isinstance(tasks, list):
        return found.union(*map(asked, tasks))
    if isinstance(tasks, dict):
        module = tasks.get("aether_packages")
        names = module.get("name") if isinstance(module, dict) else None
        found |= {name for name in (names if isinstance(names, list) else [names]) if isinstance(name, str) and "{{" not in name}
        return found.union(*(asked(value) for value in tasks.values()))
    return found


def test_every_package_of_a_role_exists() -> None:
    files = [*(REPOSITORY / "ansible").rglob("tasks/*.yml")]
    wanted = {name: file.relative_to(REPOSITORY) for file in files for name in asked(yaml.safe_load(file.read_text()))}
    assert len(wanted) > 10
    assert not {name: str(file) for name, file in wanted.items() if name not in table()}
