"""docs/operations.md: every message of its table is one that the program says, and one that a test has seen."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from uniner_dist.config.schema import Config

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()
MESSAGES = re.findall(r"^\| `([^`]+)`.* \|.* \|.* \|$", PAGE[PAGE.index("## Messages") :], re.MULTILINE)


@cache
def strings(folder: str) -> frozenset[str]:
    """Strings of a folder's Python files on one line, with `…` for what is put into them."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            if all(isinstance(part, ast.Constant | ast.FormattedValue) for part in parts):
                pieces = [part.value if isinstance(part, ast.Constant) else "…" for part in parts]
                found.add(" ".join("".join(str(piece) for piece in pieces).replace("\\", "").split()))
    return frozenset(found)


def pattern(message: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(piece.strip()) for piece in message.split("…")))


def shown(words: str, message: str, said: set[str]) -> bool:
    """Whether a test's string is part of the message as the program says it, or holds a piece of the table's."""
    pieces = [piece.strip() for piece in message.split("…")]
    return any(words in one for one in said) or any(len(piece) > 9 and piece in words for piece in pieces)


def test_the_table_is_found() -> None:
    assert len(MESSAGES) > 25


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_of_the_table_is_said_and_seen(message: str) -> None:
    said = {words for words in strings("uniner_dist") if pattern(message).search(words)}
    assert said, "no such message in the program"
    seen = [words for words in strings("tests") if len(words) > 9 and " " in words]
    assert any(shown(words, message, said) for words in seen), "no test has seen it"


def test_the_options_that_the_page_names_exist() -> None:
    tree = Config.model_json_schema()["$defs"]
    known = {f"{name}.{key}" for name in Config.model_fields for key in _keys(name, tree)}
    sections = "|".join(Config.model_fields)
    named = set(re.findall(rf"`((?:{sections})\.\w+)", PAGE)) - {"spark.cores", "spark.dynamicAllocation"}
    reported = {"prompts.rejects", "prompts.prompts_known"}
    assert named - reported <= known


def _keys(section: str, tree: dict) -> list[str]:
    name = {"corpus": "CorpusConfig"}.get(section, f"{section.capitalize()}Config")
    return list(tree.get(name, {}).get("properties", {}))
