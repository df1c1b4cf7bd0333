"""A storm of kills: start the main job again and again while random parts of it are killed outright, then compare.

`python -m tests.support.storm --kills 100 --seed 1` prints a JSON of what was killed, how the commands ended, and
whether the rows are those of an undisturbed run. The engine is the scripted one, everything around it (Spark, Ray,
storage, commands) is real. Kills come in rounds, each with an output of its own: a round ends with one start that
nobody disturbs. When to kill is drawn as a moment of the job, not as a time, so that slow machines are hit everywhere
too.
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
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

TYPES = "person,location,event"
#: What the second run on an output asks, where a round has two.
OTHER_TYPES = "organisation,award"
SETTINGS = {
    "engine.kind": "scripted",
    "engine.extra.slow_s": "0.01",
    "engine.extra.batch": "8",
    "pool.replicas": "2",
    "pool.cpus_per_replica": "0.5",
    "pool.backoff_s": "0.1",
    "pool.suspect_after": "4",
    "pool.max_kills": "6",
    "pool.max_shard_attempts": "1000",
    "pool.max_start_failures": "10",
    "prompts.min_shards": "40",
}
#: How a victim is recognised by its command line, and how likely it is chosen.
VICTIMS = {
    "replica": ("ray::Replica", 9),
    "command": ("uniner_dist.cli.app", 3),
    "jvm": ("org.apache.spark", 2),
    "python worker of Spark": ("pyspark.daemon", 2),
    "raylet": ("raylet/raylet", 1),
    "gcs": ("gcs_server", 1),
}
#: A start that shows nothing new on storage for this long hangs.
HANG_S = 1200.0
#: Seconds that processes of an ended command may take to leave.
ORPHAN_S = 300.0


@dataclass
class Storm:
    """What happened."""

    killed: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    rounds: int = 0
    rounds_of_two: int = 0
    equal_rounds: int = 0
    starts: int = 0
    hangs: int = 0
    orphans: list[str] = field(default_factory=list)
    longest_output: int = 0  # lines that one start printed
    answered: int = 0
    needed: int = 0

    @property
    def well(self) -> bool:
        """Whether nothing was lost, nothing hung, nothing stayed behind, and every end was a documented one."""
        documented = set(self.codes) <= {0, 3, -signal.SIGKILL}
        return self.rounds == self.equal_rounds and not self.hangs and not self.orphans and documented

    def to_json(self) -> dict[str, Any]:
        """The result as committed in `benchmarks/`."""
        return {
            "well": self.well,
            "kills": sum(self.killed.values()),
            "kills_by_kind": dict(self.killed.most_common()),
            "rounds": self.rounds,
            "rounds_with_two_runs_on_one_output": self.rounds_of_two,
            "rounds_with_rows_equal_to_an_undisturbed_run": self.equal_rounds,
            "starts": self.starts,
            "exit_codes": {str(code): count for code, count in sorted(self.codes.items())},
            "hangs": self.hangs,
            "orphans": self.orphans,
            "longest_output_of_a_start_in_lines": self.longest_output,
            "prompts_answered": self.answered,
            "prompts_needed": self.needed,
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


def command(corpus: Path, output: Path, types: str = TYPES, work: Path | None = None) -> list[str]:
    """The main command, from the installed package."""
    places = ["--corpus", str(corpus), "--output", str(output), "--types", types]
    places += ["--workdir", str(work)] if work is not None else []
    code = "import sys; from uniner_dist.cli.app import main; sys.exit(main())"
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    return [sys.executable, "-c", code, "annotate", *places, *settings]


def read_rows(output: Path) -> list[dict[str, Any]]:
    """Published rows in an order of their own, without the run's name."""
    table = pads.dataset(output, format="parquet", partitioning="hive").to_table().drop_columns(["run_id"])
    return in_order(table.to_pylist())


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By document and entity type."""
    return sorted(rows, key=lambda row: (row["doc_id"], row["entity_type"]))


class Start:
    """One start of the command, and every process that came from it, also after its parents died."""

    def __init__(self, arguments: list[str], work: Path, log: Path) -> None:
        self._mark, self._work, self._log = uuid.uuid4().hex, work, log
        env = {**os.environ, "UNINER_DIST_STORM": self._mark, "PYTHONUNBUFFERED": "1"}
        self._began_s = time.time()
        with log.open("wb") as stream:
            self.process = subprocess.Popen(arguments, stdout=stream, stderr=stream, env=env, start_new_session=True)

    def family(self) -> list[psutil.Process]:
        """Living processes of this start."""
        found = []
        for process in psutil.process_iter():
            try:
                young = process.create_time() > self._began_s - 5
                if young and process.environ().get("UNINER_DIST_STORM") == self._mark and process.is_running():
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return [process for process in found if _line(process)]

    def victims(self) -> dict[str, list[int]]:
        """Living processes by kind of victim."""
        found: dict[str, list[int]] = {}
        for process in self.family():
            line = _line(process)
            for kind, (sign, _) in VICTIMS.items():
                if sign in line and (kind != "command" or process.pid == self.process.pid):
                    found.setdefault(kind, []).append(process.pid)
        return found

    @property
    def running(self) -> bool:
        """Whether the command itself lives."""
        return self.process.poll() is None

    @property
    def output_lines(self) -> int:
        """Lines that it printed so far."""
        return self._log.read_bytes().count(b"\n")

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self._log.read_text(errors="replace")

    def files(self, pattern: str) -> int:
        """Files of the run that are there."""
        try:
            return len(list(self._work.glob(f"runs/*/{pattern}")))
        except FileNotFoundError:  # a folder went while we looked into it
            return 0

    def folders(self) -> list[Path]:
        """The folders of its workdir's runs."""
        return [path.parent for path in self._work.glob("runs/*/config.json")]

    def leave_behind(self) -> list[str]:
        """Wait for what should leave with the command; what stays is killed and returned."""
        deadline = time.monotonic() + ORPHAN_S
        while True:
            stayed = self.family()
            if not stayed or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        lines = [_line(process)[:120] for process in stayed]
        for process in self.family():
            _kill(process.pid)
        return lines


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def wait_for_moment(start: Start, rng: random.Random) -> bool:
    """Wait until a moment drawn at random has come; False when the command ended before."""
    committed = start.files("completions/*.parquet")
    shards = rng.randint(1, 12)
    moments: dict[str, tuple[Callable[[], bool], float]] = {
        "starting": (lambda: True, 12.0),
        "answering": (lambda: start.files("completions/*.parquet") >= committed + shards, 0.5),
        "about to publish": (lambda: start.files("answers/*") + start.files("annotations/*") > 0, 4.0),
    }
    has_come, longest = moments[rng.choices(list(moments), [3, 6, 2])[0]]
    for _ in _ticks(start):
        if has_come() or start.files("report.json"):
            break
    time.sleep(rng.uniform(0, longest))
    return start.running


def _ticks(start: Start) -> Iterator[None]:
    """Look again and again while the command runs.

    Raises:
        TimeoutError: nothing new stands on storage for too long.
    """
    seen, since = -1, time.monotonic()
    while start.running:
        now = start.files("**/*.parquet") + start.files("**/*.json")
        if now != seen:
            seen, since = now, time.monotonic()
        if time.monotonic() - since > HANG_S:
            raise TimeoutError
        yield
        time.sleep(0.1)


def disturb(start: Start, kills: int, rng: random.Random, storm: Storm, to_its_end: bool = True) -> int:
    """Kill parts of one start until it ends or all kills are done, then let it go on; returns the kills done.

    Args:
        to_its_end: wait for it.
    """
    done = 0
    while done < kills and wait_for_moment(start, rng):
        living = start.victims()
        if living:
            kind = rng.choices(list(living), [VICTIMS[kind][1] for kind in living])[0]
            if _kill(rng.choice(living[kind])):
                storm.killed[kind] += 1
                done += 1
    for _ in _ticks(start) if to_its_end else ():
        pass
    return done


def play_round(corpus: Path, output: Path, kills: int, rng: random.Random, storm: Storm) -> None:
    """Start, kill, and start again until the annotations are published."""
    while True:
        start = Start(command(corpus, output), Path(f"{output}.work"), output.with_suffix(f".{storm.starts}.log"))
        storm.starts += 1
        try:
            kills -= disturb(start, kills, rng, storm)
        except TimeoutError:
            storm.hangs += 1
            _kill(start.process.pid)
        if _end(start, output, storm):
            return


def _end(start: Start, output: Path, storm: Storm) -> bool:
    """Wait for the end of a start, and note it; returns whether its work is done."""
    code = start.process.wait()
    storm.codes[code] += 1
    storm.orphans += start.leave_behind()
    storm.longest_output = max(storm.longest_output, start.output_lines)
    if code not in (0, 3, -signal.SIGKILL) or storm.hangs > 3:
        raise AssertionError(f"exit code {code}, {storm.hangs} hangs; see the logs in {output.parent}")
    return code == 0


def play_round_of_two(corpus: Path, output: Path, kills: int, rng: random.Random, storm: Storm) -> None:
    """Two runs on one output, at the same time and each with a workdir of its own, until both are published."""
    commands = {
        Path(f"{output}.work"): command(corpus, output),
        Path(f"{output}.work-2"): command(corpus, output, OTHER_TYPES, Path(f"{output}.work-2")),
    }
    while commands:
        starts = {
            work: Start(arguments, work, output.with_suffix(f".{storm.starts + number}.log"))
            for number, (work, arguments) in enumerate(commands.items())
        }
        storm.starts += len(starts)
        while kills > 0 and (running := [start for start in starts.values() if start.running]):
            try:
                kills -= disturb(rng.choice(running), 1, rng, storm, to_its_end=False)
            except TimeoutError:
                storm.hangs += 1
                break
        for work, start in starts.items():
            try:
                for _ in _ticks(start):
                    pass
            except TimeoutError:
                storm.hangs += 1
                _kill(start.process.pid)
            if _end(start, output, storm):
                del commands[work]
    storm.rounds_of_two += 1


def run_storm(
    kills: int,
    rng: random.Random,
    corpus: Path,
    rows: list[dict[str, Any]],
    folder: Path,
    per_round: tuple[int, int] = (3, 12),
    say: Callable[[str], None] = print,
    other_rows: list[dict[str, Any]] | None = None,
) -> Storm:
    """Kill `kills` times in all, in rounds of a few kills, and compare the rows of each round with undisturbed ones.

    Args:
        other_rows: what the second run publishes, undisturbed; with it, every third round is of two runs.
    """
    storm = Storm()
    while sum(storm.killed.values()) < kills:
        output = folder / f"round-{storm.rounds}"
        wanted = min(rng.randint(*per_round), kills - sum(storm.killed.values()))
        due = rows
        if other_rows is not None and storm.rounds % 3 == 2:
            play_round_of_two(corpus, output, wanted, rng, storm)
            due = in_order([*rows, *other_rows])
        else:
            play_round(corpus, output, wanted, rng, storm)
        storm.rounds += 1
        storm.equal_rounds += read_rows(output) == due
        [path] = Path(f"{output}.work/runs").glob("*/report.json")
        report = json.loads(path.read_text())
        storm.answered += report["completions"]["prompts"]
        storm.needed += report["prompts"]["prompts"]
        say(f"round {storm.rounds}: {json.dumps(storm.to_json())}")
    return storm


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Command line of the storm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, default=600)
    parser.add_argument("--folder", type=Path, help="kept afterwards; default: a temporary one")
    parser.add_argument("--json", type=Path, help="write the result here as well")
    options = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder, rng = options.folder or Path(temporary), random.Random(options.seed)
        make_corpus(folder / "corpus", options.documents)
        play_round(folder / "corpus", folder / "calm", 0, rng, Storm())
        rows, other = read_rows(folder / "calm"), folder / "calm-2"
        subprocess.run(command(folder / "corpus", other, OTHER_TYPES), check=True, capture_output=True)
        storm = run_storm(options.kills, rng, folder / "corpus", rows, folder, say=_say, other_rows=read_rows(other))
    result = {**storm.to_json(), "seed": options.seed, "seconds": round(time.monotonic() - begun)}
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if storm.well else 1


if __name__ == "__main__":
    sys.exit(main())
