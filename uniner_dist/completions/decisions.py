"""Decisions of the pool as pure functions: no Ray, no clock, no I/O; the same at 1 and at 500 replicas."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from uniner_dist.completions.work import Loss, ReplicaState, Shard


def shards_within(shards: Iterable[Shard], prompts: int | None) -> list[Shard]:
    """Return the shards that may be asked under a limit of prompts, larger ones first.

    Args:
        shards: candidates, in any order; a shard that does not fit any more is left out, and smaller ones are tried.
        prompts: how many prompts may be asked in all, 0 or less allowing none; None is no limit.
    """
    allowed, left = [], prompts
    for shard in sorted(shards, key=lambda shard: (-shard.asked, shard.name)):
        if left is None or shard.asked <= left:
            allowed.append(shard)
            left = None if left is None else left - shard.asked
    return allowed


def order_shards(shards: Iterable[Shard]) -> dict[str, int]:
    """Return the hand-out order as name → number of prompts: the largest first, so that the tail of the job is short.

    Args:
        shards: shards to hand out; the largest is the one with the most estimated tokens, and names break ties.
    """
    ranked = sorted(shards, key=lambda shard: (-shard.estimated_tokens, shard.name))
    return {shard.name: shard.prompts for shard in ranked}


def split_range(start: int, stop: int, pieces: int) -> list[tuple[int, int]]:
    """Return `[start, stop)` in at most `pieces` ranges, in order, whose lengths differ by at most one.

    Args:
        start: row number of the first prompt.
        stop: row number after the last prompt; greater than `start`.
        pieces: how many ranges to make; a shorter range is split into single prompts.
    """
    count = min(pieces, stop - start)
    borders = [start + (stop - start) * i // count for i in range(count + 1)]
    return list(itertools.pairwise(borders))


def kind_of_loss(node_is_gone: bool, state: ReplicaState) -> Loss:
    """Return the kind of loss when a replica in this state stops answering.

    Args:
        node_is_gone: whether the replica's node is lost; then neither engine nor prompts are blamed.
        state: of the replica when it was last known to live.
    """
    if node_is_gone:
        return Loss.NODE
    return Loss.START if state in (ReplicaState.PENDING, ReplicaState.STARTING) else Loss.DEATH


def backoff(failures: int, first_s: float, longest_s: float = 60.0) -> float:
    """Return the seconds to wait before the next try: none without a failure, then doubling up to a maximum.

    Args:
        failures: failures in a row so far; 0 or less for none.
        first_s: seconds after the first failure.
        longest_s: most seconds to wait.
    """
    if failures <= 0:
        return 0.0
    # A long job with one broken node fails thousands of times in a row; 2.0**1024 overflows a float.
    return float(min(longest_s, first_s * 2.0 ** min(failures - 1, 64)))


def gives_up_starting(failed_in_row: int, limit: int, ready: int) -> bool:
    """Return whether so many start-ups failed in a row that none will ever work; a loaded replica keeps the job going.

    Args:
        failed_in_row: start-ups that failed since the last one that succeeded.
        limit: failures in a row from which on the job is given up (`pool.max_start_failures`).
        ready: replicas that are loaded now.
    """
    return not ready and failed_in_row >= limit


def never_answers(deaths_in_row: int, limit: int, answered: bool) -> bool:
    """Return whether replicas load but die, and nothing was ever answered: then the engine is to blame, not a prompt.

    Args:
        deaths_in_row: loaded replicas that died since the last finished work item.
        limit: deaths in a row from which on the job is given up (`pool.max_shard_attempts`).
        answered: whether any prompt of this run was answered, now or by an earlier start.
    """
    return not answered and deaths_in_row >= limit


def replicas_that_fit(nodes: Iterable[Mapping[str, float]], gpus: int, cpus: float, memory: float) -> int:
    """Return how many replicas a cluster holds, counted node by node since a replica never spans nodes.

    Args:
        nodes: each node's total resources in Ray's terms (`GPU`, `CPU` in counts, `memory` in bytes).
        gpus: GPUs of one replica; if there are any, only GPUs count. 0 for a CPU replica.
        cpus: cores of one CPU replica.
        memory: bytes of one CPU replica; 0 if memory does not count.
    """
    if gpus:
        return sum(int(node.get("GPU", 0) // gpus) for node in nodes)

    def fit(node: Mapping[str, float]) -> int:
        by_cores = int(node.get("CPU", 0) // cpus)
        return min(by_cores, int(node.get("memory", 0) // memory)) if memory else by_cores

    return sum(fit(node) for node in nodes)


def is_stuck(now_s: float, last_progress_s: float, limit_s: float, busy: bool) -> bool:
    """Return whether a replica that has work went without a new token or a finished prompt for too long.

    Args:
        now_s: seconds of a monotonic clock.
        last_progress_s: when its counters last changed, or it got work or finished some, by the same clock.
        limit_s: seconds without progress that are allowed (`pool.stuck_timeout_s`).
        busy: whether it holds a work item.
    """
    return busy and now_s - last_progress_s > limit_s
