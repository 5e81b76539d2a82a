"""What PromQL and LogQL expressions read: names of metrics and of labels, without evaluating anything."""

import re

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|\'(?:[^\'\\]|\\.)*\'')
_GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan", "group_left", "group_right", "by", "without", "on", "ignoring"}
_BY_NAME = re.compile(r'\{__name__=~"([^"]+)"')


def metrics(expression: str) -> set[str]:
    """Names of metrics; one that is picked by ``{__name__=~"…"}`` is a regular expression, written ``~…``."""
    found = {f"~{pattern}" for pattern in _BY_NAME.findall(expression)}
    text = _STRING.sub('""', expression)
    text = re.sub(r"\{[^}]*\}", "", text)
    text = re.sub(r"\[[^\]]*\]", "", text)
    text = _GROUPING.sub(" ", text)
    for match in re.finditer(r"[a-zA-Z_:][a-zA-Z0-9_:]*", text):
        word, rest = match[0], text[match.end() :].lstrip()
        before = text[match.start() - 1 : match.start()]
        if not rest.startswith("(") and word.lower() not in _WORDS and not before.isdigit():
            found.add(word)
    return found


def log_labels(expression: str) -> tuple[set[str], set[str]]:
    """Labels of a LogQL expression: those that select streams, and those that lines are filtered by afterwards."""
    selectors = re.findall(r"\{([^}]*)\}", expression)
    labels = {name for selector in selectors for name in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)}
    filtered = set(re.findall(r"\|\s*(\w+)\s*(?:=~|!~|!=|>=|<=|=|>|<)", expression))
    return labels, filtered
