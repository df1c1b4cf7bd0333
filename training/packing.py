"""Training rows: one text's prefix, then several question branches that see the prefix but not each other.

Each branch's positions continue behind the prefix, so that inside the row a branch looks exactly like a prompt of its
own. Packing costs the prefix once instead of once per question.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from training import sentences
from training.questions import choose_types, phrase
from training.tokenizer import prompt_prefix, prompt_suffix

IGNORED = -100
NEVER = -1e4  # added to an attention score that must not count
#: Lengths that rows are padded to; each is compiled once.
ROW_LENGTHS = (96, 128, 160, 192, 256, 352, 512, 1024)


@dataclass
class Row:
    """One packed row: token ids, positions, branch numbers (0 is the prefix), targets and slot tags."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    branches: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    tags: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Batch:
    """Rows padded to one length; `mask` is [rows, 1, length, length] in bfloat16, 0 where attention is allowed."""

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    targets: torch.Tensor
    tags: torch.Tensor


class Packer:
    """Turns generated texts into rows; remembers the tokens of questions it has seen."""

    def __init__(self, tokenizer: object, slots: list[str]) -> None:
        self._backend = tokenizer._tokenizer  # type: ignore[attr-defined]
        self._backend.encode_special_tokens = True
        self._slot_number = {slot: number + 1 for number, slot in enumerate(slots)}
        self._suffixes: dict[str, list[int]] = {}
        self.bos, self.eos = 1, 2

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids

    def row(self, text: sentences.Text, length: int, rng: random.Random, negative_share: float) -> Row | None:
        """A row of at most `length` tokens, or None where not even one question fits."""
        prefix_text = prompt_prefix(text.text)
        encoding = self._backend.encode(prefix_text, add_special_tokens=False)
        prefix = [self.bos, *encoding.ids, self.eos]
        row = Row(prefix, list(range(len(prefix))), [0] * len(prefix), [IGNORED] * len(prefix))
        row.tags = [IGNORED, *self._tags(text, encoding.offsets, len(prefix_text)), IGNORED]
        number = 0
        for entity_type in choose_types((m.slot for m in text.mentions), 24, rng, negative_share):
            question = phrase(entity_type, rng)
            if question not in self._suffixes:
                self._suffixes[question] = self._encode(prompt_suffix(question))
            suffix = self._suffixes[question]
            reply = [*self._encode(sentences.answer(text, entity_type)), self.eos]
            branch = suffix + reply
            if len(row.ids) + len(branch) - 1 > length:
                continue
            number += 1
            count = len(branch) - 1
            row.ids += branch[:-1]
            row.positions += range(len(prefix), len(prefix) + count)
            row.branches += [number] * count
            row.targets += [IGNORED] * (len(suffix) - 1) + reply
            row.tags += [IGNORED] * count
        return row if number else None

    def _tags(self, text: sentences.Text, offsets: list[tuple[int, int]], prefix_length: int) -> list[int]:
        """The slot number of each text token (0 outside names), as an auxiliary target."""
        start = len(prompt_prefix("")) - len(" ASSISTANT: I've read this text.")
        slots = np.zeros(prefix_length, dtype=np.int64)
        for mention in text.mentions:
            slots[start + mention.start : start + mention.end] = self._slot_number[mention.slot]
        return [int(slots[begin]) for begin, _ in offsets]


def collate(rows: list[Row], length: int) -> Batch:
    """Pad rows to `length` and build the attention mask from branch numbers."""
    shape = (len(rows), length)
    ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    branches = np.full(shape, -1, np.int64)
    targets, tags = np.full(shape, IGNORED, np.int64), np.full(shape, IGNORED, np.int64)
    for index, row in enumerate(rows):
        size = len(row.ids)
        ids[index, :size], positions[index, :size] = row.ids, row.positions
        branches[index, :size], targets[index, :size], tags[index, :size] = row.branches, row.targets, row.tags
    branch = torch.from_numpy(branches)
    same_or_prefix = (branch[:, :, None] == branch[:, None, :]) | (branch[:, None, :] == 0)
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    allowed = (same_or_prefix & causal)[:, None]
    mask = torch.zeros(allowed.shape, dtype=torch.bfloat16).masked_fill_(~allowed, NEVER)
    return Batch(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(positions),
        mask=mask,
        targets=torch.from_numpy(targets),
        tags=torch.from_numpy(tags),
    )


class Batcher:
    """Collects rows by length until a batch of about `tokens` tokens is full, so that little of it is padding."""

    def __init__(self, packer: Packer, rng: random.Random, tokens: int) -> None:
        self._packer, self._rng, self._tokens = packer, rng, tokens
        self._waiting: dict[int, list[Row]] = {length: [] for length in ROW_LENGTHS}

    def batch(self, plan: Callable[[], tuple[tuple[int, int], float]]) -> Batch:
        """The next batch, all of its texts from the training side.

        Args:
            plan: gives (least and most sentences, noise share) of the next text.
        """
        while True:
            (least, most), noise = plan()
            text = sentences.make_text(self._rng, sentences=self._rng.randint(least, most), noise=noise)
            row = self._packer.row(text, ROW_LENGTHS[-1], self._rng, self._rng.choice([0.3, 0.5, 0.7]))
            if row is None:
                continue
            length = next(length for length in ROW_LENGTHS if length >= len(row.ids))
            waiting = self._waiting[length]
            waiting.append(row)
            if len(waiting) >= max(1, self._tokens // length):
                self._waiting[length] = []
                return collate(waiting, length)


def slot_names() -> list[str]:
    """Every slot in a fixed order, for the auxiliary tags."""
    from training.surfaces import GENERATORS

    return list(GENERATORS)
