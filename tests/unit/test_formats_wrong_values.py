"""Any one value of a file in JSON may be of another kind: it is read as it is meant, or refused by file and place."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from uniner_dist.errors import ConfigError
from uniner_dist.formats.sources import read_documents, source_format

_TEXT = "Ada lived in London"
_CONVERSATION = [
    {"from": "human", "value": f"Text: {_TEXT}"},
    {"from": "gpt", "value": "I've read this text."},
    {"from": "human", "value": "What describes person in the text?"},
    {"from": "gpt", "value": '["Ada"]'},
]
_REGION = {"start": 0, "end": 3, "text": "Ada", "labels": ["person"]}
_ENTITY = {"text": "Ada", "start": 0, "end": 3, "match": "exact", "score": None}
_ANSWER = {"entity_type": "person", "outcome": "found", "entities": [_ENTITY]}
_TOKEN = {"orth": "Ada", "ner": "U-person"}
_FILES: dict[str, Any] = {
    "export.jsonl": {"doc_id": "1", "text": _TEXT, "annotations": [_ANSWER]},
    "hf_export.jsonl": {
        "doc_id": "1", "text": _TEXT, "tokens": _TEXT.split(), "ner_tags": ["B-person", "O", "O", "O"],
        "entities": [{"entity_type": "person", **_ENTITY}], "answers": [{"entity_type": "person", "outcome": "found"}],
    },
    "gliner.json": [{"tokenized_text": _TEXT.split(), "ner": [[0, 0, "person"]], "ner_negatives": ["city"]}],
    "tokens.jsonl": {"id": 1, "tokens": _TEXT.split(), "ner_tags": ["B-person", "O", "O", "O"]},
    "spacy3.jsonl": {"text": _TEXT, "ents": [{"start": 0, "end": 3, "label": "person"}]},
    "spacy2.json": [{"id": 0, "paragraphs": [{"raw": "Ada", "sentences": [{"tokens": [_TOKEN]}]}]}],
    "pairs.json": {"classes": ["person"], "annotations": [[_TEXT, {"entities": [[0, 3, "person"]]}]]},
    "pairs.jsonl": [_TEXT, {"entities": [[0, 3, "person"]]}],
    "doccano.jsonl": {"id": 1, "text": _TEXT, "label": [[0, 3, "person"]]},
    "doccano_relations.jsonl": {
        "id": 1, "text": _TEXT, "relations": [{"id": 0}],
        "entities": [{"id": 0, "label": "person", "start_offset": 0, "end_offset": 3}],
    },
    "prodigy.jsonl": {
        "text": _TEXT, "meta": {"id": "7"}, "_task_hash": 1, "answer": "accept",
        "spans": [{"start": 0, "end": 3, "label": "person", "text": "Ada", "token_start": 0}],
    },
    "label_studio.json": [{
        "id": 1, "data": {"doc_id": "1", "text": _TEXT, "entity_types": ["person"]},
        "annotations": [{"was_cancelled": False, "result": [
            {"type": "labels", "from_name": "label", "to_name": "text", "value": _REGION},
            {"type": "choices", "value": {"choices": ["good"]}},
        ]}],
    }],
    "label_studio_min.json": [{"id": 1, "text": _TEXT, "label": [_REGION]}],
    "authors.json": [{"id": "a_0", "conversations": _CONVERSATION}],
}  # fmt: skip
_OTHERS: tuple[Any, ...] = (None, 7, 1.5, True, "x", [], [1], ["x"], [None], {}, {"a": 1})
#: Words of Python's own errors.
_PYTHON = re.compile(
    r"object|attribute|subscript|iterable|unpack|unhashable|NoneType|argument|operand|instance|indices|KeyError|"
    r"'?<=?'? not supported|\bstr\b|\bint\b|\bdict\b"
)


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a value."""
    yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _places(one, (*place, key))


def _replaced(value: Any, place: tuple[Any, ...], other: Any) -> Any:
    if not place:
        return other
    value = copy.deepcopy(value)
    inner = value
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = other
    return value


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value) + "\n")


def _read(path: Path) -> list[Any]:
    return read_documents(str(path), source_format(str(path)) or "")[0]


def _problem(path: Path, documents: list[Any] | ConfigError) -> str | None:
    """What is wrong with how a file was read or refused."""
    if isinstance(documents, ConfigError):
        said = re.sub(r"an object|'[^']*'", "", str(documents))
        return None if f"gold {path}" in said and not _PYTHON.search(said.replace(str(path), "")) else str(documents)
    ids, labels = {one.doc_id for one in documents}, {label for one in documents for label in one.answers}
    wrong = {name for name in ids if not isinstance(name, str)} | (ids & {"None", "True", "[]", "{}"})
    wrong |= {one.text for one in documents if not isinstance(one.text, str)} | (labels - {"person", "city", "x", "a"})
    return f"read {wrong}" if wrong else None


def _outcome(path: Path) -> list[Any] | ConfigError:
    try:
        return _read(path)
    except ConfigError as error:
        return error


@pytest.mark.parametrize("name", _FILES)
def test_a_value_of_another_kind_is_read_or_refused_by_its_place(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    _write(path, _FILES[name])
    [good] = _read(path)
    assert [entity["text"] if isinstance(entity, dict) else entity for entity in good.answers["person"]] == ["Ada"]
    places, refused, problems = list(_places(_FILES[name])), 0, []
    for place in places:
        for other in _OTHERS:
            _write(path, _replaced(_FILES[name], place, other))
            outcome = _outcome(path)
            refused += isinstance(outcome, ConfigError)
            problem = _problem(path, outcome)
            problems += [(place, other, problem)] if problem else []
    assert problems == []
    assert refused > len(places)


def test_a_mark_that_is_a_list_is_named_by_its_place(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps({"text": _TEXT, "spans": []}) + "\n" + json.dumps({"text": _TEXT, "spans": [[0, 3]]}))
    with pytest.raises(ConfigError, match=r"tasks.jsonl, line 2: .* Prodigy: spans\[0\] is a list, not an object"):
        _read(path)


@pytest.mark.parametrize("info", ["[]", "7", '{"features": 7}', '{"features": {"ner_tags": {"names": {"a": "O"}}}}'])
def test_a_description_without_names_of_tags_is_as_none(info: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"tokens": [["Ada"]], "ner_tags": [[1]]}), tmp_path / "data.parquet")
    (tmp_path / "dataset_info.json").write_text(info)
    with pytest.raises(ConfigError, match="ner_tags holds numbers, and nothing says their names"):
        _read(tmp_path)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("# uniner_types = 7", "uniner_types is a number .7., not a list"),
        ('# uniner_types = ["a", null]', r"uniner_types\[1\] is null, not a string"),
        ('# uniner_text = ["Ada"]', "uniner_text is a list, not a string"),
        ("# uniner_id = {}", "uniner_id is an object, not a string or a number"),
    ],
)
def test_a_comment_with_another_kind_of_value_is_refused(line: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text(f"# id = 1\n{line}\nAda\tB-person\n")
    with pytest.raises(ConfigError, match=f"a.conll.*: {problem}"):
        _read(path)
