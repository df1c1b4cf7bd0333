"""Entity types, and the forms in which a user may name them.

One parser serves the configuration file, the command line and the notebook. Nothing is coerced into a name: what is no
text is refused, with a hint.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from uniner_dist.config.section import Section
from uniner_dist.config.text_files import read_text_file
from uniner_dist.config.yaml_words import load_yaml, settle

_OPENING: Final = "([{（［｛"
_CLOSING: Final = ")]}）］｝"
#: Quotation marks, those of word processors included; the apostrophe is in names.
_QUOTES: Final = tuple('"“”„‟«»‘`')
_FILE: Final = re.compile(r"\S+\.(ya?ml|json|txt)", re.IGNORECASE)
#: Ends of the names of tables, which are not read as lists of types.
_TABLES: Final = (".csv", ".tsv", ".parquet", ".xlsx", ".jsonl")
#: Semicolons between types, not inside of a phrase.
_SEMICOLONS: Final = re.compile(r"^[^=]*;|;[^;=]+=")
#: Separators of types, or of a label and its phrase, in other tools.
_OTHER_SIGNS: Final = re.compile(r"[:|]")

#: Keys that a list of types has elsewhere; here a single key is the label itself.
_KEYS_OF_OTHERS: Final = frozenset(("name", "type", "entity", "entity_type", "description", "question"))


class EntityType(Section):
    """An entity type: `ask` goes into the prompt, `label` into the annotations."""

    label: str = Field(min_length=1, description="name of the type in the annotations")
    ask: str = Field(min_length=1, description="word, phrase or whole definition the model is asked with")


def parse_types(value: Any) -> list[EntityType]:
    """Return the entity types that a value names, in any of the forms in which a user may name them.

    Args:
        value: `"person,PER=phrase"` (commas inside of parentheses do not split), `"@conf/types.yaml"` (a file: YAML, or
            text with one type a line), a list whose items are such names, `{label: phrase}` or
            `{"label": …, "ask": …}`, or a mapping of labels to phrases.

    Raises:
        ValueError: none of these, or the file cannot be read; with a hint.
    """
    if isinstance(value, EntityType):
        return [value]
    if isinstance(value, str):
        if value.strip().startswith("@"):
            return _from_file(value.strip()[1:])
        return [_from_text(item) for item in split_types(value)]
    if isinstance(value, Mapping):
        if set(value) & set(EntityType.model_fields):
            return [_from_mapping(value)]
        near = difflib.get_close_matches("types", map(str, value), n=1)
        if near and not isinstance(value[near[0]], str):
            raise ValueError(f"unknown key {near[0]!r}; did you mean 'types'?")
        return [_pair(label, ask) for label, ask in value.items()]
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return [_from_item(item) for item in value]
    raise ValueError(f"{value!r} names no entity types; write person,location or LABEL=phrase,LABEL=phrase")


def parse_labels(value: str | None) -> list[str] | None:
    """Return the labels that an option of a command names; None stays None.

    Args:
        value: `"person,PER=phrase"` or `"@conf/types.yaml"`, as for `parse_types`; phrases are left out.

    Raises:
        ValueError: as for `parse_types`.
    """
    return None if value is None else [one.label for one in parse_types(value)]


def split_types(text: str) -> list[str]:
    """Return the parts between commas that are in no parentheses, without white space around them.

    Empty parts are left out.

    Args:
        text: names of types, such as `"person,city (not country, not state)"`; brackets and braces count as
            parentheses.

    Raises:
        ValueError: a parenthesis that is never closed.
    """
    parts, depth, begin = [], 0, 0
    for place, character in enumerate(text):
        if character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth = max(0, depth - 1)
        elif character == "," and not depth:
            parts.append(text[begin:place])
            begin = place + 1
    if depth:
        raise ValueError(f"{text!r}: a parenthesis is not closed, and commas inside of parentheses do not split")
    return [part.strip() for part in [*parts, text[begin:]] if part.strip()]


def _from_file(path: str) -> list[EntityType]:
    content = _read(path)
    try:
        return parse_types(content)
    except ValueError as error:
        raise ValueError(f"@{path}: {error}") from None


def _from_item(item: Any) -> EntityType:
    if isinstance(item, EntityType):
        return item
    if isinstance(item, Mapping):
        return _from_mapping(item)
    return _from_text(_text(item))


def _from_text(text: str) -> EntityType:
    """`person` or `PER=person`."""
    label, sign, ask = (part.strip() for part in text.partition("="))
    if _FILE.fullmatch(text):
        raise ValueError(f"{text!r} is the name of a file; write @{text} to read entity types from it")
    if _SEMICOLONS.search(text) or "\n" in label:
        raise ValueError(f"{text!r}: types are separated by commas, as in person,location")
    if "/" in label and not sign:
        raise ValueError(
            f"{text!r}: types are separated by commas, and a file is named as @PATH; a type that is called so is "
            f"written with its phrase, as in {text}=phrase"
        )
    if not sign and (found := _OTHER_SIGNS.search(label)):
        raise ValueError(
            f"{text!r}: types are separated by commas, and a label by = from its phrase; a type with {found[0]} in its "
            f"name is written with its phrase, as in {text}=phrase"
        )
    for name in (label, ask) if sign else (label,):
        if _is_quoted(name):
            raise ValueError(f"{text!r}: write names without quotation marks, as in person,location")
    if label[:1] in ("[", "{"):
        raise ValueError(f"{text!r}: write names without brackets, as in person,location")
    return _pair(label, ask if sign else label)


def _is_quoted(name: str) -> bool:
    """Whether all of a name is in quotation marks, or a comma has cut it off from the second one."""
    if name[:1] not in _QUOTES:
        return name[:1] == "'" and name[1:].endswith("'")
    return name[1:].endswith(_QUOTES) or not any(mark in name[1:] for mark in _QUOTES)


def _from_mapping(item: Mapping[Any, Any]) -> EntityType:
    """`{label: phrase}`, or with the keys `label` and `ask`."""
    known = list(EntityType.model_fields)
    if not set(item) & set(known):
        if len(item) != 1:
            raise ValueError(f"{dict(item)!r} is one item; write each type as an item of its own, as in - PER: person")
        [(label, ask)] = item.items()
        if str(label).lower() in _KEYS_OF_OTHERS:
            raise ValueError(
                f"{dict(item)!r} would ask for {ask!r} and call it {label!r}; write - {ask}, or the keys label and ask"
            )
        return _pair(label, ask)
    for key in item:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"a type has {' and '.join(known)}"
            raise ValueError(f"{dict(item)!r}: unknown key {key!r}; {hint}")
    if "label" not in item:
        raise ValueError(f"{dict(item)!r} has no label")
    return _pair(item["label"], item.get("ask", item["label"]))


def _pair(label: Any, ask: Any) -> EntityType:
    label, ask = _text(label), _text(ask)
    if not label.strip() or not ask.strip():
        raise ValueError(f"{label}={ask}: neither the label nor the phrase to ask with may be blank")
    return EntityType(label=str(label), ask=str(ask))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is a {type(value).__name__}, not a name; write it in quotes")
    return value


def _read(path: str) -> Any:
    """Content of a file of types: YAML with a list, a mapping, or a configuration with `types`; else a type a line."""
    if path.lower().endswith(_TABLES):
        raise ValueError(f"@{path}: is a table; write one type a line into a text file, or a YAML list")
    if path.lower().endswith((".yaml", ".yml", ".json")):
        content = settle(read_text_file("@", path, load_yaml), str)
    else:
        content = _lines(read_text_file("@", path, str), path)
    if isinstance(content, Mapping) and "types" in content:
        content = content["types"]
    if not content or (isinstance(content, str) and content.strip().startswith("@")):
        raise ValueError(f"@{path}: names no entity types")
    return content


def _lines(content: str, path: str) -> list[str]:
    lines = [line.strip() for line in content.splitlines() if not line.strip().startswith("#")]
    for line in lines:
        if re.search(r"\s#\s", line):
            raise ValueError(f"@{path}: {line!r}: a comment is a line of its own")
    return [line for line in lines if line]


def _parse(value: Any) -> Sequence[EntityType] | None:
    return None if value is None else parse_types(value)


Types = Annotated[tuple[EntityType, ...], BeforeValidator(_parse)]
