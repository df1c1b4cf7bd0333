"""The thread that owns the engine and keeps it full across shard boundaries.

Several threads submit jobs and wait for them; this one hands their prompts to the engine, oldest job first, up to a
limit, and steps. An error that is not one prompt's own ends the process: a dead engine in a living actor would fail
every later call.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable

from uniner_dist.completions.engine import Answer, Engine, PromptRefusedError
from uniner_dist.completions.replica.jobs import Job
from uniner_dist.completions.replica.messages import explain
from uniner_dist.completions.replica.protocol import EngineDiedError
from uniner_dist.core.characters import visible

#: Seconds a dead replica waits for its callers to read the engine's message before it exits.
_LAST_MESSAGE_S = 2.0


class EngineLoop:
    """Loads an engine and answers jobs with it until it is stopped.

    Args:
        load: makes the engine, in this loop's thread.
        max_in_flight: most prompts that the engine holds at a time.
        max_model_len: context of the model in tokens; a prompt that leaves no room for an answer is refused.
    """

    def __init__(self, load: Callable[[], Engine], max_in_flight: int, max_model_len: int) -> None:
        self._load, self._max_in_flight, self._max_model_len = load, max_in_flight, max_model_len
        self._wake = threading.Condition()
        self._waiting: deque[Job] = deque()  # jobs that have prompts to hand over
        self._jobs: dict[int, Job] = {}  # all that are not finished
        self._submitted = 0
        self._in_flight = 0
        self._stopping = False
        self._failure: str | None = None
        self._loaded = threading.Event()
        self.engine: Engine | None = None
        self._finished_prompts = self._finished_tokens = 0

    # -- called from other threads -------------------------------------------------------------------------------

    def start(self) -> None:
        """Load the engine and begin.

        Raises:
            RuntimeError: with the engine's own message.
        """
        threading.Thread(target=self._run, name="engine", daemon=True).start()
        self._loaded.wait()
        if self._failure is not None:
            raise RuntimeError(self._failure)

    def answer(self, prompt_ids: list[list[int]], shared_tokens: list[int]) -> list[Answer | str | None]:
        """Ask prompts and wait for all of them.

        Args:
            prompt_ids: token ids of every prompt.
            shared_tokens: for every prompt, how many of its first tokens its neighbours begin with as well.

        Returns:
            One answer per prompt, in order, or the reason why the engine refuses it.

        Raises:
            EngineDiedError: the engine died; the process is about to exit.
        """
        with self._wake:
            self._submitted += 1
            job = Job(self._submitted, prompt_ids, shared_tokens)
            self._jobs[job.number] = job
            self._waiting.append(job)
            self._wake.notify_all()
        job.finished.wait()
        if self._failure is not None:
            raise EngineDiedError(self._failure)
        with self._wake:
            del self._jobs[job.number]
        return job.answers

    def progress(self) -> dict[str, int]:
        """Return counters that move while the engine is alive, counted since the start or `count_from_zero`.

        Returns:
            `finished_prompts`: prompts answered or refused; `tokens`: tokens generated, those of unfinished answers
            included.
        """
        tokens = self._finished_tokens + (self.engine.tokens() if self.engine else 0)
        return {"finished_prompts": self._finished_prompts, "tokens": tokens}

    def count_from_zero(self) -> None:
        """Reset the counters; nothing may be in flight."""
        self._finished_prompts = self._finished_tokens = 0

    def stop(self) -> None:
        """Close the engine after its current step."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()

    # -- the loop's own thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            engine = self.engine = self._load()
            self._loaded.set()
            while not self._stopping:
                self._admit(engine)
                for answer in engine.step() if self._in_flight else ():
                    self._deliver(answer)
            engine.close()
        except BaseException as error:
            self._fail(error)

    def _admit(self, engine: Engine) -> None:
        """Hand prompts to the engine up to the limit, oldest job first; sleep while there is nothing to do."""
        with self._wake:
            while not self._stopping and not self._waiting and not self._in_flight:
                self._wake.wait()
        while self._waiting and self._in_flight < self._max_in_flight:
            job = self._waiting[0]
            if job.all_handed_over:
                self._waiting.popleft()
                continue
            self._hand_over(engine, job, job.next_index)
            job.next_index += 1

    def _hand_over(self, engine: Engine, job: Job, index: int) -> None:
        prompt_ids, limit = job.prompt_ids[index], self._max_model_len
        try:
            if len(prompt_ids) >= limit:
                raise PromptRefusedError(f"{len(prompt_ids)} tokens do not fit a context of {limit}")
            engine.add(f"{job.number}:{index}", prompt_ids, job.shared_tokens[index])
            self._in_flight += 1
        except PromptRefusedError as refusal:
            self._finished_prompts += 1
            job.record(index, str(refusal))

    def _deliver(self, answer: Answer) -> None:
        number, _, index = answer.request_id.partition(":")
        self._in_flight -= 1
        self._finished_tokens += len(answer.token_ids)
        self._finished_prompts += 1
        # An engine may add a suffix to our id; the digits in front are ours.
        self._jobs[int(number)].record(int(index.split("-")[0]), answer)

    def _fail(self, error: BaseException) -> None:
        """Tell every caller why, then exit."""
        self._failure = explain(error)
        print(visible("".join(traceback.format_exception(error)), keep="\n"), file=sys.stderr, flush=True)
        self._loaded.set()
        for job in list(self._jobs.values()):
            job.finished.set()
        time.sleep(_LAST_MESSAGE_S)
        os._exit(1)
