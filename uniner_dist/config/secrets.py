"""Detection of secrets in a configuration, which is written into a run's folder: by name or by form.

Returns dotted keys, and trees without the values; never a value. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

#: Names of options whose value is a secret, such as spark.hadoop.fs.s3a.secret.key, hf_token or fs.azure.sas.
_NAME: Final = re.compile(
    r"secret|passw|passphrase|credential$|authorization|bearer"
    r"|(access|account|api|private|encryption|signing|shared|storage|master|sas)[._-]?key|connection[._-]?string"
    r"|client[._-]?assertion|(^|[._-])(sas|token|pwd|signature|sig)([._-]|$)",
    re.IGNORECASE,
)
#: Such names that say where a secret is, or how it is handled, and hold none.
_ABOUT: Final = re.compile(
    r"([._-](file|path|provider|providers|enabled|dir|location|class|type|algorithm|length|ttl|timeout|interval"
    r"|expiry|regex|pattern|name|alias))$|(^|\.)secret_?Key_?Ref\.|^(.*\.)?spark\.kubernetes\.(driver|executor)\.secrets\.",
    re.IGNORECASE,
)
#: Values that name a secret of the cluster instead of being one.
_REFERENCE: Final = re.compile(r"\{\{[^{}]*\}\}|\$\{[^{}]*\}|\$[A-Za-z_]\w*")
#: Passwords in URLs, which may have slashes and signs in them; `host:port/…` is none.
PASSWORD: Final = re.compile(r"(?<=://)([^/@:\s]*):(?!//|\d{1,5}(?:/|$))[^\s]*(?=@)")
#: Query of a signed URL, or a shared access signature alone.
SIGNED: Final = re.compile(
    r"(?:^|[?&;\s])(?:sig|signature|X-Amz-Signature|X-Amz-Security-Token|X-Amz-Credential|X-Goog-Signature"
    r"|X-Goog-Credential|AWSAccessKeyId)=[^&\s]|\?(?:[^?\s]*&)?(?:token|access_token)=[^&\s]",
    re.IGNORECASE,
)
#: Values that are secrets whatever they are called.
_FORM: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\b(?:AKIA|ASIA)[0-9A-Z]{12,}\b|\bhf_[A-Za-z0-9]{16,}|\bgh[pousr]_[A-Za-z0-9]{20,}"
    r"|\b(?:AccountKey|SharedAccessSignature|SharedAccessKey)="
)
#: `name=value` in a line of options, such as those of a JVM; not a Hive folder such as `/token=1/`.
_ASSIGNED: Final = re.compile(
    r"(?:^|[\s;,&?'\"]|-D)-{0,2}([A-Za-z][\w.-]{0,200})(?:\s*=\s*|:\s+|\s+)(?=([^\s;,&'\"]{1,500}))"
)
#: Options that are paths or names of the user's own, where only forms tell.
_PLACES: Final = frozenset(
    {"corpus.path", "output.path", "workdir", "store", "gate.gold", "gate.corpus", "model.name", "model.revision"}
)
#: Where names are labels of entity types, or of columns, and not options.
_LABELS: Final = frozenset({"types", "corpus.keep_columns", "output.partition_by", "output.language"})
_HIDDEN: Final = "…"


def is_secret_name(name: str) -> bool:
    """Return whether an option's name says that its value is a secret.

    Args:
        name: dotted key, environment variable or the like, in any case: `fs.s3a.secret.key`, `hfToken`.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return _NAME.search(words) is not None and _ABOUT.search(words) is None


def is_secret_text(text: str) -> bool:
    """Return whether a text is or has a secret by its form.

    Such forms are keys, passwords in URLs, signed URLs, and options `password=…`.

    Args:
        text: a value, or a line of options such as those of a JVM.
    """
    if PASSWORD.search(text) or SIGNED.search(text) or _FORM.search(text):
        return True
    return any(is_secret_name(match[1]) and not _is_empty(match[2]) for match in _ASSIGNED.finditer(text))


def find_secrets(tree: Mapping[str, object]) -> list[str]:
    """Return the dotted keys of all values in a configuration that look like secrets, each once, in order.

    Args:
        tree: the configuration as nested mappings and lists; items of lists are numbered from 0 in the keys.
    """
    return list(dict.fromkeys(_walk(tree, "", False)))


def without_secrets(tree: Mapping[str, object]) -> dict[str, object]:
    """Return a configuration to be shown: `…` instead of everything that looks like a secret.

    Args:
        tree: the configuration as nested mappings and lists; it is not changed.
    """
    found = set(_walk(tree, "", False))
    return {key: _hide(value, str(key), found) for key, value in tree.items()}


def _walk(value: Any, place: str, named: bool) -> Iterator[str]:
    """Yield the dotted keys of values that look like secrets.

    Args:
        value: a node of the tree.
        place: dotted key of the node; empty for the root.
        named: whether the name of the value, or of what it is in, says that it is a secret.
    """
    if place in _LABELS:
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            name = f"{place}.{key}" if place else str(key)
            yield from _walk(inner, name, named or is_secret_name(name))
    elif isinstance(value, list | tuple | set | frozenset):
        for number, inner in enumerate(value):
            yield from _walk(inner, f"{place}.{number}", named)
    elif (named and not _is_empty(value)) or (isinstance(value, str) and _is_secret_at(place, value)):
        yield place


def _is_secret_at(place: str, value: str) -> bool:
    if place in _PLACES:
        return bool(PASSWORD.search(value) or SIGNED.search(value) or _FORM.search(value))
    return is_secret_text(value)


def _is_empty(value: Any) -> bool:
    """Whether a value cannot be a secret: nothing, a switch, or the name of one that is elsewhere."""
    return value is None or isinstance(value, bool) or value == "" or bool(_REFERENCE.fullmatch(str(value)))


def _hide(value: Any, place: str, found: set[str]) -> Any:
    if place in found:
        return _HIDDEN
    if isinstance(value, Mapping):
        return {key: _hide(inner, f"{place}.{key}", found) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_hide(inner, f"{place}.{number}", found) for number, inner in enumerate(value)]
    return value
