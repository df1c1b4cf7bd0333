"""Synthetic texts: templates and surface forms in, a text with its mentions out.

A template line holds slots (`{person}`; `{person.a}` twice is the same name twice), fillers that are never entities
(`{@job}`, `{@n}`) and alternatives (`(said|announced|)`). Templates belong to the training or the held-out side by
the hash of their line. A mention never occurs outside the places that the text's mentions list, so that "every
occurrence of the string" and "every mention" are the same thing.
"""

from __future__ import annotations

import json
import random
import re
import zlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from training import surfaces
from training.questions import TYPES

HELD_OUT_TEMPLATES = 14  # percent of the template lines that training never sees

_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
_SLOT = re.compile(r"\{(@?)(\w+)(?:\.(\w))?\}")
_ASIDES = (" as expected", " of course", " in short", " it seems", " they say", " to be fair", " at last", " again")
_OPENERS = ("However, ", "Meanwhile, ", "In fact, ", "Yesterday, ", "Still, ", "Also, ", "Then ", "And ", "Well, ")
_SMALL_WORDS = "the a of and to in on with for from at by was is were had not it they we one two very more than"


@dataclass(frozen=True)
class Mention:
    """A name in a text: code-point offsets [start, end) and the slot it filled."""

    start: int
    end: int
    slot: str


@dataclass
class Text:
    """A text under construction or finished, with its mentions in text order."""

    text: str = ""
    mentions: list[Mention] = field(default_factory=list)

    def append(self, piece: str) -> None:
        self.text += piece

    def append_mention(self, surface: str, slot: str) -> None:
        self.mentions.append(Mention(len(self.text), len(self.text) + len(surface), slot))
        self.text += surface

    def extend(self, other: Text) -> None:
        offset = len(self.text)
        self.text += other.text
        self.mentions += [Mention(m.start + offset, m.end + offset, m.slot) for m in other.mentions]

    def surface(self, mention: Mention) -> str:
        return self.text[mention.start : mention.end]


@dataclass(frozen=True)
class Sides:
    """Which side of the split a text is drawn from."""

    held_out_names: bool = False
    everyday: bool = False  # held-out names may be everyday words, which training has seen
    held_out_templates: bool | None = False  # None: both sides mixed


TRAIN = Sides()


@cache
def templates(domain: str | None = None, held_out: bool | None = None) -> tuple[str, ...]:
    """Template lines of one domain (or all), of one side (or both)."""
    lines = []
    for path in sorted((Path(__file__).parent / "templates").glob("*.txt")):
        if domain is None or path.stem == domain:
            lines += [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return tuple(line for line in lines if held_out is None or template_is_held_out(line) == held_out)


@cache
def domains() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (Path(__file__).parent / "templates").glob("*.txt")))


def template_is_held_out(line: str) -> bool:
    return zlib.crc32(b"template:" + line.encode()) % 100 < HELD_OUT_TEMPLATES


class NamePool:
    """Draws names for one text and now and then an earlier one again."""

    def __init__(self, rng: random.Random, sides: Sides, repeat: float = 0.1) -> None:
        self._rng, self._sides, self._repeat = rng, sides, repeat
        self._used: dict[str, list[str]] = {}

    def draw(self, slot: str) -> str:
        used = self._used.setdefault(slot, [])
        if used and self._rng.random() < self._repeat:
            return self._rng.choice(used)
        name = surfaces.sample(slot, self._rng, held_out=self._sides.held_out_names, everyday=self._sides.everyday)
        used.append(name)
        return name


def _resolve_choices(line: str, rng: random.Random) -> str:
    return _CHOICE.sub(lambda match: rng.choice(match.group(1).split("|")), line)


def _filler(name: str, rng: random.Random) -> str:
    if name == "n":
        return str(rng.choice([rng.randint(2, 12), rng.randint(2, 99), rng.randint(100, 950)]))
    return rng.choice(surfaces.words(name))


def render(line: str, rng: random.Random, pool: NamePool) -> Text:
    """One sentence from one template line."""
    out = Text()
    keyed: dict[str, str] = {}
    resolved = re.sub(r" +", " ", _resolve_choices(line, rng)).replace(" .", ".").replace(" ,", ",")
    position = 0
    for match in _SLOT.finditer(resolved):
        out.append(resolved[position : match.start()])
        position = match.end()
        is_filler, slot, key = match.groups()
        if is_filler or slot == "title":
            out.append(_filler(slot, rng))
            continue
        surface = keyed[slot + key] if key and slot + key in keyed else pool.draw(slot)
        if key:
            keyed[slot + key] = surface
        out.append_mention(surface, slot)
    out.append(resolved[position:])
    if out.text[:1].islower() and rng.random() < 0.85 and not (out.mentions and out.mentions[0].start == 0):
        out.text = out.text[0].upper() + out.text[1:]
    return out


def _vary(sentence: Text, rng: random.Random) -> Text:
    """Openers, asides and other end punctuation, so that a template is more than one word order."""
    roll = rng.random()
    ends_plain = sentence.text.endswith(".") and not sentence.text.endswith("..")
    if roll < 0.05 and sentence.text[:1].isupper() and not (sentence.mentions and sentence.mentions[0].start == 0):
        out = Text(rng.choice(_OPENERS))
        lowered = Text(sentence.text[0].lower() + sentence.text[1:], sentence.mentions)
        out.extend(lowered)
        return out
    if ends_plain and roll < 0.09:
        sentence.text = sentence.text[:-1] + "," + rng.choice(_ASIDES) + "."
    elif ends_plain and roll < 0.14:
        sentence.text = sentence.text[:-1] + rng.choice(["!", "", "...", ";", " -"])
    return sentence


def _joined(first: Text, second: Text, rng: random.Random) -> Text:
    """Two sentences as two clauses of one."""
    word = rng.choice([", and ", ", but ", "; ", " while ", " because ", ", so ", " - "])
    starts_with_name = bool(second.mentions) and second.mentions[0].start == 0
    out = Text(first.text.rstrip(".!"), first.mentions)
    if first.mentions and first.mentions[-1].end > len(out.text):
        return first
    out.append(word)
    if not starts_with_name and second.text[:2] not in ("I ", "I'"):
        second = Text(second.text[0].lower() + second.text[1:], second.mentions)
    out.extend(second)
    return out


def _noise_sentence(rng: random.Random) -> Text:
    """Random everyday words with no entity in them, or invented lower-case words."""
    pool = [*surfaces.words("thing"), *surfaces.words("adj"), *surfaces.words("job"), *surfaces.words("rel")]
    small = _SMALL_WORDS.split()
    parts = [rng.choice(small) if rng.random() < 0.5 else rng.choice(pool) for _ in range(rng.randint(3, 12))]
    if rng.random() < 0.3:
        parts.insert(rng.randrange(len(parts)), surfaces.syllables(rng))
    sentence = " ".join(parts)
    return Text(sentence[0].upper() + sentence[1:] + ".")


def _carrier_sentence(rng: random.Random, pool: NamePool) -> Text:
    """Random words around a name: the name's own form is all that tells its type."""
    before, after = _noise_sentence(rng), _noise_sentence(rng)
    slot = rng.choice([s for s in surfaces.GENERATORS if s not in ("firstname", "lastname", "film", "book")])
    out = Text(before.text[:-1] + " ")
    out.append_mention(pool.draw(slot), slot)
    out.append(" " + after.text[0].lower() + after.text[1:])
    return out


def is_clean(candidate: Text) -> bool:
    """Whether no name occurs outside its mentions, and none is part of a longer one."""
    ends: dict[str, set[int]] = {}
    for mention in candidate.mentions:
        ends.setdefault(candidate.surface(mention), set()).add(mention.start)
    for surface, starts in ends.items():
        found = {m.start() for m in re.finditer(re.escape(surface), candidate.text)}
        if found != starts:
            return False
    kinds: dict[str, set[str]] = {}
    for mention in candidate.mentions:
        kinds.setdefault(candidate.surface(mention), set()).add(mention.slot)
    return all(len(slots) == 1 for slots in kinds.values())


def make_text(
    rng: random.Random, sides: Sides = TRAIN, sentences: int = 3, domain: str | None = None, noise: float = 0.1
) -> Text:
    """A text of `sentences` sentences; `noise` is the share of sentences of random words. Retries until clean."""
    while True:
        pool = NamePool(rng, sides)
        out = Text()
        home = domain or (rng.choice(domains()) if rng.random() < 0.5 else None)
        for index in range(sentences):
            sentence = _one_sentence(rng, sides, home, pool, noise)
            if index:
                out.append(rng.choice([" "] * 9 + ["\n", "\n\n", "  "]))
            out.extend(sentence)
        if rng.random() < 0.04 and not any(m.slot in ("book", "film") for m in out.mentions):
            out = Text(out.text.lower(), out.mentions) if len(out.text.lower()) == len(out.text) else out
        if is_clean(out):
            return out


def _one_sentence(rng: random.Random, sides: Sides, domain: str | None, pool: NamePool, noise: float) -> Text:
    if rng.random() < noise:
        return _noise_sentence(rng) if rng.random() < 0.4 else _carrier_sentence(rng, pool)
    lines = templates(domain, sides.held_out_templates) or templates(None, sides.held_out_templates)
    sentence = render(rng.choice(lines), rng, pool)
    if rng.random() < 0.08:
        return _joined(sentence, render(rng.choice(lines), rng, pool), rng)
    return _vary(sentence, rng)


def answer(text: Text, entity_type: str) -> str:
    """The model's answer for one type: a JSON list of the distinct mentions in text order, with a leading blank."""
    slots = TYPES[entity_type]
    names = dict.fromkeys(text.surface(m) for m in text.mentions if m.slot in slots)
    return " " + json.dumps(list(names), ensure_ascii=False)
