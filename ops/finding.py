"""One thing that `aether doctor` looked at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What it is and how it is. FIX is the line that mends it; empty where it is well."""

    name: str
    state: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{'wrong' if self.fix else 'ok':6} {self.name:22} {self.state}{f'  Fix: {self.fix}' if self.fix else ''}"
