"""Every crash point of every command: `python -m tests.support.sweep` prints a table.

A command is started in a forked process that ends by `os._exit` just before its N-th change of the storage, for every
N. Then, each from the files that this left: the same command again; another run of the same output first; an erasure,
a prune or a compaction first, and the command again. In between and at the end `World` says what does not hold.
Commands come from the command line itself, so that one which is added and not listed here is an error. Spark and Ray
are replaced as `tests.support.recorded_spark` says; local disk and an object store (`tests.support.object_store`).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.mutations import KILLED, Recorder, snapshot
from tests.support.sweep_world import MONDAY, REFUSED, TUESDAY, World, in_child, play
from uniner_dist.cli.app import app

#: Files in memory are flushed at once.
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None

Step = Callable[[World], list[str] | None]
#: Of the changes that a command makes, those to end before.
Choice = Callable[[Sequence[str]], Sequence[int]]
#: Changes by which other processes go: of journals, markers and manifests, and the exchange of a folder.
_BY_THESE_OTHERS_GO = r"publication|journal|staged|retry|renewed|export|prompts|manifests/[0-9]+|erased/[0-9a-f]+"
DECISIVE = re.compile(
    rf"^exchange |^(replace|rename|link|put|delete|unlink) .*({_BY_THESE_OTHERS_GO})\.json$|(marker|shards)\.parquet$"
)


def _corpus(texts: object) -> Step:
    return lambda world: world.write_corpus(texts)  # type: ignore[arg-type]


MON, TUE, REF = (_corpus(texts) for texts in (MONDAY, TUESDAY, REFUSED))


def _first(world: World) -> list[str]:
    return world.annotate()


def _other(world: World) -> list[str]:
    return world.annotate("annotate", "place")


def _gated(world: World) -> list[str]:
    return world.annotate("annotate", "person", "gate.sample=2")


def _compact(world: World) -> list[str]:
    return world.keep("compact", "--grace-hours", "0")


def _prune(world: World) -> list[str]:
    return world.keep("prune", "--older-than-days", "0")


def _forget(world: World) -> list[str]:
    return world.forget


def _export(world: World) -> list[str]:
    return ["export", "--annotations", world.output, "--output", world.export, "--format", "jsonl"]


def _stage(name: str) -> Step:
    return lambda world: world.stage(name)


@dataclass(frozen=True)
class Swept:
    """A command in a world.

    Args:
        act: the command.
        before: what was done to the world.
        labels: what the output holds in the end.
        erases: whether the command erases `GONE`.
    """

    act: Step
    before: tuple[Step, ...]
    labels: tuple[str, ...] = ("person",)
    erases: bool = False
    restores: bool = False


#: Name in the table, which begins with the command's → how it is swept.
SWEPT: dict[str, Swept] = {
    "annotate": Swept(_first, (MON,)),
    "annotate, grown corpus": Swept(_first, (MON, _first, TUE)),
    "annotate, other labels": Swept(_other, (MON, _first, _export), ("person", "place")),
    "annotate, gated": Swept(_gated, (MON,)),
    "plan": Swept(lambda world: world.annotate("plan"), (MON,)),
    "prompts": Swept(lambda world: world.annotate("prompts"), (MON, _first, TUE)),
    "completions": Swept(_stage("completions"), (MON, lambda world: world.annotate("prompts"))),
    "annotations": Swept(
        _stage("annotations"), (MON, _first, TUE, lambda world: world.annotate("prompts"), _stage("completions"))
    ),
    "gate": Swept(_stage("gate"), (MON, lambda world: world.annotate("prompts", "person", "gate.sample=2"))),
    "retry": Swept(_stage("retry"), (REF, _first, World.mend)),
    "compact": Swept(_compact, (MON, _first, _compact, TUE, _first)),
    "prune": Swept(_prune, (MON, _first, TUE, _first)),
    "forget": Swept(_forget, (MON, _first, _other, _export, TUE, _first), ("person", "place"), erases=True),
    "forget, restored": Swept(lambda world: [*world.forget, "--restore"], (MON, _first, _forget), restores=True),
    "forget, pruned and restored": Swept(
        lambda world: [*world.forget, "--restore"], (MON, _first, _forget, _prune), restores=True
    ),
    "export": Swept(_export, (MON, _first)),
    "report": Swept(lambda world: world.keep("report"), (MON, _first)),
}
#: Commands that change nothing which another command reads, and why.
NOT_SWEPT: dict[str, str] = {
    "demo": "annotate over the corpus of the package",
    "benchmark": "annotate and evaluate over folders of its own",
    "evaluate": "reads; may write one JSON file of the caller's",
    "diff": "reads; may write one JSON file of the caller's",
    "provenance": "reads",
    "status": "reads",
    "doctor": "reads; writes and removes one probe file in places of the caller's",
}
#: What comes between the kill and the same command again.
FOLLOW_UPS: dict[str, Step | None] = {
    "same": None,
    "other run": _other,
    "forget": _forget,
    "prune": _prune,
    "compact": _compact,
}


def missing_commands() -> set[str]:
    """Commands of the command line that are neither swept nor said to change nothing."""
    names = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    return names - {name.split(",")[0] for name in SWEPT} - NOT_SWEPT.keys()


@dataclass
class Result:
    """What came of one command on one storage."""

    points: int = 0
    killed: int = 0
    cases: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


#: Exit codes of a command that did its work or refused in words, as when another one has to be finished first.
IN_WORDS = (0, 2, 3, 6, 9)


def must(act: Callable[[], int], what: str, log: Path) -> None:
    """Do something in a process of its own, which must succeed."""
    code = in_child(act, log)
    if code:
        raise AssertionError(f"{what} ended with {code}:\n{log.read_text()[-3000:]}")


def make_template(world: World, swept: Swept, folder: Path, log: Path) -> World:
    """The world as it is before a command; it is at its place as well."""
    shutil.rmtree(world.place, ignore_errors=True)
    world.write_corpus(MONDAY)
    for step in swept.before:
        arguments = step(world)
        if arguments:
            must(lambda arguments=arguments: play(world, arguments), " ".join(arguments), log)  # type: ignore[misc]
    return world.copy_to(folder / "template")


class Sweeper:
    """Plays commands in worlds below a folder."""

    def __init__(self, folder: Path, remote: bool) -> None:
        # Every world is played at the same place, since files of runs name it.
        self._world = World(folder / "world", remote)
        self._kept, self._log = folder, folder / "log"

    def sweep(self, name: str, swept: Swept, points: Choice, follow_ups: Sequence[str], turn: int | None) -> Result:
        """One command.

        Args:
            points: of these changes, the ones to end before.
            turn: take one follow-up at each point, one after the other from this one on, instead of all.
        """
        result, world = Result(), self._world
        template = make_template(world, swept, self._kept, self._log)
        old, before, known = world.rows(), snapshot(world.place), world.answers()
        counted = self._kept / "counted"

        def count() -> int:
            recorder = Recorder(world.place, lambda number, what: None)
            code = play(world, swept.act(world) or [], recorder)
            counted.write_text(json.dumps([recorder.changes, recorder.unseen(before), recorder.unsynced]))
            return code

        must(count, f"{name}, undisturbed", self._log)
        changes, unseen, unsynced = json.loads(counted.read_text())
        result.points = len(changes)
        result.violations += [f"{name}: changed without being counted: {path}" for path in unseen]
        result.violations += [f"{name}: had its name before it was on disk: {path}" for path in unsynced]
        new = world.rows()
        for point in points(changes):
            template.copy_to(world.place)
            if self._kill(swept, point):
                result.killed += 1
                killed = world.copy_to(self._kept / "killed")
                found = [*world.unfit(old, new), *(f"lost the answer to {key}" for key in known - world.answers())]
                result.violations += [f"{name} killed at {point}: {one}" for one in found]
                chosen = follow_ups if turn is None else [follow_ups[(result.killed + turn) % len(follow_ups)]]
                for follow_up in chosen:
                    killed.copy_to(world.place)
                    found = self._go_on(swept, follow_up)
                    result.cases[follow_up] += 1
                    result.violations += [f"{name} killed at {point}, then {follow_up}: {one}" for one in found]
        return result

    def _kill(self, swept: Swept, point: int) -> bool:
        world = self._world

        def end(number: int, what: str) -> None:
            if number == point:
                os._exit(KILLED)

        code = in_child(lambda: play(world, swept.act(world) or [], Recorder(world.place, end)), self._log)
        if code not in (0, KILLED):
            raise AssertionError(f"killed at {point}: ended with {code}:\n{self._log.read_text()[-3000:]}")
        return code == KILLED

    def _go_on(self, swept: Swept, follow_up: str) -> list[str]:
        """Do what follows, and bring the output to its end; returns what does not hold then."""
        world, between = self._world, FOLLOW_UPS[follow_up]
        problems, labels = [], dict.fromkeys(swept.labels)
        if between is not None:
            problems += self._may_refuse(between(world) or [])
        problems += self._may_refuse(swept.act(world) or [])
        ends: list[list[str]] = []
        if swept.erases or swept.restores:
            ends.append(swept.act(world) or [])
        if follow_up == "forget" and not swept.restores:
            ends.append(world.forget)
        if follow_up == "other run":
            labels["place"] = None
        ends += [world.annotate("annotate", label) for label in labels]
        erased = swept.erases or (follow_up == "forget" and not swept.restores)
        return problems + bring_to_end(world, ends, tuple(labels), erased, self._log)

    def _may_refuse(self, arguments: list[str]) -> list[str]:
        """A command that may be refused in words."""
        code = in_child(lambda: play(self._world, arguments), self._log)
        return [] if code in IN_WORDS else [f"{arguments[0]} ended with {code}: {self._log.read_text()[-700:]}"]


def bring_to_end(
    world: World, commands: Sequence[list[str]], labels: tuple[str, ...], erased: bool, log: Path, may_fail: int = 0
) -> list[str]:
    """Play commands which must succeed, and say what does not hold then.

    Args:
        may_fail: exit code that all but the last of them may end with as well.
    """
    for number, arguments in enumerate(commands, 1):
        code = in_child(lambda arguments=arguments: play(world, arguments), log)  # type: ignore[misc]
        if code not in (0, may_fail if number < len(commands) else 0):
            return [f"{arguments[0]} ended with {code}: {log.read_text()[-700:]}"]
    return world.problems(labels, erased)


def warm_up(folder: Path) -> None:
    """Do everything once in this process, so that those that are forked find it imported and remembered."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        for remote in (False, True):
            world = World(folder / f"warm-{remote}", remote)
            for step in (MON, _gated, _export, _compact, _forget, _prune):
                arguments = step(world)
                code = play(world, arguments) if arguments else 0
                assert code == 0, said.getvalue()[-3000:]


def _chosen(step: int, decisive: bool) -> Choice:
    def choose(changes: Sequence[str]) -> list[int]:
        count = len(changes)
        every = set(range(step // 2 % max(count, 1), count, step))
        return sorted(every | {n for n in range(count) if decisive and DECISIVE.search(changes[n])})

    return choose


def each_on(names: Sequence[str], storages: Sequence[str]) -> Iterator[tuple[str, str, Path]]:
    """Every name with every storage and a folder of its own, once everything is warm."""
    with tempfile.TemporaryDirectory(prefix="uniner-sweep-", dir=MEMORY) as folder:
        warm_up(Path(folder))
    for storage in storages:
        for name in names:
            with tempfile.TemporaryDirectory(prefix="uniner-sweep-", dir=MEMORY) as folder:
                yield name, storage, Path(folder)


def run_sweep(
    names: Sequence[str], storages: Sequence[str], points: Choice, follow_ups: Sequence[str], turn: int | None
) -> Iterator[tuple[str, str, Result]]:
    """Sweep commands on storages; yields command, storage and result. Each begins with another turn."""
    for number, (name, storage, folder) in enumerate(each_on(names, storages)):
        sweeper, begin = Sweeper(folder, storage == "objects"), None if turn is None else turn + number
        yield name, storage, sweeper.sweep(name, SWEPT[name], points, follow_ups, begin)


def render(results: Sequence[tuple[str, str, Result]], follow_ups: Sequence[str], seconds: float) -> str:
    """The table, Markdown."""
    head = ["command", "storage", "crash points", "killed at", *(f"then {one}" for one in follow_ups), "violations"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * 2}{' ---: |' * (len(head) - 2)}"]
    totals: Counter[str] = Counter()
    for name, storage, result in results:
        row = [name, storage, result.points, result.killed, *(result.cases[one] for one in follow_ups)]
        lines.append(f"| {' | '.join(map(str, [*row, len(result.violations)]))} |")
        totals.update(
            points=result.points, killed=result.killed, cases=result.cases.total(), bad=len(result.violations)
        )
    lines.append(
        f"\n{totals['points']:,} crash points, {totals['killed']:,} kills, {totals['cases']:,} follow-ups, "
        f"{totals['bad']} violations, {seconds:,.0f} s."
    )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Command line of the sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", type=int, default=1, help="every so many crash points one")
    parser.add_argument("--decisive", action="store_true", help="and those before a change by which others go")
    parser.add_argument(
        "--rotate",
        type=int,
        nargs="?",
        const=0,
        metavar="TURN",
        help="one follow-up at each point, in turn, instead of all; turns 0 to 4 together are all",
    )
    parser.add_argument("--commands", nargs="*", default=list(SWEPT))
    parser.add_argument("--storages", nargs="*", default=["local", "objects"])
    parser.add_argument("--follow-ups", nargs="*", default=list(FOLLOW_UPS))
    parser.add_argument("--table", type=Path, help="write the table here as well")
    options = parser.parse_args()
    missing, begun, results = missing_commands(), time.monotonic(), []
    if missing:
        print(f"neither in SWEPT nor in NOT_SWEPT: {', '.join(sorted(missing))}", file=sys.stderr)
        return 1
    points = _chosen(options.step, options.decisive)
    for found in run_sweep(options.commands, options.storages, points, options.follow_ups, options.rotate):
        results.append(found)
        name, storage, result = found
        words = (
            f"{name} on {storage}: {result.points} points, {result.killed} kills, {len(result.violations)} violations"
        )
        print(words, *result.violations[:20], sep="\n  ", file=sys.stderr, flush=True)
    table = render(results, options.follow_ups, time.monotonic() - begun)
    print(table)
    if options.table:
        options.table.write_text(table)
    return int(any(result.violations or not result.points for _, _, result in results))


if __name__ == "__main__":
    sys.exit(main())
