"""Entity types: which slots answer them, how they are asked, and which types of a text get a question.

A slot counts for the types that name it: a city is a location, a university an organization, a vehicle a product, and
books or awards are only in the way. These rules hold in the training data, in the evaluation and in the gold of the
sample corpus.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

# type -> slots of the templates whose names are mentions of that type
TYPES: dict[str, tuple[str, ...]] = {
    "person": ("person", "firstname", "lastname"),
    "organization": ("company", "university", "agency", "team"),
    "location": ("city", "country", "region"),
    "country": ("country",),
    "date": ("date",),
    "time": ("time",),
    "money": ("money",),
    "product": ("product", "vehicle", "software"),
    "disease": ("disease",),
    "medicine": ("medicine",),
    "animal": ("animal",),
    "language": ("language",),
    "food": ("food",),
}

PARAPHRASES: dict[str, tuple[str, ...]] = {
    "person": ("a person", "people", "name of a person", "a person identified by a proper name", "human"),
    "organization": ("an organization", "organisation", "a company, school, agency or team", "institution"),
    "location": ("a location", "place", "a place on a map: a city, country, river or mountain", "geographical place"),
    "country": ("a country", "nation", "a sovereign state", "state"),
    "date": ("a date", "day", "a day, month or year", "calendar date"),
    "time": ("a time", "time of day", "a time on the clock", "hour"),
    "money": ("amount of money", "price", "a sum in some currency", "monetary value"),
    "product": ("a product", "product name", "a branded device, vehicle or program", "brand product"),
    "disease": ("a disease", "illness", "a medical condition", "disorder"),
    "medicine": ("a medicine", "drug", "a substance prescribed to treat an illness", "medication"),
    "animal": ("an animal", "species", "a kind of animal", "wildlife"),
    "language": ("a language", "spoken language", "a language that people speak", "tongue"),
    "food": ("a food", "dish", "something to eat", "ingredient"),
}

_TYPE_OF_SLOT: dict[str, tuple[str, ...]] = {
    slot: tuple(name for name, slots in TYPES.items() if slot in slots) for slots in TYPES.values() for slot in slots
}


def types_of_slot(slot: str) -> tuple[str, ...]:
    """All types for which a name in this slot is a mention; none for slots that nobody asks for."""
    return _TYPE_OF_SLOT.get(slot, ())


def phrase(entity_type: str, rng: random.Random, paraphrase_share: float = 0.15) -> str:
    """How a type is asked: mostly its name, sometimes upper case or a paraphrase."""
    roll = rng.random()
    if roll < paraphrase_share:
        return rng.choice(PARAPHRASES[entity_type])
    if roll < paraphrase_share + 0.04:
        return entity_type.capitalize()
    if roll < paraphrase_share + 0.06:
        return entity_type.upper()
    return entity_type


def choose_types(slots: Iterable[str], count: int, rng: random.Random, negative_share: float = 0.5) -> list[str]:
    """`count` different types to ask of a text with these slots: present ones and absent ones, shuffled."""
    present = {name for slot in slots for name in types_of_slot(slot)}
    here = rng.sample(sorted(present), len(present))[: max(1, round(count * (1 - negative_share)))]
    absent = sorted(set(TYPES) - present)
    chosen = here + rng.sample(absent, min(len(absent), count - len(here)))
    rng.shuffle(chosen)
    return chosen
