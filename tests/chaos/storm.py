"""A storm of kills: start the main job again and again while random parts of it are killed outright, then compare.

`python -m tests.chaos.storm --kills 100 --seed 1` prints a JSON of what was killed and whether the rows are those of an
undisturbed run. The engine is the scripted one, everything around it (Spark, Ray, storage, commands) is real.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

TYPES = "person,location,event"
SETTINGS = {
    "engine.kind": "scripted",
    "engine.extra.slow_s": "0.03",
    "engine.extra.batch": "8",
    "pool.replicas": "2",
    "pool.cpus_per_replica": "0.5",
    "pool.backoff_s": "0.1",
    "pool.suspect_after": "4",
    "pool.max_kills": "6",
    "pool.max_shard_attempts": "1000",
    "prompts.min_shards": "40",
}
#: How a victim is recognised among the descendants of the command, and how likely it is chosen.
VICTIMS = {
    "replica": ("ray::Replica", 6),
    "command": ("uniner_dist", 2),
    "jvm": ("java", 2),
    "raylet": ("raylet/raylet", 1),
    "gcs": ("gcs_server", 1),
}


def make_corpus(folder: Path, documents: int) -> None:
    """Short documents in three partitions, some of them twice, one long enough to be split."""
    rng = random.Random(5)
    names = ["Paula", "Lima", "Erik", "Oslo", "Nadia", "Turin", "Vera", "Expo", "Nora", "Tallinn"]
    for domain in ("a", "b", "c"):
        texts = [" met ".join(rng.choices(names, k=rng.randint(1, 6))) + "." for _ in range(documents // 3)]
        texts[3] = "Paula went from Lima to Oslo. " * 700
        texts[5] = texts[4]
        path = folder / f"domain={domain}" / "part-0.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"doc_id": [f"{domain}{i}" for i in range(len(texts))], "text": texts}), path)


def command(corpus: Path, output: Path, slow: bool) -> list[str]:
    """The main command, from the installed package."""
    settings = SETTINGS if slow else {key: value for key, value in SETTINGS.items() if "slow" not in key}
    pairs = [f"{key}={value}" for key, value in settings.items()]
    places = ["--corpus", str(corpus), "--output", str(output), "--types", TYPES]
    code = "import sys; from uniner_dist.cli import main; sys.exit(main())"
    return [sys.executable, "-c", code, "annotate", *places, *(part for pair in pairs for part in ("--set", pair))]


def read_rows(output: Path) -> list[dict[str, Any]]:
    """Published rows in an order of their own, without the run's name."""
    table = pads.dataset(output, format="parquet", partitioning="hive").to_table().drop_columns(["run_id"])
    return sorted(table.to_pylist(), key=lambda row: (row["doc_id"], row["entity_type"]))


def family(process: subprocess.Popen[bytes]) -> dict[str, list[int]]:
    """Living processes of the command by kind of victim."""
    try:
        root = psutil.Process(process.pid)
        everybody = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return {}
    found: dict[str, list[int]] = {}
    for member in everybody:
        try:
            words = " ".join(member.cmdline()[:3])
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        for kind, (sign, _) in VICTIMS.items():
            if sign in words and (kind != "command" or member.pid == root.pid):
                found.setdefault(kind, []).append(member.pid)
    return found


def storm(kills: int, seed: int, documents: int, folder: Path) -> dict[str, Any]:
    """Kill `kills` times, restarting the command whenever it ends, then let it finish and compare."""
    rng = random.Random(seed)
    corpus, calm, output = folder / "corpus", folder / "calm", folder / "stormy"
    make_corpus(corpus, documents)
    subprocess.run(command(corpus, calm, slow=False), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    killed: Counter[str] = Counter()
    codes: Counter[int] = Counter()
    log = (folder / "log.txt").open("ab")
    while True:
        process = subprocess.Popen(command(corpus, output, slow=True), stdout=log, stderr=log)
        while process.poll() is None:
            if sum(killed.values()) >= kills:
                process.wait(timeout=600)
                break
            time.sleep(rng.uniform(0.3, 5.0))
            living = family(process)
            if living:
                kind = rng.choices(list(living), [VICTIMS[kind][1] for kind in living])[0]
                try:
                    os.kill(rng.choice(living[kind]), signal.SIGKILL)
                    killed[kind] += 1
                except ProcessLookupError:
                    continue
        codes[process.returncode] += 1
        if process.returncode == 0:
            break
        if process.returncode not in (-9, 3, 6, 1, 255, -6, -15):
            raise AssertionError(f"unexpected exit code {process.returncode}; see {folder}/log.txt")
    same = read_rows(output) == read_rows(calm)
    [report] = (folder / "stormy.work/runs").glob("*/report.json")
    done = json.loads(report.read_text())["completions"]
    return {
        "kills": sum(killed.values()),
        "by_kind": dict(killed),
        "exit_codes": {str(code): count for code, count in codes.items()},
        "rows": len(read_rows(output)),
        "rows_equal_to_undisturbed_run": same,
        "starts_that_completed_prompts": done["starts"],
        "prompts_answered": done["prompts"],
        "prompts_needed": json.loads(report.read_text())["prompts"]["prompts"],
    }


def main() -> int:
    """Command line of the storm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, default=600)
    parser.add_argument("--folder", type=Path, help="kept afterwards; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        result = storm(options.kills, options.seed, options.documents, options.folder or Path(temporary))
    print(json.dumps(result, indent=2))
    return 0 if result["rows_equal_to_undisturbed_run"] else 1


if __name__ == "__main__":
    sys.exit(main())
