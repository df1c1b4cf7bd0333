"""All that is to be measured on one GPU, in some 12 minutes, without Spark, Ray or network.

    python -m benchmarks.gpu --output gpu.json                # 7 B Llama with random weights, on a GPU
    python -m benchmarks.gpu --output gpu.json --only copies  # Part A: needs torch only
    python -m benchmarks.gpu --model DIR --answer-tokens 256  # a checkpoint
    python -m benchmarks.gpu --size tiny --prompts 200        # works anywhere

Part A (`copies`) compares how prefix tails are copied. Part B runs every variant of `VARIANTS` in a process of its own
on the same prompts, against `plain`: vLLM alone, on sorted strings. Each part has a time limit (`--limit`), and one
that fails is noted with its error while the others go on. With `--output` what is done is kept, and the same command
goes on with the rest. Prompts have the shape of CrossNER: texts of some 200 characters (`--text-chars`), each asked for
`--types` types. Random weights answer nonsense, so every answer is cut at `--answer-tokens`, about what a real one
takes. `--counters` reads vLLM's prefix-cache counters too, which costs it some CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.on_gpu.engines import Settings
from benchmarks.on_gpu.watch import GpuWatch
from benchmarks.on_gpu.workload import SIZES, count_parameters, make_model
from benchmarks.throughput.compare import differing
from uniner_dist import demo

#: Dense bfloat16 of an H100 SXM or an H200, floating-point operations per second.
PEAK_FLOPS = 989e12


@dataclass(frozen=True)
class Variant:
    """One way to answer all prompts; `engine` are further arguments of vLLM's engine."""

    ours: bool = True
    prefix_tails: bool = False
    engines: int = 1
    engine: Mapping[str, Any] = field(default_factory=dict)


#: In the order of what matters most, should time run out.
VARIANTS: Mapping[str, Variant] = {
    "plain": Variant(ours=False),
    "ours": Variant(),
    "ours-prefix-tails": Variant(prefix_tails=True),
    "ours-synchronous": Variant(engine={"async_scheduling": False}),
    "ours-prefix-tails-synchronous": Variant(prefix_tails=True, engine={"async_scheduling": False}),
    "ours-two-engines": Variant(engines=2, engine={"gpu_memory_utilization": 0.45}),
    "ours-fp8": Variant(engine={"quantization": "fp8"}),
    "plain-fp8": Variant(ours=False, engine={"quantization": "fp8"}),
}


def figures(found: Mapping[str, Any], parameters: int, idle: float | None) -> dict[str, Any]:
    """What is told about a variant: computed tokens are those of prompts that no cache had, and generated ones."""
    seconds = found["end"] - found["begin"]
    computed = found["prompt_tokens"] - found["cached_tokens"] + found["completion_tokens"]
    return {
        "prompts": found["prompts"],
        "seconds": seconds,
        "prompts_per_s": found["prompts"] / seconds,
        "prefix_hit_rate": found["cached_tokens"] / found["prompt_tokens"],
        "computed_tokens": computed,
        "computed_tokens_per_s": computed / seconds,
        "share_of_peak": 2 * parameters * computed / seconds / PEAK_FLOPS,
        "gpu_idle_share": idle,
        "front_end_cpu_ms_per_prompt": 1000 * found["front_end_cpu_s"] / found["prompts"],
        "engine_cpu_ms_per_prompt": 1000 * found["engine_cpu_s"] / found["prompts"],
        "counters": found["counters"],
    }


def together(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts of engines that worked side by side, from the first one's begin to the last one's end."""
    summed = ("prompts", "prompt_tokens", "cached_tokens", "completion_tokens", "front_end_cpu_s", "engine_cpu_s")
    times = {"begin": min(one["begin"] for one in found), "end": max(one["end"] for one in found)}
    counters = found[0]["counters"] if len(found) == 1 else None
    return {name: sum(one[name] for one in found) for name in summed} | times | {"counters": counters}


def environment(gpu: bool, in_process: bool) -> dict[str, str]:
    """For all variants the same; on CPU one thread, as a replica gets it."""
    values = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    values |= {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_HOST_IP": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    values["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0" if in_process or not gpu else "1"
    if not gpu:
        values |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        values |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1"}
    return {**os.environ, **values}


class PartFailedError(Exception):
    """A part did not end well; the message is the end of its own."""


def run_processes(commands: Sequence[Sequence[str]], env: Mapping[str, str], limit_s: float, log: Path) -> None:
    """Run commands side by side.

    Raises:
        PartFailedError: one of them failed, or they took too long.
    """
    until = time.monotonic() + limit_s
    with log.open("w") as stream:
        running = [subprocess.Popen(command, env=env, stdout=stream, stderr=stream) for command in commands]
        try:
            codes = [process.wait(max(until - time.monotonic(), 0.1)) for process in running]
        except subprocess.TimeoutExpired as error:
            raise PartFailedError(f"took longer than {limit_s:.0f} s") from error
        finally:
            for process in running:
                process.kill()
                process.wait()
    if any(codes):
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise PartFailedError(" | ".join(lines[-3:])[-600:])


class Measuring:
    """Runs parts, and keeps what is done.

    Args:
        folder: results of single parts, as JSON; those that are there are not run again.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._until = time.monotonic() + 60 * options.minutes
        self._env = environment(options.gpu, options.in_process)
        folder.mkdir(parents=True, exist_ok=True)
        _keep_options(options, folder / "options.json")
        self._model = Path(options.model) if options.model else folder / "model"
        if not self._model.exists():
            make_model(self._model, options.size, Path(options.tokenizer))

    def part(self, name: str) -> dict[str, Any]:
        """Figures of a part, measured now or before; `error` says why there are none."""
        place = self._folder / f"{name}.json"
        if place.exists():
            return dict(json.loads(place.read_text()))
        limit_s = min(self._options.limit, self._until - time.monotonic())
        if limit_s < 1:
            return {"part": name, "error": f"no time left of {self._options.minutes:g} minutes"}
        try:
            found = self._copies(limit_s) if name == "copies" else self._variant(name, limit_s)
        except PartFailedError as error:
            return {"part": name, "error": str(error)}
        found = {"part": name, **found}
        place.write_text(json.dumps(found))
        return found

    def _copies(self, limit_s: float) -> dict[str, Any]:
        shape: dict[str, Any] = {"device": "cuda"} if self._options.gpu else {"device": "cpu"}
        if self._options.size == "tiny":
            shape |= {"layers": 3, "blocks": 128, "heads": 2, "content": 8, "slots": 8, "passages": 4, "repeats": 3}
        log = self._folder / "copies.log"
        run_processes([[sys.executable, "-m", "benchmarks.on_gpu.copies", json.dumps(shape)]], self._env, limit_s, log)
        return dict(json.loads(log.read_text().splitlines()[-1]))

    def _variant(self, name: str, limit_s: float) -> dict[str, Any]:
        variant = VARIANTS[name]
        folders = [self._folder / f"{name}-{number}" for number in range(variant.engines)]
        for number, folder in enumerate(folders):
            shutil.rmtree(folder, ignore_errors=True)  # of a start that was cut off
            folder.mkdir()
            settings = replace(self._settings(variant), share=(number, variant.engines))
            (folder / "settings.json").write_text(json.dumps(asdict(settings)))
        watch = GpuWatch(self._options.gpu, folders[0] / "gpu.csv")
        commands = [[sys.executable, "-m", "benchmarks.on_gpu.engines", str(folder)] for folder in folders]
        try:
            run_processes(commands, self._env, limit_s, self._folder / f"{name}.log")
            measured = together([json.loads((folder / "measured.json").read_text()) for folder in folders])
        finally:
            watch.stop()
        idle = watch.idle_share(measured["begin"], measured["end"])
        parameters = count_parameters(json.loads((self._model / "config.json").read_text()))
        return figures(measured, parameters, idle)

    def _settings(self, variant: Variant) -> Settings:
        options = self._options
        engine: dict[str, Any] = {} if options.model else {"load_format": "dummy"}
        engine |= {"disable_log_stats": False} if options.counters else {}
        return Settings(
            model=str(self._model),
            ours=variant.ours,
            gpu=options.gpu,
            texts=-(-options.prompts // options.types),
            text_chars=options.text_chars,
            types=options.types,
            answer_tokens=options.answer_tokens,
            shards=options.shards,
            max_in_flight=options.max_in_flight,
            prefix_tails=variant.prefix_tails,
            counters=options.counters,
            engine={**engine, **variant.engine, **json.loads(options.engine)},
        )

    def differing(self, name: str) -> int | None:
        """How many answers of a variant are not those of `plain`."""
        wanted, got = self._answers("plain"), self._answers(name)
        return len(differing(wanted, got)) if wanted and got else None

    def _answers(self, name: str) -> dict[str, str]:
        answers: dict[str, str] = {}
        for path in sorted(self._folder.glob(f"{name}-[0-9]/answers.json")):
            answers |= json.loads(path.read_text())
        return answers


def _keep_options(options: argparse.Namespace, path: Path) -> None:
    """What is kept in a folder must have been measured with the same options."""
    free = ("only", "limit", "minutes", "output")
    values = {name: value for name, value in vars(options).items() if name not in free}
    if path.exists() and json.loads(path.read_text()) != values:
        raise SystemExit(f"{path.parent} holds figures of other options; remove it, or name another --output")
    path.write_text(json.dumps(values))


def compare(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All parts that were asked for, one after the other."""
    measuring, parts = Measuring(options, folder), []
    for name in options.only:
        found = measuring.part(name)
        if name in VARIANTS and "error" not in found:
            found["differing"] = measuring.differing(name)
        parts.append(found)
        print(json.dumps(found), file=sys.stderr, flush=True)
    rates = {part["part"]: part["prompts_per_s"] for part in parts if "prompts_per_s" in part}
    times = {name: rate / rates["plain"] for name, rate in rates.items()} if "plain" in rates else {}
    return {"device": _device(options.gpu), "parts": parts, "times_plain": times}


def _device(gpu: bool) -> str:
    if not gpu:
        return "CPU"
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Options."""
    parts = ["copies", *VARIANTS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a checkpoint's folder; default: random weights of --size")
    parser.add_argument("--size", choices=SIZES, default="7b")
    parser.add_argument("--tokenizer", default=str(demo.model_path()), help="folder with tokenizer.json, for --size")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts, metavar="PART", help=", ".join(parts))
    parser.add_argument("--prompts", type=int, default=20_000)
    parser.add_argument("--types", type=int, default=13)
    parser.add_argument("--text-chars", type=int, default=200)
    parser.add_argument("--answer-tokens", type=int, default=4)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--max-in-flight", type=int, default=4096, help="of ours, as in conf/cluster.yaml")
    parser.add_argument("--engine", default="{}", help="JSON of further arguments of vLLM's engine, for all variants")
    parser.add_argument("--in-process", action="store_true", help="on a GPU: the engine in the front end's process")
    parser.add_argument("--counters", action="store_true")
    parser.add_argument("--limit", type=float, default=150, help="seconds a part may take")
    parser.add_argument("--minutes", type=float, default=12, help="for all parts together")
    parser.add_argument("--output", type=Path, help="JSON file; what is done is kept in a folder beside it")
    options = parser.parse_args(arguments)
    options.gpu = shutil.which("nvidia-smi") is not None and Path("/dev/nvidia0").exists()
    return options


def main(arguments: Sequence[str]) -> None:
    """Command line."""
    options = parse(arguments)
    if options.output:
        report = compare(options, options.output.with_suffix(".parts"))
        options.output.write_text(json.dumps(report, indent=1) + "\n")
    else:
        with tempfile.TemporaryDirectory() as name:
            report = compare(options, Path(name))
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
