"""A fake engine for fault injection and scale simulation only; it knows nothing about language.

Its answer is a pure function of the prompt: capitalised words of the text that begin with one of the letters of the
asked type. Faults are switched on by words in the text (`engine.extra` maps a fault to its word), so a test decides
which prompts kill, hang or break their engine.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections import deque
from typing import Any

import numpy as np

from uniner_dist.completions.engine.base import Answer, EngineSpec, PromptRefusedError
from uniner_dist.model import resolve

_PROMPT = re.compile(
    r"USER: Text: (.*) ASSISTANT: I've read this text\..*USER: What describes (.*) in the text\?", re.S
)


def scripted_answer(text: str, entity_type: str) -> str:
    """Return the answer that this engine gives: a JSON list of words, possibly empty.

    Args:
        text: text of the passage.
        entity_type: what is asked for; words that begin with one of its letters, in either case, are listed.
    """
    letters = set(entity_type.lower())
    words = dict.fromkeys(re.findall(r"\b[A-Z]\w+", text))
    return json.dumps([word for word in words if word[0].lower() in letters], ensure_ascii=False)


def _node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""


class ScriptedEngine:
    """Deterministic answers, faults on demand.

    `extra` may hold: `kill`, `hang`, `crash`, `refuse`, `garbage` (word → fault on prompts whose text has it; a fault
    may be limited to a type by `word@type`), `slow_s` (seconds per prompt), `start_s` (seconds to load), `fail_start`
    (message), `fail_start_node` (id of the node where no engine starts), `oom_gib` (memory to ask for at load),
    `oom_once` (path of a file: only the engine that creates it asks for that memory), `long_s` (seconds of generating
    before the first answer, with tokens that count), `batch` (prompts per step), `log` (file to which every prompt it
    receives is added, as JSON lines of text and type).
    """

    def __init__(self, spec: EngineSpec) -> None:
        from tokenizers import Tokenizer

        self._extra: dict[str, Any] = dict(spec.extra)
        time.sleep(float(self._extra.get("start_s", 0)))
        if self._extra.get("fail_start"):
            raise RuntimeError(str(self._extra["fail_start"]))
        if self._extra.get("fail_start_node") and self._extra["fail_start_node"] == _node_id():
            raise RuntimeError("no engine starts on this node, as the script says")
        if self._extra.get("oom_gib") and self._is_first(self._extra.get("oom_once")):
            np.ones(int(self._extra["oom_gib"]) << 30, np.uint8)
        self._tokenizer = Tokenizer.from_file(os.path.join(resolve(spec.model), "tokenizer.json"))
        self._waiting: deque[tuple[str, list[int]]] = deque()
        self._tokens = 0

    def add(self, request_id: str, prompt_ids: list[int], shared_tokens: int = 0) -> None:
        """Queue one prompt, or refuse it.

        Args:
            request_id: names the prompt's `Answer`.
            prompt_ids: token ids of the whole prompt, which are decoded to find its text and type.
            shared_tokens: not used.

        Raises:
            PromptRefusedError: the script says so.
        """
        if self._extra.get("log"):
            with open(self._extra["log"], "a", encoding="utf-8") as log:
                log.write(json.dumps(self._read(prompt_ids)) + "\n")
        if self._hits("refuse", *self._read(prompt_ids)):
            raise PromptRefusedError("refused as the script says")
        self._waiting.append((request_id, prompt_ids))

    def step(self) -> list[Answer]:
        """Return the answers of the next prompts in the queue, up to `batch` (default 32) of them.

        Raises:
            RuntimeError: one of these prompts has the word of the fault `crash`.
        """
        self._generate_for(float(self._extra.pop("long_s", 0)))
        answers = []
        for _ in range(min(len(self._waiting), int(self._extra.get("batch", 32)))):
            request_id, prompt_ids = self._waiting.popleft()
            text, entity_type = self._read(prompt_ids)
            self._misbehave(text, entity_type)
            garbage = self._hits("garbage", text, entity_type)
            output = " I am not a list" if garbage else " " + scripted_answer(text, entity_type)
            token_ids = self._tokenizer.encode(output, add_special_tokens=False).ids
            answers.append(Answer(request_id, token_ids, "stop", cached_tokens=0))
        time.sleep(float(self._extra.get("slow_s", 0)) * len(answers))
        return answers

    def tokens(self) -> int:
        """Return the tokens of the answer that takes long (`long_s`); 0 without one."""
        return self._tokens

    def close(self) -> None:
        """Nothing to release."""

    @staticmethod
    def _is_first(path: str | None) -> bool:
        if path is None:
            return True
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def _generate_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._tokens += 1
            time.sleep(0.1)

    def _read(self, prompt_ids: list[int]) -> tuple[str, str]:
        found = _PROMPT.search(self._tokenizer.decode(prompt_ids, skip_special_tokens=False))
        return (found[1], found[2]) if found else ("", "")

    def _hits(self, fault: str, text: str, entity_type: str) -> bool:
        word, _, only_type = str(self._extra.get(fault, "")).partition("@")
        return bool(word) and word in text and only_type in ("", entity_type)

    def _misbehave(self, text: str, entity_type: str) -> None:
        if self._hits("kill", text, entity_type):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._hits("hang", text, entity_type):
            time.sleep(3600)
        if self._hits("crash", text, entity_type):
            raise RuntimeError("engine core died as the script says")
