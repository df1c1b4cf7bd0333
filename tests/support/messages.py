"""Messages for people: all errors, warnings and news that the sources can make, and an example of each.

`RECORD_MESSAGES=FILE pytest tests/unit` appends the text of every error that is made to FILE, and
`python -m tests.support.messages FILE` keeps one example of each message in `tests/support/messages.json`.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from uniner_dist.errors import ConfigError, QualityGateError, UninerError

PACKAGE = Path(__file__).parents[2] / "uniner_dist"
EXAMPLES = Path(__file__).with_suffix(".json")
#: Functions that return or yield what is wrong, for another to raise, besides those that are called where one raises.
_TELLERS = re.compile(r"problem|refus|unreachable|_wrong|why_")
#: Functions that tell a person something.
_SAYING = {"say", "_say", "news", "warning", "warn"}
#: Functions that make a line of `doctor`: area, subject, what is there, what to do.
_FINDING = {"Finding", "warning", "problem"}
#: Errors on their way from a task of Spark to the driver, which no person reads.
_SEALED = re.compile(r"uniner-dist-…")
#: Places of values in texts of the logging module.
_VALUE = re.compile(r"%[.\d]*[sdrfg]")


def template_of(node: ast.expr) -> str | None:
    """The text of a string with … in place of its values."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = template_of(node.left), template_of(node.right)
        return f"{left or '…'}{right or '…'}" if left or right else None
    return None


def messages() -> dict[str, str]:
    """Place in the sources (`room/file.py:line`) → message, of those that are raised and of those that are built."""
    return {f"{place}": text for path in sorted(PACKAGE.rglob("*.py")) for place, text in _messages_of(path)}


def _messages_of(path: Path) -> Iterator[tuple[str, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = list(_sources(tree))
    called = {_name(part) for node in found for part in ast.walk(node) if isinstance(part, ast.Call)}
    for node in [*found, *_told_by(tree, called)]:
        for text in _strings(node):
            # Names and single words are parts of messages, or no messages.
            if len(re.findall(r"[a-z]{2,}", text)) >= 3 and not _SEALED.match(text):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", _VALUE.sub("…", text)


def _name(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _told_by(tree: ast.AST, called: set[str]) -> Iterator[ast.expr]:
    """What functions return that are called for a message, or are named for it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and (node.name in called or _TELLERS.search(node.name)):
            for part in ast.walk(node):
                if isinstance(part, ast.Return | ast.Yield) and part.value is not None:
                    yield part.value


def _sources(tree: ast.AST) -> Iterator[ast.expr]:
    """Expressions that a message is made by."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node) in _FINDING and len(node.args) > 2:
            yield from node.args[2:]
        elif isinstance(node, ast.Call) and (_name(node).endswith("Error") or _name(node) in _SAYING):
            yield from node.args[:1]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "append":
            if "problems" in ast.unparse(node.func.value):
                yield from node.args
        elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if node.value is not None and ast.unparse(target) == "problems":
                yield node.value


def _strings(node: ast.expr) -> Iterator[str]:
    """The outermost strings of an expression that can be its value."""
    text = template_of(node)
    if text is not None:
        yield text
    elif isinstance(node, ast.List | ast.Tuple):
        for part in node.elts:
            yield from _strings(part)
    elif isinstance(node, ast.IfExp):
        yield from _strings(node.body)
        yield from _strings(node.orelse)
    elif isinstance(node, ast.ListComp | ast.GeneratorExp):
        yield from _strings(node.elt)
    elif isinstance(node, ast.BoolOp):
        for part in node.values:
            yield from _strings(part)
    elif isinstance(node, ast.Starred):
        yield from _strings(node.value)


def pattern_of(template: str) -> re.Pattern[str]:
    """What matches a text that has such a message in it."""
    return re.compile(r".*?".join(re.escape(part) for part in template.split("…")), re.DOTALL)


def record(file: Path) -> None:
    """From now on, append the text of every error of ours that is made to a file, one JSON string a line."""

    def recording(kind: type[UninerError]) -> None:
        made = kind.__init__

        def init(self: UninerError, *args: object, **named: object) -> None:
            made(self, *args, **named)
            if type(self).__init__ is init:
                problems = self.problems if isinstance(self, ConfigError | QualityGateError) else [str(self)]
                with file.open("a", encoding="utf-8") as stream:
                    stream.writelines(json.dumps(problem) + "\n" for problem in problems)

        kind.__init__ = init  # type: ignore[method-assign, assignment]

    for kind in (UninerError, ConfigError, QualityGateError):
        recording(kind)


def _shown(text: str) -> str:
    """Without the places of one machine."""
    text = re.sub(r"/\S*?/pytest-\d+/[^/\s]+?\d(?=[/\s:;,)'\"]|$)", "/data", text)
    return re.sub(r"/(?:\S*/)?site-packages/", "", text.replace(str(PACKAGE.parent), "/project"))


def keep_examples(recorded: Path) -> None:
    """Write one example of each message, the shortest; None for those that no test has met."""
    texts = sorted(
        {_shown(json.loads(line)) for line in recorded.open(encoding="utf-8")}, key=lambda text: (len(text), text)
    )
    before = json.loads(EXAMPLES.read_text(encoding="utf-8")) if EXAMPLES.exists() else {}
    found = {}
    for template in sorted(set(messages().values())):
        pattern = pattern_of(template)
        found[template] = next((text for text in texts if pattern.search(text)), before.get(template))
    EXAMPLES.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    keep_examples(Path(sys.argv[1]))
