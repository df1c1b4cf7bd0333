"""vLLM's real scheduler with the prefix-tail connector, around a simulated cache whose every position is checked.

    python -m tests.support.scheduler_simulation '[{"blocks": 40, "seed": 7}, {"tails": false}]'

The cache of the simulated worker holds, for each position, a hash of all tokens up to it: what attention would read
there. Before a token is sampled all of them are compared with what the request's own tokens say. With asynchronous
scheduling the scheduler plans a step before it sees the outcome of the last one, as vLLM's engine does it. Questions
share a passage, answers are scripted, and a cache that is too small for all of them makes vLLM preempt requests.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

import torch
from vllm import EngineArgs, SamplingParams
from vllm.config import KVTransferConfig
from vllm.distributed.kv_transfer.kv_connector.factory import KVConnectorFactory
from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorRole
from vllm.utils.hashing import sha256
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager

from uniner_dist import demo
from uniner_dist.completions.engine.base import SHARED_TOKENS

BLOCK = 16
#: Ids that end an answer: of an empty list, and of any other.
_EMPTY, _END = 1, 2
#: Lengths of the part that questions share: below, at and above whole blocks.
_SHARED_LENGTHS = (3, 15, 16, 17, 40, 90, 130, 200)


@dataclass(frozen=True)
class Setting:
    """One simulated job.

    Attributes:
        blocks: of the cache, 16 tokens each.
        budget: tokens a step.
        sequences: requests that run at a time.
        in_flight: requests that the engine holds.
        answer_tokens: of the longest answers.
        empty: share of answers that are one token.
        broken: a method of the worker's connector that does nothing, to see that it is missed.
    """

    tails: bool = True
    asynchronous: bool = True
    blocks: int = 4000
    budget: int = 2048
    sequences: int = 256
    in_flight: int = 128
    passages: int = 12
    questions: int = 8
    answer_tokens: int = 20
    empty: float = 0.8
    seed: int = 1
    broken: str | None = None


@dataclass
class Outcome:
    """What happened: `wrong` are requests with another answer than scripted, token counts are of the worker.

    `error` says what a cache held that does not belong there, or that the scheduler did not get on.
    """

    error: str | None = None
    wrong: list[str] = field(default_factory=list)
    steps: int = 0
    prompt_tokens: int = 0
    computed: int = 0
    loads: int = 0
    saves: int = 0
    preemptions: int = 0


@dataclass(frozen=True)
class _Script:
    prompt_ids: list[int]
    shared: int
    answer: list[int]


class WrongCacheError(AssertionError):
    """A position of the cache holds something else than what belongs there."""


class StandstillError(RuntimeError):
    """Requests are never answered."""


class TooSmallError(ValueError):
    """The cache cannot hold the longest request alone, for which vLLM does not start (`max_model_len`)."""


class Worker:
    """Executes planned steps, in order, on the simulated cache."""

    def __init__(self, config: Any, kv_config: KVCacheConfig, scripts: dict[str, _Script], seen: Outcome) -> None:
        self._cache = torch.zeros(kv_config.num_blocks, 1, BLOCK, 1, dtype=torch.int64)
        self._scripts, self._seen = scripts, seen
        self._tokens: dict[str, list[int]] = {}
        self._hashes: dict[str, list[int]] = {}
        self._blocks: dict[str, list[int]] = {}
        self._computed: dict[str, int] = {}
        self.connector: Any = None
        if config.kv_transfer_config is not None:
            self.connector = KVConnectorFactory.create_connector(config, KVConnectorRole.WORKER, kv_config)
            self.connector.register_kv_caches({"layer": self._cache})

    def execute(self, plan: Any) -> ModelRunnerOutput | None:
        """One step; None when nothing was scheduled.

        Raises:
            WrongCacheError: attention would have read something wrong.
        """
        self._before_step(plan)
        output = self._forward(plan) if plan.total_num_scheduled_tokens else None
        if self.connector is not None:
            if output is not None:
                self.connector.wait_for_save()
            self.connector.clear_connector_metadata()
        return output

    def _before_step(self, plan: Any) -> None:
        if self.connector is None:
            return
        copies = plan.kv_connector_metadata
        self.connector.bind_connector_metadata(copies)
        loads = sum(len(blocks) for _, blocks in copies.before)
        assert plan.has_sync_kv_loads or not loads, "vLLM would run the step before the blocks are filled"
        if plan.has_sync_kv_loads:
            self.connector.start_load_kv(None)
        self._seen.loads += loads
        self._seen.saves += len(copies.after)

    def _forward(self, plan: Any) -> ModelRunnerOutput:
        self._take_over(plan)
        ends = {name: self._computed[name] + count for name, count in plan.num_scheduled_tokens.items()}
        for name, end in ends.items():
            self._write(name, self._computed[name], end)
            self._seen.computed += end - self._computed[name]
        for name, end in ends.items():
            self._check(name, end)
        sampled = [self._sample(name, end) for name, end in ends.items()]
        self._computed |= ends
        places = {name: place for place, name in enumerate(ends)}
        return ModelRunnerOutput(req_ids=list(ends), req_id_to_index=places, sampled_token_ids=sampled)

    def _take_over(self, plan: Any) -> None:
        for new in plan.scheduled_new_reqs:
            ids = list(new.prefill_token_ids or new.prompt_token_ids)
            self._tokens[new.req_id] = max(ids, self._tokens.get(new.req_id, []), key=len)
            self._blocks[new.req_id], self._computed[new.req_id] = list(new.block_ids[0]), new.num_computed_tokens
        running = plan.scheduled_cached_reqs
        for name, added, computed in zip(
            running.req_ids, running.new_block_ids, running.num_computed_tokens, strict=True
        ):
            if name in running.resumed_req_ids:
                self._blocks[name] = list(added[0])
            elif added is not None:
                self._blocks[name] += added[0]
            self._computed[name] = computed

    def _places(self, name: str, begin: int, end: int) -> tuple[torch.Tensor, int, torch.Tensor, int]:
        positions = torch.arange(begin, end)
        return torch.tensor(self._blocks[name])[positions // BLOCK], 0, positions % BLOCK, 0

    def _hashes_of(self, name: str) -> torch.Tensor:
        hashes, tokens = self._hashes.setdefault(name, []), self._tokens[name]
        for token in tokens[len(hashes) :]:
            hashes.append(hash((hashes[-1] if hashes else 17, token)) & 0x7FFFFFFFFFFF)
        return torch.tensor(hashes)

    def _write(self, name: str, begin: int, end: int) -> None:
        assert end <= len(self._tokens[name]), f"{name}: {end} tokens are to be computed, not all of them known"
        self._cache[self._places(name, begin, end)] = self._hashes_of(name)[begin:end]

    def _check(self, name: str, end: int) -> None:
        wrong = (self._cache[self._places(name, 0, end)] != self._hashes_of(name)[:end]).nonzero().flatten().tolist()
        if wrong:
            raise WrongCacheError(f"request {name}: positions {wrong[:5]} of {end} hold something else")

    def _sample(self, name: str, end: int) -> list[int]:
        tokens, script = self._tokens[name], self._scripts[name]
        if end < len(tokens):
            return []
        place = len(tokens) - len(script.prompt_ids)
        tokens.append(script.answer[place] if place < len(script.answer) else 7)  # 7: planned before the end was known
        return tokens[-1:]


def simulate(setting: Setting) -> Outcome:
    """Ask everything, and compare answers and cache.

    Raises:
        TooSmallError: no scheduler could answer the longest request.
    """
    seen = Outcome()
    try:
        _ask(setting, seen)
    except (WrongCacheError, StandstillError) as error:
        seen.error = str(error)
    return seen


def _ask(setting: Setting, seen: Outcome) -> None:
    scripts = _scripts(setting)
    longest = max(len(script.prompt_ids) + len(script.answer) for script in scripts.values())
    room = (setting.blocks - 1) * BLOCK  # the first block is vLLM's own
    if longest + setting.asynchronous > room:
        raise TooSmallError(f"a request of {longest} tokens does not fit in a cache of {room}")
    config, kv_config = _configs(setting)
    scheduler = _scheduler(setting, config, kv_config, seen)
    worker = Worker(config, kv_config, scripts, seen)
    if setting.broken:
        setattr(worker.connector, setting.broken, lambda *arguments: None)
    waiting, planned = deque(_requests(setting, scripts)), deque[Any]()
    answers: dict[str, list[int]] = {name: [] for name in scripts}
    live = 0
    while waiting or live:
        while waiting and live < setting.in_flight:
            scheduler.add_request(waiting.popleft())
            live += 1
        plan = scheduler.schedule()
        planned.append((plan, worker.execute(plan)))
        seen.steps += 1
        if len(planned) > setting.asynchronous:
            done, output = planned.popleft()
            live -= _take_outputs(scheduler, done, output, answers)
        if seen.steps > 40 * len(scripts):
            raise StandstillError(f"{live} requests are not answered after {seen.steps} steps")
    seen.wrong = [name for name, script in scripts.items() if answers[name] != script.answer]
    seen.prompt_tokens = sum(len(script.prompt_ids) for script in scripts.values())


def _take_outputs(scheduler: Any, plan: Any, output: Any, answers: dict[str, list[int]]) -> int:
    """Hand the outcome of a step to the scheduler; returns how many requests it finished."""
    if output is None:
        return 0
    finished = 0
    for outputs in scheduler.update_from_output(plan, output).values():
        for one in outputs.outputs:
            answers[one.request_id] += one.new_token_ids
            finished += one.finish_reason is not None
    return finished


def _scripts(setting: Setting) -> dict[str, _Script]:
    source = random.Random(setting.seed)
    scripts = {}
    for passage in range(setting.passages):
        shared = [source.randrange(5, 250) for _ in range(source.choice(_SHARED_LENGTHS))]
        for question in range(setting.questions):
            asked = [source.randrange(300, 900) for _ in range(source.randint(6, 24))]
            length = 1 if source.random() < setting.empty else source.randint(2, setting.answer_tokens)
            words = [source.randrange(1000, 2000) for _ in range(length - 1)]
            answer = [*words, _END] if words else [_EMPTY]
            scripts[f"{passage}-{question}"] = _Script(shared + asked, len(shared), answer)
    return scripts


def _requests(setting: Setting, scripts: dict[str, _Script]) -> list[Request]:
    init_none_hash(sha256)
    hasher = get_request_block_hasher(BLOCK, sha256)
    return [
        Request(
            request_id=name,
            prompt_token_ids=script.prompt_ids,
            sampling_params=SamplingParams(
                temperature=0,
                max_tokens=setting.answer_tokens + 4,
                stop_token_ids=[_EMPTY, _END],
                ignore_eos=True,
                detokenize=False,
                extra_args={"kv_transfer_params": {SHARED_TOKENS: script.shared}} if setting.tails else None,
            ),
            pooling_params=None,
            block_hasher=hasher,
        )
        for name, script in scripts.items()
    ]


def _configs(setting: Setting) -> tuple[Any, KVCacheConfig]:
    tails = KVTransferConfig(
        kv_connector="PrefixTailConnector",
        kv_connector_module_path="uniner_dist.completions.engine.prefix_tails",
        kv_role="kv_both",
    )
    arguments = EngineArgs(
        model=str(demo.model_path()),
        block_size=32,  # what the CPU build takes; the scheduler gets another one below
        max_model_len=2048,
        enforce_eager=True,
        dtype="float32",
        enable_prefix_caching=True,
        max_num_batched_tokens=setting.budget,
        max_num_seqs=setting.sequences,
        kv_transfer_config=tails if setting.tails else None,
    )
    config = arguments.create_engine_config()
    config.scheduler_config.async_scheduling = setting.asynchronous
    config.cache_config.block_size, config.cache_config.num_gpu_blocks = BLOCK, setting.blocks
    spec = FullAttentionSpec(block_size=BLOCK, num_kv_heads=1, head_size=1, dtype=torch.float32)
    groups = [KVCacheGroupSpec(["layer"], spec)]
    return config, KVCacheConfig(num_blocks=setting.blocks, kv_cache_tensors=[], kv_cache_groups=groups)


def _scheduler(setting: Setting, config: Any, kv_config: KVCacheConfig, seen: Outcome) -> Any:
    base = AsyncScheduler if setting.asynchronous else Scheduler

    class Counting(base):  # type: ignore[misc,valid-type]
        """The scheduler, whose preemptions are counted."""

        def _preempt_request(self, *arguments: Any, **named: Any) -> Any:
            seen.preemptions += 1
            return super()._preempt_request(*arguments, **named)

    made = Counting(
        vllm_config=config,
        kv_cache_config=kv_config,
        structured_output_manager=StructuredOutputManager(config),
        block_size=BLOCK,
        log_stats=False,
    )
    # GPUs use the new model runner, under which an answer's last token is told a step later.
    made.use_v2_model_runner = setting.asynchronous
    return made


if __name__ == "__main__":
    for fields in json.loads(sys.argv[1]):
        print(json.dumps(asdict(simulate(Setting(**fields)))), flush=True)
    os._exit(0)  # taking vLLM's modules apart takes seconds
