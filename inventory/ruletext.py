"""What a file of rules says, without running it: each report's code, place, message and line to write, for a reader.

The names of what is filled in are written large: `'{canary}' may be away` is read as `'CANARY' may be away`.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from inventory.models import DEPLOY_USER

# More of what a sentence may be is not read by anybody.
_MOST = 4
_CODE = re.compile(r"[a-z]+(-[a-z]+)*")
# Where a report is a bare tuple: the places of code, table, field, message and fix in it, by the number of its parts.
_TUPLES: dict[str, dict[int, tuple[int, int | None, int, int, int]]] = {
    "inventory/overlay.py": {5: (0, 1, 2, 3, 4)},
    "inventory/validation_messages.py": {4: (0, None, 1, 2, 3)},
    "stacks/preflight.py": {4: (0, None, 1, 2, 3)},
    "stacks/existing.py": {5: (4, 0, 1, 2, 3)},
}
# What finds a message and a fix, and leaves the code to who asked.
_PAIRS = {"stacks/existing.py": ("hosts.HOST", "allocation_id", "address-of-others")}
# The table that those mean which name none.
_TABLE_OF = {"inventory/validation_messages.py": "TABLE.NAME", "stacks/preflight.py": "hosts.NAME"}
# What is looked at when a deployment begins, beside the inventory itself.
LATE = ("stacks/preflight.py", "stacks/existing.py", "stacks/zone.py")
# Their words are pydantic's, or those of the types.
_TYPES = tuple(
    f"inventory/{name}.py" for name in ("types", "models", "hosts", "cloud", "health", "rollout", "building", "proxmox")
)


@dataclass(frozen=True)
class Report:
    """One sentence that ends in a code: where it is about, what it says, and the line to write."""

    place: str
    message: str
    fix: str
    file: str
    why: str
    """What the rule is for, by its docstring; empty where it has none."""

    def __str__(self) -> str:
        end = "" if self.message.endswith("?") else "."
        return f"{self.place}: {self.message}{end} Fix: {self.fix}" if self.place else f"{self.message}{end} Fix: {self.fix}"


class Source:
    """One file that reports problems."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.name = name
        self.tree = tree
        self.parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}

    def reports(self) -> Iterator[tuple[str, Report]]:
        for node in ast.walk(self.tree):
            for code, *written in self._parts(node):
                for word, values in self._codes(code):
                    words = _Words(self, node, values)
                    table, at, message, fix = written
                    place = ".".join(filter(None, (words.all(table)[0] or _TABLE_OF.get(self.name, ""), words.all(at)[0])))
                    for text in words.all(message):
                        # What somebody else says is said by that.
                        if "MESSAGE" not in text:
                            yield word, Report(place, text, words.text(fix), self.name, self._why(node))
        if self.name in _TYPES:
            yield from self._of_types()

    def _parts(self, node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr | None, ast.expr | None, ast.expr, ast.expr]]:
        """Code, table, field, message and fix of a report, as they are written."""
        if isinstance(node, ast.Call):
            called, given = node.func, node.args
            if isinstance(called, ast.Attribute) and called.attr == "report" and len(given) == 5:
                yield given[0], given[1], given[2], given[3], given[4]
            elif _is(called, "Problem") and len(given) >= 6:
                yield given[5], given[1], given[2], given[3], given[4]
            elif _is(called, "_once") and len(given) == 5:
                yield given[2], *self._places(given[1]), given[3], given[4]
        elif isinstance(node, ast.Tuple) and isinstance(self.parents[node], ast.Return | ast.Yield | ast.Call):
            if self.name in _PAIRS and len(node.elts) == 2:
                table, at, code = (ast.Constant(word) for word in _PAIRS[self.name])
                yield code, table, at, node.elts[0], node.elts[1]
            if places := _TUPLES.get(self.name, {}).get(len(node.elts)):
                first, second, *others = places
                field, message, fix = (node.elts[place] for place in others)
                yield node.elts[first], None if second is None else node.elts[second], field, message, fix

    def _places(self, function: ast.expr) -> tuple[ast.expr | None, ast.expr | None]:
        """Table and field of what FUNCTION yields: (value, table, field)."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef) and _is(function, node.name):
                for part in ast.walk(node):
                    if (
                        isinstance(part, ast.Tuple)
                        and len(part.elts) == 3
                        and isinstance(self.parents[part], ast.Yield | ast.GeneratorExp)
                    ):
                        return part.elts[1], part.elts[2]
        return None, None

    def _codes(self, code: ast.expr) -> Iterator[tuple[str, dict[str, str]]]:
        """The codes that CODE may be; of one with a name in it, by the values of that name."""
        if isinstance(code, ast.Constant) and isinstance(code.value, str) and _CODE.fullmatch(code.value):
            yield code.value, {}
        elif isinstance(code, ast.JoinedStr):
            filled = [part.value for part in code.values if isinstance(part, ast.FormattedValue)]
            names = [part.id for part in filled if isinstance(part, ast.Name)]
            for value in self._values(names[0], code) if len(names) == 1 else ():
                yield _Words(self, code, {names[0]: value}).text(code), {names[0]: value}

    def _values(self, name: str, at: ast.AST) -> list[str]:
        """What NAME is there: the words of a parameter's Literal, or of the loop that it is of."""
        for outer in self._outward(at):
            if isinstance(outer, ast.For) and isinstance(outer.target, ast.Tuple) and isinstance(outer.iter, ast.Tuple):
                names = [target.id for target in outer.target.elts if isinstance(target, ast.Name)]
                if name in names:
                    cells = [row.elts[names.index(name)] for row in outer.iter.elts if isinstance(row, ast.Tuple)]
                    return list(dict.fromkeys(str(cell.value) for cell in cells if isinstance(cell, ast.Constant)))
            if isinstance(outer, ast.FunctionDef):
                for argument in outer.args.args:
                    if argument.arg == name and argument.annotation is not None:
                        words = [node for node in ast.walk(argument.annotation) if isinstance(node, ast.Constant)]
                        return [str(word.value) for word in words]
        return []

    def _of_types(self) -> Iterator[tuple[str, Report]]:
        """What types and models refuse: `message; fix`, of a field, or of several that contradict each other."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and _is(node.exc.func, "ValueError"):
                given = node.exc.args[0] if node.exc.args else None
            elif isinstance(node, ast.Call) and _is(node.func, "_matches"):
                given = node.args[1]
            else:
                continue
            message, found, fix = _Words(self, node, {}).text(given).partition("; ")
            if not found:
                continue
            classes = [outer.name for outer in self._outward(node) if isinstance(outer, ast.ClassDef)]
            if classes and classes[-1] not in _inner():
                # A rule between fields begins with the name of one.
                field, _, message = message.partition(" ")
                yield "contradiction", Report(f"TABLE.NAME.{field}", message, fix, self.name, "")
                continue
            if self._names(node) == "HostName":
                yield "bad-name", Report("TABLE.NAME", message, fix, self.name, "")
            # What is wrong with a key is its own program's word.
            message = "…" if message.isupper() else message
            yield "bad-format", Report("TABLE.NAME.FIELD", f"'VALUE' {message}", fix, self.name, "")

    def _names(self, node: ast.AST) -> str:
        """The name that what NODE is part of is given at the top of its file."""
        top = next((outer for outer in self._outward(node) if isinstance(outer, ast.Assign)), None)
        return top.targets[0].id if top and isinstance(top.targets[0], ast.Name) else ""

    def _why(self, node: ast.AST) -> str:
        """The docstring of the rule; the public ones are of all rules of a file."""
        if "/rules/" not in self.name:
            return ""
        rules = [outer for outer in self._outward(node) if isinstance(outer, ast.FunctionDef) and outer.name[:1] == "_"]
        docstrings = [ast.get_docstring(rule) for rule in rules]
        return (next(filter(None, docstrings), "") or "").partition("\n\n")[0].replace("\n", " ")

    def _outward(self, node: ast.AST) -> Iterator[ast.AST]:
        while node in self.parents:
            node = self.parents[node]
            yield node

    def written(self, name: str, at: ast.AST) -> list[list[ast.expr]]:
        """What NAME may be at AT: what it was set to there, with what was added on the way; nothing where a call says."""
        function = next((outer for outer in self._outward(at) if isinstance(outer, ast.FunctionDef)), None)
        loops = [outer for outer in self._outward(at) if isinstance(outer, ast.For)]
        if function is None or any(_is(part, name) for loop in loops for part in ast.walk(loop.target)):
            return []
        found: list[list[ast.expr]] = []
        nodes = [node for node in ast.walk(function) if isinstance(node, ast.Assign | ast.AugAssign)]
        for node in sorted(nodes, key=lambda node: node.lineno):
            passed = self._passed(node, at)
            if node.lineno > at.lineno or passed is None:  # type: ignore[attr-defined]
                continue
            if isinstance(node, ast.AugAssign):
                found = [[*parts, node.value] for parts in found] if passed and _is(node.target, name) else found
                continue
            for target in node.targets:
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                place = next((place for place, part in enumerate(names) if _is(part, name)), None)
                if place is None:
                    continue
                values = [node.value] if names == [target] else node.value.elts if isinstance(node.value, ast.Tuple) else []
                value = [values[place : place + 1]] if values else []
                found = value if passed or not found else found + value
        return found

    def _passed(self, node: ast.stmt, at: ast.AST) -> bool | None:
        """Whether who gets to AT has passed NODE: always, sometimes (False), or never (None): it is in the other branch."""
        path = [at, *self._outward(at)]
        for outer in path:
            fields = [block for _, block in ast.iter_fields(outer) if isinstance(block, list)]
            its = next((block for block in fields if node in block), None)
            if its is not None:
                return True if any(step in its for step in path) else None
            holder = next(
                (block for block in fields if any(node in ast.walk(part) for part in block if isinstance(part, ast.AST))), None
            )
            if holder is not None:
                return False if any(step in holder for step in path) else None
        return False


class _Words:
    """An expression as a reader is to see it: its words, and large names for what is filled in."""

    def __init__(self, source: Source, at: ast.AST, values: dict[str, str]) -> None:
        self.source, self.at, self.values = source, at, {"DEPLOY_USER": DEPLOY_USER, **values}

    def all(self, node: ast.expr | None) -> list[str]:
        """What NODE may be; the first alone where that is too much to read."""
        if node is None:
            return [""]
        found = list(dict.fromkeys(text.replace("{name}", "NAME").replace("{1}", "OTHER") for text in self._any(node)))
        return found if len(found) <= _MOST else found[:1]

    def text(self, node: ast.expr | None) -> str:
        """NODE in one line, with `; or: ` between what it may be."""
        return "; or: ".join(self.all(node))

    def _any(self, node: ast.expr) -> list[str]:  # noqa: PLR0911 (one return a case)
        if isinstance(node, ast.Constant):
            # Of str.format: what is there, and where it is, too.
            return [str(node.value).replace("{}", "VALUE", 1).replace("{}", "OTHER", 1)]
        if isinstance(node, ast.JoinedStr):
            return self._joined(node.values)
        if isinstance(node, ast.FormattedValue):
            return self._any(node.value)
        if isinstance(node, ast.IfExp):
            return [*self._any(node.body), *self._any(node.orelse)]
        if isinstance(node, ast.BinOp) and _is_text(node):
            return self._joined([node.left, node.right])
        if isinstance(node, ast.Name):
            written = self.source.written(node.id, self.at)
            if node.id in self.values or not written or not all(_is_text(part) for parts in written for part in parts):
                return [self.values.get(node.id) or _large(node.id)]
            return [text for parts in written for text in self._joined(parts)]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "upper":
            return [text.upper() for text in self._any(node.func.value)]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return [{"did_you_mean": "", "one_of": "one of …"}.get(node.func.id, "…")]
        return [_large(node.attr) if isinstance(node, ast.Attribute) else "…"]

    def _joined(self, parts: Sequence[ast.expr]) -> list[str]:
        return ["".join(texts) for texts in product(*map(self._any, parts))]


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_text(node.body)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add) and (_is_text(node.left) or _is_text(node.right))
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _large(name: str) -> str:
    return {"where": "TABLE.NAME", "at": "FIELD"}.get(name, "N" if len(name) == 1 else name.upper())


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _inner() -> Sequence[str]:
    """Models that are a field of an entry: what is wrong with one is a wrong value of that field."""
    from inventory.validation_messages import INNER

    return [model.__name__ for model in INNER.values()]
