"""YAML whose words stay words: `no`, `12`, `1.10` and `2024-01-01` are text wherever the configuration wants text.

YAML guesses what an unquoted scalar is, and makes a truth value of the label `NO` (Norway) or `on`. Here the guess is
put off until the field is known that the scalar is for. `null`, `~` and nothing at all are None everywhere.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel

_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"


class PlainScalar(str):
    """The text of an unquoted scalar, not yet interpreted."""


class _Loader(yaml.SafeLoader):
    """Keeps the text of unquoted scalars, and refuses keys that occur twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
        repeated = next((key for key in keys if keys.count(key) > 1), None)
        if repeated is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {repeated!r} occurs twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _text(loader: yaml.SafeLoader, node: Any) -> str:
    return str(node.value) if node.style else PlainScalar(node.value)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in (_NULL, _MERGE)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor("tag:yaml.org,2002:str", _text)


def load_yaml(source: str) -> Any:
    """Return the content of a YAML text, unquoted scalars as `PlainScalar`.

    Args:
        source: text.

    Raises:
        yaml.YAMLError: it is not YAML, has a key that occurs twice, or a value that its own tag (`!!int`) does not fit.
    """
    try:
        return yaml.load(source, _Loader)
    except (ValueError, KeyError, AttributeError) as error:  # as PyYAML's constructors of tags raise them
        raise yaml.YAMLError(f"a value does not fit its tag: {error}") from error


def settle(value: Any, annotation: Any = Any) -> Any:
    """Return a tree whose plain scalars are what the fields they are for want: text, or what YAML takes them for.

    Args:
        value: a node of the parsed YAML; plain scalars are still text as written (`PlainScalar`).
        annotation: type of the field that the node is for; a model for a mapping of its fields. By default plain
            scalars become what YAML takes them for.
    """
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and isinstance(value, Mapping):
        fields = annotation.model_fields
        return {str(k): settle(v, fields[k].annotation if k in fields else Any) for k, v in value.items()}
    return _each(value, str if _wants_words(annotation) else _interpreted)


def _interpreted(text: str) -> Any:
    """What YAML takes an unquoted scalar for; the text itself of what is no value, such as `2024-02-30` or `=`."""
    loader: Any = yaml.SafeLoader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))
    try:
        return loader.construct_object(yaml.ScalarNode(tag, text))
    except (ValueError, yaml.YAMLError):
        return text


def _each(value: Any, interpret: Any) -> Any:
    if isinstance(value, PlainScalar):
        return interpret(str(value))
    if isinstance(value, dict):
        return {str(k) if isinstance(k, PlainScalar) else k: _each(v, interpret) for k, v in value.items()}
    if isinstance(value, list):
        return [_each(item, interpret) for item in value]
    return value


def _wants_words(annotation: Any) -> bool:
    """Whether a field takes any text, or holds nothing but lists of text or of types."""
    if annotation in (str, NoneType, Ellipsis):
        return True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return all(_wants_words(field.annotation) for field in annotation.model_fields.values())
    arguments: Sequence[Any] = get_args(annotation)
    if get_origin(annotation) is Literal:
        return all(isinstance(argument, str) for argument in arguments)
    if hasattr(annotation, "__metadata__"):
        return _wants_words(arguments[0])
    if not arguments or get_origin(annotation) is dict:
        return False
    return str in arguments or all(map(_wants_words, arguments))
