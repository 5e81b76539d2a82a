"""Policies: rules with names that a preview holds the inventory, the stack's settings and its resources against.

The rules of Aether are in ``builtin.py``; an owner's own are files of ``policies/`` in the repository (docs/policies.md)::

    from inventory.policies import Finding, Subject, policy

    @policy("names-have-a-place", "advisory", "Hosts are named after the node that they are on")
    def names_have_a_place(subject: Subject) -> Iterator[Finding]:
        for name, host in subject.inventory.guests().items():
            if not name.startswith(host.node):
                yield Finding(name, f"is on {host.node}", f"rename it to {host.node}-{name}")
"""

import importlib.util
import sys
from pathlib import Path

from inventory.policies.builtin import POLICIES
from inventory.policies.judge import Judge
from inventory.policies.policy import Finding, Level, Policy, PolicyError, Resource, Subject, Verdict, declared, policy

__all__ = ["Finding", "Judge", "Level", "Policy", "PolicyError", "Resource", "Subject", "Verdict", "load_policies", "policy"]


def load_policies(repository: Path) -> list[Policy]:
    """Aether's own policies, then those of REPOSITORY's ``policies/``, in the order of their files.

    Raises:
        PolicyError: a file cannot be read as Python, or declares a name that another one has.
    """
    declared[:] = POLICIES
    for path in sorted((repository / "policies").glob("*.py")):
        specification = importlib.util.spec_from_file_location(f"_aether_policy_{path.stem}", path)
        assert specification is not None and specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        sys.modules[specification.name] = module
        try:
            specification.loader.exec_module(module)
        except PolicyError as error:
            raise PolicyError(f"{path.relative_to(repository)}: {error}") from None
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise PolicyError(f"{path.relative_to(repository)}: {what}. Fix: correct it, or remove the file") from None
    return list(declared)
