"""Two commands that meet at every change of the storage: `python -m tests.support.pairs`.

Each runs in a forked process that stops before each of its changes until it is told to go on; one that waits for a
lease says so. A schedule says who goes on: for short commands all schedules with one switch each way, that is one
command stopped before each of its changes while the other one comes to its end; for long ones schedules drawn at
random, from a seed. Afterwards both are started again, one after the other, and what `World` asks for must hold.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.mutations import Recorder
from tests.support.sweep import IN_WORDS, SWEPT, Step, bring_to_end, each_on, make_template
from tests.support.sweep_world import World, in_child, play
from uniner_dist.storage import lease as leases

#: Is given which of the two (0 or 1) can go on, and how often each has; returns who does.
Schedule = Callable[[list[int], list[int]], int]

#: Pairs by name → the world of `SWEPT`, the two commands, labels in the end, and whether `GONE` is erased.
_FIRST, _OTHER, _FORGET = SWEPT["annotate"].act, SWEPT["annotate, other labels"].act, SWEPT["forget"].act
_PRUNE, _COMPACT, _EXPORT = SWEPT["prune"].act, SWEPT["compact"].act, SWEPT["export"].act
_RESTORE = SWEPT["forget, restored"].act


@dataclass(frozen=True)
class Pair:
    """Two commands in a world.

    Args:
        world: name in `SWEPT` of the world as it is before.
    """

    world: str
    one: Step
    other: Step
    labels: tuple[str, ...] = ("person",)
    erases: bool = False


PAIRS: dict[str, Pair] = {
    "annotate | annotate": Pair("annotate", _FIRST, _FIRST),
    "annotate | annotate, other labels": Pair("annotate, grown corpus", _FIRST, _OTHER, ("person", "place")),
    "annotate | forget": Pair("annotate, grown corpus", _FIRST, _FORGET, erases=True),
    "annotate | compact": Pair("annotate, grown corpus", _FIRST, _COMPACT),
    "annotate | prune": Pair("annotate, grown corpus", _FIRST, _PRUNE),
    "forget | forget": Pair("export", _FORGET, _FORGET, erases=True),
    "forget | compact": Pair("compact", _FORGET, _COMPACT, erases=True),
    "forget | prune": Pair("prune", _FORGET, _PRUNE, erases=True),
    "forget | export": Pair("export", _FORGET, _EXPORT, erases=True),
    "compact | compact": Pair("compact", _COMPACT, _COMPACT),
    "compact | prune": Pair("compact", _COMPACT, _PRUNE),
    "prune | prune": Pair("prune", _PRUNE, _PRUNE),
    "restore | restore": Pair("forget, restored", _RESTORE, _RESTORE),
    "retry | annotate, other labels": Pair("retry", SWEPT["retry"].act, _OTHER, ("person", "place")),
}


class _Actor:
    """A command in a process that stops before each of its changes."""

    def __init__(self, world: World, arguments: list[str], log: Path) -> None:
        self.going_on, self.steps, self.waits, self.code = True, 0, False, 0
        up, self._up = os.pipe()
        self._down, down = os.pipe()
        self._events, self._orders = up, down
        self._pid = os.fork()
        if not self._pid:
            os.close(up)
            os.close(down)
            os._exit(in_child(lambda: self._play(world, arguments), log))
        os.close(self._up)
        os.close(self._down)
        self._listen()

    def _play(self, world: World, arguments: list[str]) -> int:
        vars(leases)["time"] = _Time(lambda: self._stop(b"w"))
        return play(world, arguments, Recorder(world.place, lambda number, what: self._stop(b"c")))

    def _stop(self, why: bytes) -> None:
        os.write(self._up, why)
        if not os.read(self._down, 1):
            os._exit(0)

    def go_on(self) -> None:
        """Make the next change, up to the one behind it."""
        self.steps += 1
        os.write(self._orders, b"g")
        self._listen()

    def _listen(self) -> None:
        event = os.read(self._events, 1)
        self.waits = event == b"w"
        if not event:
            self.going_on = False
            self.code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
            os.close(self._events)
            os.close(self._orders)


class _Time:
    """What leases know as `time`: to sleep is to let the other one go on."""

    CLOCK_BOOTTIME, CLOCK_MONOTONIC = time.CLOCK_BOOTTIME, time.CLOCK_MONOTONIC
    clock_gettime, monotonic, strftime, gmtime = time.clock_gettime, time.monotonic, time.strftime, time.gmtime
    time = time.time

    def __init__(self, sleep: Callable[[], None]) -> None:
        self._sleep = sleep

    def sleep(self, seconds: float) -> None:
        """Let the other one go on."""
        self._sleep()


def play_pair(world: World, one: list[str], other: list[str], schedule: Schedule, folder: Path) -> list[int]:
    """Let two commands meet; returns their exit codes."""
    actors = [_Actor(world, one, folder / "log-0"), _Actor(world, other, folder / "log-1")]
    while any(actor.going_on for actor in actors):
        able = [number for number, actor in enumerate(actors) if actor.going_on]
        ready = [number for number in able if not actors[number].waits]
        chosen = schedule(ready or able, [actor.steps for actor in actors])
        actors[chosen].go_on()
        if actors[chosen].waits and len(able) == 2:  # what it waits for is the other one
            actors[1 - chosen].go_on()
    return [actor.code for actor in actors]


def one_switch(first: int, steps: int) -> Schedule:
    """`first` makes so many changes, then the other one comes to its end."""

    def schedule(ready: list[int], done: list[int]) -> int:
        wanted = first if done[first] < steps else 1 - first
        return wanted if wanted in ready else ready[0]

    return schedule


def at_random(seed: int) -> Schedule:
    """Whoever the dice say; they stay with one for some changes."""
    dice, last = random.Random(seed), [0]

    def schedule(ready: list[int], done: list[int]) -> int:
        if last[0] not in ready or dice.random() < 0.2:
            last[0] = dice.choice(ready)
        return last[0]

    return schedule


@dataclass
class Meetings:
    """What came of a pair on one storage."""

    schedules: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


class Pairing:
    """Plays pairs below a folder."""

    def __init__(self, folder: Path, remote: bool) -> None:
        self._folder, self._world, self._log = folder, World(folder / "world", remote), folder / "log"

    def meet(self, name: str, pair: Pair, step: int, drawn: int, seed: int) -> Meetings:
        """All schedules with one switch, or every `step`-th of them, and so many drawn ones."""
        world, result = self._world, Meetings()
        template = make_template(world, SWEPT[pair.world], self._folder, self._log)
        schedules: list[tuple[str, Schedule]] = [(f"seed {seed + n}", at_random(seed + n)) for n in range(drawn)]
        for first in (0, 1):
            act = (pair.one, pair.other)[first]
            points = self._count(template, act)
            schedules += [(f"{first} stops at {n}", one_switch(first, n)) for n in range(first, points, step)]
        for words, schedule in schedules:
            template.copy_to(world.place)
            codes = play_pair(world, pair.one(world) or [], pair.other(world) or [], schedule, self._folder)
            result.schedules += 1
            result.codes.update(codes)
            found = [f"ended with {code}" for code in codes if code not in IN_WORDS]
            found = found or self._settle(pair)
            result.violations += [f"{name}, {words}: {one}" for one in found]
        return result

    def _count(self, template: World, act: Step) -> int:
        template.copy_to(self._world.place)
        counted = self._folder / "counted"

        def count() -> int:
            recorder = Recorder(self._world.place, lambda number, what: None)
            play(self._world, act(self._world) or [], recorder)
            counted.write_text(str(recorder.count))
            return 0

        in_child(count, self._log)
        return int(counted.read_text())

    def _settle(self, pair: Pair) -> list[str]:
        world = self._world
        ends = [pair.one(world) or [], pair.other(world) or [], *([pair.one(world) or []] if pair.erases else [])]
        ends += [world.forget] if pair.erases else []
        ends += [world.annotate("annotate", label) for label in pair.labels]
        return bring_to_end(world, ends, pair.labels, pair.erases, self._log, may_fail=9)


def run_pairs(
    names: list[str], storages: list[str], step: int, drawn: int, seed: int
) -> Iterator[tuple[str, str, Meetings]]:
    """Play pairs; yields pair, storage and result."""
    for name, storage, folder in each_on(names, storages):
        yield name, storage, Pairing(folder, storage == "objects").meet(name, PAIRS[name], step, drawn, seed)


def main() -> int:
    """Command line of the pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", nargs="*", default=list(PAIRS))
    parser.add_argument("--storages", nargs="*", default=["local", "objects"])
    parser.add_argument("--step", type=int, default=1, help="every so many points one")
    parser.add_argument("--drawn", type=int, default=50, help="schedules at random, for each pair")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", type=Path, help="write the table here as well")
    options = parser.parse_args()
    lines, bad, begun, total = (
        ["| pair | storage | schedules | exit codes | violations |", "| --- | --- | ---: | --- | ---: |"],
        0,
        time.monotonic(),
        0,
    )
    for name, storage, result in run_pairs(options.pairs, options.storages, options.step, options.drawn, options.seed):
        codes = ", ".join(f"{code}: {count}" for code, count in sorted(result.codes.items()))
        shown = name.replace("|", "+")
        lines.append(f"| {shown} | {storage} | {result.schedules} | {codes} | {len(result.violations)} |")
        bad, total = bad + len(result.violations), total + result.schedules
        print(lines[-1], *result.violations[:10], sep="\n  ", file=sys.stderr, flush=True)
    lines.append(f"\n{total:,} schedules, {bad} violations, {time.monotonic() - begun:,.0f} s.")
    table = "\n".join(lines) + "\n"
    print(table)
    if options.table:
        options.table.write_text(table)
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
