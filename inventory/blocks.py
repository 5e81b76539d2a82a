"""Parts of a page that are made from something else: between `<!-- NAME:begin -->` and `<!-- NAME:end -->`."""


def replaced(text: str, begin: str, end: str, content: str, hint: str = "") -> str:
    """TEXT with CONTENT between the markers BEGIN and END.

    Raises:
        ValueError: TEXT does not hold both markers, in order; ends with HINT.
    """
    before, opened, rest = text.partition(begin)
    _old, closed, after = rest.partition(end)
    if not opened or not closed:
        raise ValueError(f"has no block {begin} … {end}{hint}")
    return f"{before}{begin}\n{content}\n{end}{after}"
