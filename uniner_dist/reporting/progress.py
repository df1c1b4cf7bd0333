"""Rendering of a running stage's state, the same for a terminal, a notebook, a log, and `status`.

Takes a state, as it is also written to storage; returns something that rich prints, or one line. Pure; no I/O.
"""

from __future__ import annotations

from typing import Final

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from uniner_dist.core.characters import visible
from uniner_dist.storage.control_files import PoolProgress, SparkProgress

State = PoolProgress | SparkProgress

#: A bar need not be longer than its words.
_WIDTH: Final = 78


def view(state: State) -> RenderableType:
    """Return a progress bar with details, in a few lines of at most 80 columns.

    Args:
        state: the latest state of a stage.
    """
    done, total = amounts(state)
    head = Table.grid(padding=(0, 1), expand=True)
    head.add_column()
    head.add_column(ratio=1)
    head.add_column()
    words = ", ".join([share(state), *_left(state)])
    bar = ProgressBar(total=max(total, 1), completed=done, style="grey50")  # on white and on black alike
    head.add_row(Text(state.stage, style="bold"), bar, Text(words))
    details = (Padding(Text(words), (0, 0, 0, 2), expand=False) for words in _details(state))
    return Group(Constrain(head, _WIDTH), *details)


def line(state: State) -> str:
    """Return everything in one line, for a log.

    Args:
        state: the latest state of a stage.
    """
    done, total = amounts(state)
    unit = "prompts" if isinstance(state, PoolProgress) else "tasks"
    ready = ", ".join([share(state), *_left(state)])
    return f"{state.stage}: {done:,}/{total:,} {unit} ({ready}); {'; '.join(_details(state, short=True))}"


def amounts(state: State) -> tuple[int, int]:
    """Return (done, of how many): prompts, or a Spark stage's tasks.

    Args:
        state: the latest state of a stage.
    """
    if isinstance(state, PoolProgress):
        return state.prompts_done, state.prompts
    return state.tasks_done, state.tasks


def share(state: State) -> str:
    """Return the part that is done in per cent, rounded down so that 100 % means all of it; 0 % of nothing.

    Args:
        state: the latest state of a stage.
    """
    done, total = amounts(state)
    return f"{100 * done // total}%" if total else "0%"


def _left(state: State) -> list[str]:
    eta_s = state.eta_s if isinstance(state, PoolProgress) else None
    return [f"{duration(eta_s)} left"] if eta_s is not None else []


def _details(state: State, short: bool = False) -> list[str]:
    if isinstance(state, SparkProgress):
        return [visible(state.step) + ("" if short else f", {state.tasks_done:,} of {state.tasks:,} tasks")]
    done, total = amounts(state)
    amount = [] if short else [f"{done:,} of {total:,} prompts"]
    if state.shards is not None:
        amount.append(f"{state.shards_done:,} of {state.shards:,} shards")
    return [" · ".join(part) for part in (amount, _speed(state), _replicas(state), _losses(state)) if part]


def _speed(state: PoolProgress) -> list[str]:
    if not state.prompts_per_s:
        done, total = amounts(state)
        return ["speed not known yet"] if done < total else []  # work of a few seconds never has a known speed
    tokens = [f"{state.tokens_per_s:,.0f} tokens/s"] if state.tokens_per_s else []
    # Engines report how much was cached when a shard is done.
    hits = [f"{state.prefix_hit_rate:.0%} prefix cache"] if state.prefix_hit_rate else []
    return [rate(state.prompts_per_s), *tokens, *hits]


def _replicas(state: PoolProgress) -> list[str]:
    counts = ", ".join(f"{count:,} {name}" for name, count in state.replicas.items()) or "none"
    return [f"replicas: {counts}", *cost(state.gpu_hours, state.gpus, state.cost)]


def _losses(state: PoolProgress) -> list[str]:
    """What went wrong so far; nothing when nothing did."""
    found = [f"{state.deaths:,} replica deaths"] if state.deaths else []
    found += [f"{state.start_failures:,} failed starts"] if state.start_failures else []
    return found + [f"{count:,} {kind}" for kind, count in state.failures.items()]


def cost(hours: float | None, gpus: int, money: float | None) -> list[str]:
    """Return what all starts so far cost: GPU hours, and money at a known price; nothing for CPUs without a price.

    Args:
        hours: GPU hours; None where they are not known.
        gpus: number of GPUs of a replica.
        money: None where no price is known.

    Returns:
        A list with one phrase, such as `cost so far: 1.5 GPU hours = 3.00`, or an empty list.
    """
    if hours is None or (not gpus and money is None):
        return []
    return [f"cost so far: {hours:,.3g} GPU hours" + (f" = {money:,.2f}" if money is not None else "")]


def rate(per_s: float) -> str:
    """Return a rate such as `1,234 prompts/s`, and `0.43 prompts/s` of a slow model.

    Args:
        per_s: prompts per second.
    """
    return f"{per_s:,.0f} prompts/s" if per_s >= 10 else f"{per_s:.2g} prompts/s"


def counted(count: int, word: str) -> str:
    """Return a number with its noun: `1 replica`, `2 replicas`.

    Args:
        count: number of things.
        word: the noun in the singular; its plural must end in s.
    """
    return f"{count:,} {word}" + "s" * (count != 1)


def duration(seconds: float) -> str:
    """Return a duration such as `48 s`, `12 min`, `3 h 20 min`, `2 d 4 h`.

    Args:
        seconds: 0 or more.
    """
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
