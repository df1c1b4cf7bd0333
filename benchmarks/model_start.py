"""What checking and naming a model costs when a command starts.

    .venv/bin/python -m benchmarks.model_start [--runs 7]

Writes checkpoints of 2023 with the real Llama tokenizer (npm, once) and tiny weights, starts a process for each
measurement, and prints a table: seconds of the processor and of the clock for the first start and for the later ones,
whose least is taken (a busy machine adds to a time, nothing takes away). Importing the configuration is not counted,
importing whatever the check needs is. No Spark, Ray or vLLM.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.llama_checkpoint import settings, tiny_weights, write_tokenizer, write_weights

ROOT = Path(__file__).resolve().parents[1]
COMMIT = "0123456789" * 4
_START = """
import json, sys, time
from uniner_dist.config.schema import ModelConfig
name, questions = sys.argv[1], [f"kind of thing {number}" for number in range(13)]
texts = [f"{number}: Marie Curie was born in Warsaw, and Pierre in Paris. " * 30 for number in range(64)]
config = ModelConfig(name=name)
clock, processor = time.perf_counter(), time.process_time()
from uniner_dist import model
from uniner_dist.model.check import check_model
pinned = model.pinned(config)
check_model(pinned, questions, texts)
model.identify(pinned)
model.context_length(pinned)
print(json.dumps([time.process_time() - processor, time.perf_counter() - clock]))
"""


def write_models(root: Path) -> dict[str, str]:
    """The forms, and how each is named."""
    forms: dict[str, dict[str, Any]] = {
        "tokenizer.model only": {"own": settings()},
        "tokenizer.json only": {"own": settings(), "fast": True, "model": False},
        "both files": {"own": settings(), "fast": True},
    }
    names = {}
    for number, (form, files) in enumerate(forms.items()):
        folder = write_tokenizer(root / str(number), **files)
        write_weights(folder, tiny_weights(), "bin")
        names[form] = str(folder)
    repository = root / "hub" / "models--org--model"
    (repository / "snapshots").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "snapshots" / COMMIT).symlink_to(root / "2")
    return {**names, "a hub name, in the cache": "org/model"}


def start(name: str, root: Path) -> tuple[float, float]:
    """Seconds of the processor and of the clock in a new process."""
    environment = {
        "UNINER_DIST_CACHE": str(root / "cache"),
        "HF_HUB_CACHE": str(root / "hub"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", _START, name]
    done = subprocess.run(command, env=os.environ | environment, cwd=root, capture_output=True, text=True, check=True)
    processor, clock = json.loads(done.stdout.splitlines()[-1])
    return processor, clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="later starts of each form")
    runs = parser.parse_args().runs
    print("| the model has | first start, processor s | later, processor s | later, clock s |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for form, name in write_models(root).items():
            first, _ = start(name, root)
            later = [start(name, root) for _ in range(runs)]
            print(f"| {form} | {first:.2f} | {min(one[0] for one in later):.2f} | {min(one[1] for one in later):.2f} |")


if __name__ == "__main__":
    main()
