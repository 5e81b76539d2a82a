"""Every resource, function and argument that the program uses exists in the plugin that is built, and in the SDK."""

import ast
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi._types import input_type_py_to_pulumi_names

from aether_engine import schemas
from aether_engine.parts import DEFAULT_GROUPS

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = sorted(path for folder in ("components", "stacks") for path in (ROOT / folder).rglob("*.py"))
# The SDK of a provider that only its own stack has is looked at where it is installed.
SDKS = {
    f"pulumi_{part.plugin}": part
    for part in schemas.PLUGINS
    if part.group in DEFAULT_GROUPS or importlib.util.find_spec(f"pulumi_{part.plugin}")
}


@dataclass(frozen=True)
class Use:
    """One call of something of an SDK."""

    where: str
    sdk: str
    #: local.CommandArgs
    path: str
    keywords: tuple[str, ...]


def uses_in(text: str, where: str) -> Iterator[Use]:
    """Calls of SDK members, by whatever name the SDK was imported."""
    tree = ast.parse(text)
    names: dict[str, tuple[str, str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                sdk, _, rest = alias.name.partition(".")
                if sdk in SDKS:
                    names[alias.asname or sdk] = (sdk, f"{rest}." if alias.asname and rest else "")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in SDKS:
            sdk, _, rest = (node.module or "").partition(".")
            for alias in node.names:
                names[alias.asname or alias.name] = (sdk, f"{rest}.{alias.name}".lstrip(".") + ".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            root, *members = dotted(node.func)
            if root in names:
                sdk, prefix = names[root]
                keywords = tuple(sorted(keyword.arg for keyword in node.keywords if keyword.arg))
                yield Use(f"{where}:{node.lineno}", sdk, (prefix + ".".join(members)).rstrip("."), keywords)


def dotted(node: ast.expr) -> list[str]:
    """["aws", "ec2", "Vpc"] for aws.ec2.Vpc; [""] for anything else."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        root = dotted(node.value)
        return [*root, node.attr] if root != [""] else [""]
    return [""]


@cache
def schema_of(sdk: str) -> dict[str, Any]:
    return schemas.load(SDKS[sdk])


def problems(use: Use) -> list[str]:
    """What the SDK or the built plugin lacks for this use."""
    target: Any = importlib.import_module(use.sdk)
    for member in use.path.split("."):
        target = getattr(target, member, None)
        if target is None:
            return [f"{use.where}: {use.sdk} has no {use.path}"]
    if not inspect.isclass(target):
        return function_problems(use, target)
    module = sys.modules[target.__module__]
    stem = target.__name__.removesuffix("Args")
    resource = target if issubclass(target, pulumi.Resource) else getattr(module, stem, None)
    if inspect.isclass(resource) and issubclass(resource, pulumi.Resource):
        arguments = getattr(module, f"{resource.__name__}Args")
        return resource_problems(use, resource, input_type_py_to_pulumi_names(arguments))
    if target.__name__.endswith("Args"):
        return type_problems(use, stem, input_type_py_to_pulumi_names(target))
    return []


def resource_problems(use: Use, resource: type, names: dict[str, str]) -> list[str]:
    token = re.search(r"super\(\w+, __self__\).__init__\(\s*'([^']+)'", inspect.getsource(resource))
    assert token is not None, resource
    if issubclass(resource, pulumi.ProviderResource):
        found = schema_of(use.sdk)["provider"]
    else:
        found = schema_of(use.sdk)["resources"].get(token.group(1))
    if found is None:
        return [f"{use.where}: the plugin that is built has no {token.group(1)}"]
    return missing(use, token.group(1), names, found["inputProperties"], ignored={"opts", "args", "resource_name"})


def type_problems(use: Use, stem: str, names: dict[str, str]) -> list[str]:
    found = [found for token, found in schema_of(use.sdk)["types"].items() if token.rpartition(":")[2].lower() == stem.lower()]
    if not found:
        return [f"{use.where}: the plugin that is built has no type {stem}"]
    return missing(use, stem, names, {name: 1 for one in found for name in one["properties"]}, ignored=set())


def function_problems(use: Use, target: Any) -> list[str]:
    token = re.search(r"runtime\.invoke(?:_output)?\('([^']+)'", inspect.getsource(target))
    if token is None:
        return []
    if token.group(1) not in schema_of(use.sdk)["functions"]:
        return [f"{use.where}: the plugin that is built has no {token.group(1)}"]
    return []


def missing(use: Use, owner: str, names: dict[str, str], there: dict[str, Any], ignored: set[str]) -> list[str]:
    found = []
    for keyword in set(use.keywords) - ignored:
        if keyword not in names:
            found.append(f"{use.where}: the SDK's {owner} takes no {keyword}")
        elif names[keyword] not in there:
            found.append(f"{use.where}: the plugin that is built has no {names[keyword]} in {owner}")
    return found


@pytest.mark.parametrize("path", PROGRAM, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_the_program_uses_is_in_plugin_and_sdk(path: Path) -> None:
    found = [problem for use in uses_in(path.read_text(), str(path.relative_to(ROOT))) for problem in problems(use)]
    assert not found, "\n".join(found)


def test_uses_are_found_in_every_sdk() -> None:
    found = {use.sdk for path in PROGRAM for use in uses_in(path.read_text(), path.name)}
    assert found == set(SDKS)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import pulumi_proxmoxve as p\np.VmLegacy('x', node='a')", "takes no node"),
        ("import pulumi_proxmoxve as p\np.VmLegacyDiskArgs(sized=1)", "takes no sized"),
        ("import pulumi_proxmoxve\npulumi_proxmoxve.sdn.Subnet('x', vnet='a')", "has no proxmoxve:sdn/subnet:Subnet"),
        ("from pulumi_github import Repository as R\nR('x', has_pages=True)", "takes no has_pages"),
        ("from pulumi_github import Team\nTeam('x')", "has no github:index/team:Team"),
        ("import pulumi_command as c\nc.local.CommandArgs(crate='x')", "takes no crate"),
        ("import pulumi_aws as a\na.sns.Topic('x')", "has no aws:sns/topic:Topic"),
        ("import pulumi_aws as a\na.ec2.Instance('x', hibernation=True)", "has no hibernation"),
        ("import pulumi_aws as a\na.ec2.InstanceRootBlockDeviceArgs(tags={})", "has no tags"),
        ("import pulumi_aws as a\na.ec2.get_vpc(id='x')", "has no aws:ec2/getVpc:getVpc"),
        ("import pulumi_aws as a\na.ec2.Vcp('x')", "has no ec2.Vcp"),
    ],
)
def test_a_wrong_use_is_found(line: str, message: str) -> None:
    found = [problem for use in uses_in(line, "x.py") for problem in problems(use)]
    assert len(found) == 1
    assert message in found[0]


def test_versions_are_those_of_the_sdks() -> None:
    for sdk, part in SDKS.items():
        assert importlib.import_module(f"{sdk}._utilities").get_version() == part.version
        # The generator of the bridges leaves the version to the plugin.
        bridge = part.source / "bridge" / "provider.go"
        if schemas.is_bridge(part):
            assert f'const Version = "{part.version}"' in bridge.read_text()
        else:
            assert schema_of(sdk)["version"] == part.version
