"""One engine over all prompts, in a process of its own: plain vLLM, or a replica of this project.

    python -m benchmarks.on_gpu.engines FOLDER

`FOLDER/settings.json` holds a `Settings`; results go to `FOLDER/measured.json` and `FOLDER/answers.json`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.on_gpu.watch import Clock
from benchmarks.on_gpu.workload import make_texts
from uniner_dist.core.hashing import passage_id
from uniner_dist.core.template import DEFAULT_TEMPLATE, get_template

#: Seconds to wait for the other engine on the same GPU.
_PEER_S = 600.0


@dataclass(frozen=True)
class Settings:
    """What one engine is to do.

    Attributes:
        ours: a replica of this project, or plain `LLM.generate` over sorted strings.
        texts, text_chars, types: the prompts, see `make_texts`.
        share: (0, 1): all of them; (1, 2): the second half, beside another engine that takes the first.
        engine: further arguments of vLLM's engine.
    """

    model: str
    ours: bool
    gpu: bool
    texts: int
    text_chars: int
    types: int
    answer_tokens: int
    shards: int
    max_in_flight: int
    prefix_tails: bool = False
    share: tuple[int, int] = (0, 1)
    counters: bool = False
    engine: Mapping[str, Any] = field(default_factory=dict)

    def workload(self) -> tuple[list[str], list[str]]:
        """Texts of this engine's share, and entity types."""
        number, engines = self.share
        texts = make_texts(self.texts, self.text_chars)[number::engines]
        return texts, [f"type of thing {number}" for number in range(self.types)]


def run_plain(settings: Settings, folder: Path) -> dict[str, Any]:
    """`LLM.generate` over whole strings, sorted, all at once."""
    from vllm import LLM, SamplingParams

    template, (texts, types) = get_template(DEFAULT_TEMPLATE), settings.workload()
    pairs = sorted((text, kind) for text in texts for kind in types)
    engine = {"model": settings.model, "max_model_len": 2048, "seed": 0, "enable_prefix_caching": True}
    engine |= {} if settings.gpu else {"dtype": "float32", "block_size": 32, "enforce_eager": True}
    llm = LLM(**{**engine, **settings.engine})
    params = SamplingParams(temperature=0.0, max_tokens=settings.answer_tokens)
    clock = Clock()
    results = llm.generate([template.prompt(*pair) for pair in pairs], params, use_tqdm=False)
    measured = clock.stop()
    keys = (f"{passage_id(text)} {kind}" for text, kind in pairs)
    _save(folder, {key: result.outputs[0].text for key, result in zip(keys, results, strict=True)})
    counters = _counters(llm) if settings.counters else None
    llm.llm_engine.engine_core.shutdown()
    return measured | {
        "prompts": len(results),
        "prompt_tokens": sum(len(result.prompt_token_ids) for result in results),
        "cached_tokens": sum(result.num_cached_tokens or 0 for result in results),
        "completion_tokens": sum(len(result.outputs[0].token_ids) for result in results),
        "counters": counters,
    }


def run_ours(settings: Settings, folder: Path) -> dict[str, Any]:
    """A replica of this project, from prompts shards to completions files."""
    from benchmarks.replica_alone import complete_all, load_replica, read_answers, write_prompt_shards
    from uniner_dist.completions.engine import EngineSpec
    from uniner_dist.config.schema import ModelConfig

    shards = write_prompt_shards(folder, *settings.workload(), settings.shards)
    spec = EngineSpec(
        "vllm",
        ModelConfig(name=settings.model, max_tokens=settings.answer_tokens),
        2048,
        gpus=int(settings.gpu),
        prefix_tails=settings.prefix_tails,
        extra=settings.engine,
    )
    replica = load_replica(folder, spec, settings.max_in_flight)
    _wait_for_peers(folder, settings.share)
    clock = Clock()
    results = complete_all(replica, shards)
    measured = clock.stop()
    _save(folder, read_answers(folder, shards))
    totals = ("prompts", "prompt_tokens", "cached_tokens", "completion_tokens")
    engine: Any = replica.engine
    counters = _counters(engine._engine) if settings.counters else None
    engine.close()
    return measured | {name: sum(getattr(r, name) for r in results) for name in totals} | {"counters": counters}


def _wait_for_peers(folder: Path, share: tuple[int, int]) -> None:
    """Begin when every engine on this GPU is loaded; their folders are neighbours."""
    (folder / "loaded").touch()
    until = time.monotonic() + _PEER_S
    while len(list(folder.parent.glob(f"{folder.name[:-1]}?/loaded"))) < share[1]:
        if time.monotonic() > until:
            raise TimeoutError("the other engine on this GPU did not load")
        time.sleep(0.05)


def _counters(engine: Any) -> dict[str, float]:
    names = ("vllm:prefix_cache_queries", "vllm:prefix_cache_hits", "vllm:num_preemptions", "vllm:prompt_tokens")
    return {metric.name: metric.value for metric in engine.get_metrics() if metric.name in names}


def _save(folder: Path, answers: Mapping[str, str]) -> None:
    (folder / "answers.json").write_text(json.dumps(answers))


def main(folder: Path) -> None:
    """One engine, in this process."""
    fields = json.loads((folder / "settings.json").read_text())
    settings = Settings(**{**fields, "share": tuple(fields["share"])})
    measured = (run_ours if settings.ours else run_plain)(settings, folder)
    (folder / "measured.json").write_text(json.dumps(measured))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    # Taking vLLM's and torch's modules apart takes as long as loading some of them, and all is written.
    os._exit(0)
