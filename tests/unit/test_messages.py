"""Every message of an error, collected from the sources: plain English, one line, and not longer than can be read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "uniner_dist"
#: Words of no technical English, and names of Python's own.
ODD = re.compile(
    r"\b(stands? (in|for nothing|nowhere|there|twice|more than once)|goes on|go on with|anew|dear(er)?|"
    r"hitherto|"
    r"NoneType|Traceback|pydantic)\b"
)
LONGEST = 420


def _template(node: ast.expr) -> str | None:
    """The text of a string with … in place of its values."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _template(node.left), _template(node.right)
        return f"{left or '…'}{right or '…'}" if left or right else None
    return None


def _messages() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            call = node.exc if isinstance(node, ast.Raise) else None
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id.endswith("Error"):
                for argument in call.args[:1]:
                    if template := _template(argument):
                        yield f"{path.relative_to(PACKAGE)}:{call.lineno}", template


MESSAGES = dict(_messages())


def test_messages_are_found_in_every_room() -> None:
    rooms = {place.split("/")[0] for place in MESSAGES}
    assert {"cli", "config", "formats", "evaluation", "export", "prompts", "completions", "storage"} <= rooms
    assert len(MESSAGES) > 250


def test_every_message_is_plain_english_and_short() -> None:
    odd = {place: text for place, text in MESSAGES.items() if ODD.search(text) or text.strip() != text}
    assert odd == {}
    assert {place: text for place, text in MESSAGES.items() if len(text) > LONGEST} == {}
