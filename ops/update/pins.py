"""What a look for newer pins finds."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Newer:
    """One pin that has a successor."""

    what: str
    before: str
    after: str
    file: str
    note: str = ""
    """What comes of it beside the change itself."""


@dataclass
class Found:
    """Of all that was looked at. What was left alone has its reason, in words that say what to do."""

    newer: list[Newer] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def add(self, other: "Found") -> None:
        self.newer += other.newer
        self.left += other.left


def markdown(found: Found, *, written: bool) -> str:
    """A table for people and merge requests."""
    if not found.newer:
        lines = ["Nothing newer was found." if found.left else "Every pin is the newest."]
    else:
        lines = [
            f"## {'Newer pins' if written else 'Newer pins, not written'}",
            "",
            "| what | from | to | where |",
            "|---|---|---|---|",
        ]
        lines += [f"| `{pin.what}` | {pin.before} | {pin.after} | `{pin.file}` |" for pin in found.newer]
        notes = [f"- **{pin.what}**: {pin.note}" for pin in found.newer if pin.note]
        lines += ["", *notes] if notes else []
    if found.left:
        lines += ["", "Left as it is:", *(f"- {reason}" for reason in found.left)]
    return "\n".join(lines) + "\n"
