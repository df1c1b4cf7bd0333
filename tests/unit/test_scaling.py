"""The pool's supervisor on a virtual clock: nobody is idle while there is work, whatever joins, leaves or dies."""

from __future__ import annotations

import pytest

from benchmarks.scaling import NEVER, simulate


@pytest.mark.parametrize(("mean_life_s", "growing"), [(NEVER, False), (1800.0, True)])
def test_replicas_end_within_one_shard_of_each_other(mean_life_s: float, growing: bool) -> None:
    found = simulate(24, 300, mean_life_s, growing)
    assert found["done_shards"] == 300
    assert found["busy"] > 0.99
    # Whoever dies with the last shard has to do it again.
    assert found["tail_shards"] <= (1.0 if mean_life_s == NEVER else 2.5)
    assert (found["deaths"] > 0) is (mean_life_s < NEVER)
