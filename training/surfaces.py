"""Surface forms: the names that fill the slots of a sentence template.

Every generator composes a name from syllables, word lists and patterns, so that the number of different names is
far beyond what training sees. A name belongs to the training or to the held-out side by the hash of its lower-case
form; the two sides never share a name. Only everyday words (weekdays, countries, animals …) are all for training: there
is no new weekday to be read later. Nothing here comes from a benchmark.
"""

from __future__ import annotations

import random
import unicodedata
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import yaml

HELD_OUT_SHARE = 12  # percent of surface forms that training never sees
#: Lists of words that are names by themselves and that a reader knows.
EVERYDAY = (
    "weekdays", "months", "countries", "cities", "languages", "animals", "foods", "disease_base", "medicine_base",
    "first_names",
)  # fmt: skip

Generator = Callable[[random.Random], str]


@cache
def _lexicon() -> dict[str, list[str]]:
    """The word lists of lexicon.yaml: entries with a bar are split at bars, the others at blanks."""
    raw: dict[str, str] = yaml.safe_load((Path(__file__).parent / "lexicon.yaml").read_text(encoding="utf-8"))
    return {
        key: [item.strip() for item in value.split("|")] if "|" in value else value.split()
        for key, value in raw.items()
    }


def words(name: str) -> list[str]:
    """The entries of one word list."""
    return _lexicon()[name]


@cache
def _everyday() -> frozenset[str]:
    return frozenset(word.lower() for name in EVERYDAY for word in words(name))


def is_held_out(surface: str) -> bool:
    """Whether a name is reserved for evaluation: training never sees it."""
    return is_set_aside(surface) and surface.lower() not in _everyday()


def is_set_aside(surface: str) -> bool:
    """Whether a name is one for evaluation or for the sample corpus, an everyday word or not."""
    key = unicodedata.normalize("NFC", surface).lower().encode()
    return zlib.crc32(b"surface:" + key) % 100 < HELD_OUT_SHARE


def _pick(rng: random.Random, name: str) -> str:
    return rng.choice(words(name))


def _coin(rng: random.Random, probability: float) -> bool:
    return rng.random() < probability


def syllables(rng: random.Random, low: int = 2, high: int = 3) -> str:
    """An invented lower-case word of `low` to `high` syllables."""
    count = rng.randint(low, high)
    parts = []
    for index in range(count):
        if index or _coin(rng, 0.8):
            parts.append(_pick(rng, "onset"))
        parts.append(_pick(rng, "vowel"))
        if _coin(rng, 0.4 if index == count - 1 else 0.12):
            parts.append(_pick(rng, "coda"))
    return "".join(parts)


def _invented(rng: random.Random, low: int = 2, high: int = 2) -> str:
    return syllables(rng, low, high + (rng.random() < 0.2)).capitalize()


def first_name(rng: random.Random) -> str:
    if _coin(rng, 0.02):
        return _pick(rng, "other_scripts")
    name = _pick(rng, "first_names") if _coin(rng, 0.5) else _invented(rng)
    return f"{name}-{_pick(rng, 'first_names')}" if _coin(rng, 0.03) else name


def last_name(rng: random.Random) -> str:
    name = _pick(rng, "last_names") if _coin(rng, 0.3) else _invented(rng)
    roll = rng.random()
    if roll < 0.05:
        return f"{name}-{_invented(rng)}"
    if roll < 0.12:
        return rng.choice(["Mc", "O'", "Mac", "van ", "de ", "von ", "Al-", "D'"]) + name
    if roll < 0.25:
        return name + rng.choice(["son", "sen", "ova", "ov", "ez", "ski", "man", "er", "ini", "ic", "wala", "oglu"])
    return name


def person(rng: random.Random) -> str:
    roll = rng.random()
    first, last = first_name(rng), last_name(rng)
    if last.startswith(("van ", "de ", "von ")) and _coin(rng, 0.3):
        last = last.split()[-1]
    if roll < 0.72:
        return f"{first} {last}"
    if roll < 0.82:
        return f"{first} {rng.choice('ABCDEFGHJKLMNPRSTVW')}. {last}"
    if roll < 0.88:
        return f"{rng.choice('ABCDEFGHJKLMNPRSTVW')}. {last}"
    if roll < 0.95:
        return f"{first} {first_name(rng)} {last}"
    return f"{first} {last} {last_name(rng).split()[-1]}"


def city(rng: random.Random) -> str:
    roll = rng.random()
    if roll < 0.25:
        return _pick(rng, "cities")
    if roll < 0.55:
        return _invented(rng, 1, 1) + _pick(rng, "city_suffix")
    if roll < 0.7:
        return f"{_pick(rng, 'city_prefix')} {_invented(rng)}"
    if roll < 0.73:
        return f"{_invented(rng)}-{rng.choice(['sur', 'on', 'am', 'les'])}-{_invented(rng)}"
    return _invented(rng)


def country(rng: random.Random) -> str:
    roll = rng.random()
    if roll < 0.5:
        return _pick(rng, "countries")
    name = _invented(rng, 1, 2) + _pick(rng, "country_suffix")
    return f"{_pick(rng, 'country_prefix')} {name}" if roll > 0.9 else name


def _form(rng: random.Random, name: str) -> str:
    """A pattern of the lexicon with {x} an invented name, {d} a domain, {n} a noun and {y} a year."""
    place = city(rng) if _coin(rng, 0.5) else _invented(rng)
    return _pick(rng, name).format(
        x=place, d=_pick(rng, "agency_domain"), n=_pick(rng, "book_noun"), y=rng.randint(1890, 2030)
    )


def region(rng: random.Random) -> str:
    return _pick(rng, "region_form").format(x=_invented(rng))


def company(rng: random.Random) -> str:
    roll = rng.random()
    suffix = _pick(rng, "company_suffix")
    if roll < 0.5:
        return f"{_invented(rng)} {suffix}"
    if roll < 0.65:
        return f"{_pick(rng, 'company_word')} {suffix}"
    if roll < 0.72:
        return f"{last_name(rng).split()[-1]} & {last_name(rng).split()[-1]}"
    if roll < 0.78:
        return "".join(rng.choice("ABCDEFGHIKLMNOPRSTVWXZ") for _ in range(rng.randint(3, 4)))
    if roll < 0.84:
        return _invented(rng, 1, 2) + rng.choice(["soft", "tech", "corp", "net", "mart", "bank", "gen"])
    if roll < 0.92:
        return f"{_invented(rng)} {_invented(rng)} {suffix}"
    return _invented(rng)


def university(rng: random.Random) -> str:
    return _form(rng, "university_form")


def agency(rng: random.Random) -> str:
    return _form(rng, "agency_form")


def team(rng: random.Random) -> str:
    return _form(rng, "team_form")


def event(rng: random.Random) -> str:
    return _form(rng, "event_form")


def award(rng: random.Random) -> str:
    return _form(rng, "award_form")


def date(rng: random.Random) -> str:
    day, month, year = rng.randint(1, 28), _pick(rng, "months"), rng.randint(1700, 2035)
    forms = [
        f"{day} {month} {year}", f"{month} {day}, {year}", f"{month} {year}", f"{month} {day}", f"{day} {month}",
        str(year), str(year), f"{year}-{rng.randint(1, 12):02d}-{day:02d}",
        f"{day:02d}/{rng.randint(1, 12):02d}/{year}", f"{_pick(rng, 'seasons')} {year}", _pick(rng, "weekdays"),
        f"{_pick(rng, 'weekdays')}, {day} {month}", f"{month[:3]} {day}", f"early {year}", month,
    ]  # fmt: skip
    return rng.choice(forms)


def time(rng: random.Random) -> str:
    hour, minute = rng.randint(1, 12), rng.choice([0, 5, 10, 15, 20, 30, 40, 45, 50])
    forms = [f"{hour}:{minute:02d} am", f"{hour}:{minute:02d} pm", f"{rng.randint(0, 23):02d}:{minute:02d}",
             f"{hour} o'clock", f"{hour} pm", "noon", "midnight", f"half past {hour}"]  # fmt: skip
    return rng.choice(forms)


def money(rng: random.Random) -> str:
    amount = rng.choice([rng.randint(2, 99), rng.randint(1, 99) * 100, rng.randint(1, 9)])
    sign = rng.choice("$€£")
    forms = [f"{sign}{amount:,}", f"{sign}{amount} million", f"{amount:,} {_pick(rng, 'currency_word')}",
             f"{amount} million {_pick(rng, 'currency_word')}", f"{sign}{rng.randint(1, 99)}.{rng.randint(10, 99)}",
             f"{sign}{rng.randint(1, 9)}.{rng.randint(1, 9)} billion"]  # fmt: skip
    return rng.choice(forms)


def product(rng: random.Random) -> str:
    brand = _invented(rng)
    number = rng.choice([rng.randint(2, 9), rng.randint(1, 99) * 10])
    code = f"{rng.choice(['', 'X', 'Z', 'M', 'S-', 'T', 'K-'])}{number}"
    tail, noun = _pick(rng, "product_tail"), _pick(rng, "product_noun")
    forms = [f"{brand} {code}", f"{brand} {code}", f"{brand} {tail}", f"{brand} {noun}", f"{brand} {noun} {code}",
             f"{brand} {noun} {tail}", f"{brand} {code} {tail}", f"{brand}{noun}", f"{brand} {_invented(rng)} {code}",
             f"{noun} {tail} {code}"]  # fmt: skip
    return rng.choice(forms)


def vehicle(rng: random.Random) -> str:
    brand, tail = _invented(rng), _pick(rng, "vehicle_tail")
    forms = [f"{brand} {tail}", f"{brand} {_invented(rng)} {tail}", f"{brand} {tail} {rng.randint(1, 9) * 50}",
             f"{brand} {rng.choice('CEAQ')}{rng.randint(1, 9)} {tail}"]  # fmt: skip
    return rng.choice(forms)


def software(rng: random.Random) -> str:
    root = _pick(rng, "software_root") if _coin(rng, 0.6) else _invented(rng, 1, 2)
    name = root + _pick(rng, "software_tail")
    forms = [name, f"{name} {rng.randint(1, 12)}", f"{name} {rng.randint(1, 9)}.{rng.randint(0, 9)}",
             f"{_invented(rng)} {_pick(rng, 'software_tail')}"]  # fmt: skip
    return rng.choice(forms)


def disease(rng: random.Random) -> str:
    roll = rng.random()
    if roll < 0.2:
        name = _pick(rng, "disease_base")
    elif roll < 0.45:
        name = _pick(rng, "disease_root") + _pick(rng, "disease_suffix")
    elif roll < 0.6:
        name = f"{_pick(rng, 'disease_place')} {_pick(rng, 'disease_kind')}"
    elif roll < 0.7:
        name = syllables(rng, 1, 2) + _pick(rng, "disease_suffix")
    elif roll < 0.85:
        kind = rng.choice(["syndrome", "disease", "fever", "disease"])
        return f"{_invented(rng)}{rng.choice(['', chr(39) + 's'])} {kind}"
    else:
        name = _pick(rng, "disease_base")
        return f"{_pick(rng, 'disease_adj')} {name}"
    return f"{_pick(rng, 'disease_adj')} {name}" if _coin(rng, 0.2) else name


def medicine(rng: random.Random) -> str:
    roll = rng.random()
    if roll < 0.15:
        return _pick(rng, "medicine_base")
    name = syllables(rng, 1, 2) + _pick(rng, "medicine_suffix")
    return name.capitalize() if roll > 0.75 else name


def animal(rng: random.Random) -> str:
    name = _pick(rng, "animals")
    roll = rng.random()
    if roll < 0.35:
        return name
    if roll < 0.85:
        return f"{_pick(rng, 'animal_adj')} {name}"
    if roll < 0.93:
        return f"{_invented(rng)} {name}"
    return f"{_pick(rng, 'animal_adj')} {syllables(rng)}"


def language(rng: random.Random) -> str:
    if _coin(rng, 0.6):
        return _pick(rng, "languages")
    return _invented(rng, 1, 2) + _pick(rng, "language_suffix")


def _title(rng: random.Random) -> str:
    adjective, noun = _pick(rng, "book_adj"), _pick(rng, "book_noun")
    forms = [f"The {adjective} {noun}", f"{adjective} {noun}s", f"The {noun} of {_invented(rng)}",
             f"{noun} and {_pick(rng, 'book_noun')}", f"One {noun} in {_invented(rng)}",
             f"The {adjective} {noun} of {first_name(rng)}", f"{noun} Without {_pick(rng, 'book_noun')}s",
             f"My {adjective} {noun}", f"Beyond the {adjective} {noun}"]  # fmt: skip
    return rng.choice(forms)


def chemical(rng: random.Random) -> str:
    roll = rng.random()
    if roll < 0.4:
        return f"{_pick(rng, 'chemical_base')} {_pick(rng, 'chemical_anion')}"
    if roll < 0.6:
        return _pick(rng, "chemical_prefix") + _pick(rng, "chemical_root")
    if roll < 0.75:
        return _pick(rng, "chemical_base")
    return _pick(rng, "chemical_single")


def food(rng: random.Random) -> str:
    roll = rng.random()
    if roll < 0.35:
        return _pick(rng, "foods")
    if roll < 0.65:
        return f"{_pick(rng, 'food_adj')} {_pick(rng, 'foods')}"
    if roll < 0.85:
        return f"{_pick(rng, 'foods').rstrip('s')} {_pick(rng, 'food_tail')}"
    return syllables(rng, 2, 3)


GENERATORS: dict[str, Generator] = {
    "person": person, "firstname": first_name, "lastname": last_name, "company": company, "university": university,
    "agency": agency, "team": team, "city": city, "country": country, "region": region, "date": date, "time": time,
    "money": money, "product": product, "vehicle": vehicle, "software": software, "disease": disease,
    "medicine": medicine, "animal": animal, "language": language, "book": _title, "film": _title, "event": event,
    "award": award, "chemical": chemical, "food": food,
}  # fmt: skip


def sample(kind: str, rng: random.Random, *, held_out: bool, everyday: bool = False) -> str:
    """A name of `kind` from the training or the held-out side.

    Args:
        everyday: the held-out side includes everyday words, the same share of them as of names.
    """
    generator = GENERATORS[kind]
    aside = is_set_aside if everyday else is_held_out
    while True:
        surface = generator(rng)
        if aside(surface) == held_out:
            return surface
