"""Hashes that are the same on every machine: of a passage's text, and of JSON-like values. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping


def passage_id(text: str) -> str:
    """Return the first 128 bits of the SHA-256 of the text's UTF-8, as 32 hex digits.

    Spark computes the same in the JVM. SHA-256, not MD5: two texts with one id would share their answers, and a corpus
    may come from strangers.

    Args:
        text: the passage, unaltered.
    """
    return hashlib.sha256(text.encode()).hexdigest()[:32]


#: Hex digits of a text's digest: enough to tell an edited text from the one that was annotated.
TEXT_DIGITS = 16


def text_digest(text: str) -> str:
    """Return the first 64 bits of the SHA-256 of a text's UTF-8, as 16 hex digits: how the text's passage id begins.

    Args:
        text: the annotated text, unaltered.
    """
    return passage_id(text)[:TEXT_DIGITS]


def digest(value: Mapping[str, object], digits: int = 16) -> str:
    """Return a hash of a JSON-like value, independent of key order.

    It is the beginning of the SHA-256 of the value's JSON with sorted keys and without white space, in UTF-8.

    Args:
        value: what to hash; what JSON does not know is hashed by its `str`.
        digits: length of the hash in hex digits, 4 bits each, at most 64.
    """
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:digits]
