"""Prompts of work items on their way through the engine."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from uniner_dist.completions.engine import Answer


@dataclass
class Job:
    """The prompts of one work item; an answer that is a string is the reason of a refusal.

    Attributes:
        prompt_ids: token ids of every prompt.
        shared_tokens: of every prompt, how many of its first tokens its neighbours begin with as well.
        answers: in the order of the prompts; None until there is one.
        next_index: the prompt to hand over next.
        open: prompts without an answer.
        finished: set when there are none left, or when the engine died.
    """

    number: int
    prompt_ids: list[list[int]]
    shared_tokens: list[int]
    answers: list[Answer | str | None] = field(init=False)
    next_index: int = 0
    open: int = field(init=False)
    finished: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.answers = [None] * len(self.prompt_ids)
        self.open = len(self.prompt_ids)
        if not self.open:
            self.finished.set()

    @property
    def all_handed_over(self) -> bool:
        """Whether the engine has seen every prompt."""
        return self.next_index == len(self.prompt_ids)

    def record(self, index: int, answer: Answer | str) -> None:
        """Keep the answer to a prompt; the last one sets `finished`.

        Args:
            index: position of the prompt in `prompt_ids`; each is recorded once.
            answer: the engine's answer, or the reason of a refusal.
        """
        self.answers[index] = answer
        self.open -= 1
        if self.open == 0:
            self.finished.set()
