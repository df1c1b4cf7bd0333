"""Tags of tokens as mentions: BIO (IOB1 and IOB2), BIOES, BILOU, BMES, types alone, and several labels in one tag.

Pure; no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

OUTSIDE: Final = "O"
#: `B-person`: the token's position in the mention, and the mention's type.
TAG: Final = re.compile(r"O|([BIMESLU])-(\S.*)")
_BEGINS: Final = frozenset("BSU")
_ENDS: Final = frozenset("ESLU")
#: What separates several labels of one token; `|` is in no type unless the file says so.
_SEPARATORS: Final = "|,;+&/"

#: (type, first token, one past the last token).
TokenMention = tuple[str, int, int]


def read_tags(tags: Iterable[str], *, bare: bool = False, types: Collection[str] = ()) -> list[TokenMention]:
    """Return the mentions of a sentence, by first token and then by length.

    A tag that cannot continue a mention of its type begins one (so IOB1, and sequences that are not valid). Mentions of
    several labels in one tag may overlap; each continues the latest open one of its type.

    Args:
        tags: one per token, such as `B-PER`, `I-PER`, `O`, or of the BIOES, BILOU and BMES schemes.
        bare: tags are types without a prefix: neighbours of the same type are one mention.
        types: types that the file lists itself; a `|` in one of them separates nothing.

    Raises:
        ValueError: no tag, or one that has several types in a way that cannot be read.
    """
    mentions: list[TokenMention] = []
    open_: list[tuple[str, int]] = []
    position = 0
    for position, tag in enumerate(tags):
        still: list[tuple[str, int]] = []
        for prefix, name in _labels(tag, bare, types):
            known = None if prefix in _BEGINS else next((m for m in reversed(open_) if m[0] == name), None)
            if known is not None:
                open_.remove(known)
            mention = known or (name, position)
            if prefix in _ENDS:
                mentions.append((*mention, position + 1))
            else:
                still.append(mention)
        mentions += [(*mention, position) for mention in open_]
        open_ = still
    mentions += [(*mention, position + 1) for mention in open_]
    return sorted(mentions, key=lambda mention: (mention[1], mention[2]))


def is_tag(tag: str) -> bool:
    """Return whether this is a tag with a prefix, `O`, or several such tags joined.

    Args:
        tag: content of a cell, such as `B-ORG|U-GPE`.
    """
    return all(TAG.fullmatch(part) for part in split_labels(tag))


def split_labels(tag: str, types: Collection[str] = ()) -> Sequence[str]:
    """Return the labels of a tag, at least one: `B-ORG|U-GPE` has two.

    Args:
        tag: content of a cell; one that is no tag is returned as it is.
        types: types that the file lists itself; a tag of one of them is not split.
    """
    match = TAG.fullmatch(tag)
    if match and match[2] in types:
        return [tag]
    for separator in _SEPARATORS:
        parts = tag.split(separator)
        if len(parts) > 1 and all(TAG.fullmatch(part) for part in parts):
            return parts
    return [tag]


def _labels(tag: str, bare: bool, types: Collection[str]) -> list[tuple[str, str]]:
    """(prefix, type) of each label."""
    if tag == OUTSIDE:
        return []
    if bare:
        return [("I", name) for name in ([tag] if tag in types else tag.split("|"))]
    labels = []
    for part in split_labels(tag, types):
        match = TAG.fullmatch(part)
        if match is None:
            raise ValueError(f"{tag!r} is not a tag such as O, B-person or I-person")
        if match[2] and "|" in match[2] and match[2] not in types:
            raise ValueError(f"{tag!r} has several types and one prefix; write B-{match[2].replace('|', '|B-')}")
        if match[1]:
            labels.append((match[1], match[2]))
    return labels
