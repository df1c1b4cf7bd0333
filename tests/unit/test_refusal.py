"""What is said when a Ray cluster does not take us."""

from __future__ import annotations

from uniner_dist.cluster.connect import _refusal


def test_other_versions_are_named_in_one_sentence() -> None:
    ray = "Version mismatch: The cluster was started with:\n    Ray: 2.1.0\n    Python: 3.9.2\nThis process on node "
    ray += "10.0.0.1 was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
    assert _refusal(ray).startswith("the cluster runs Ray 2.1.0 on Python 3.9.2, and this command Ray 2.60.0 on Python")


def test_a_stack_trace_of_the_server_is_left_out() -> None:
    ray = "Initialization failure from server:\nTraceback (most recent call last):\n  File x\nKeyError: 'no'\n\n"
    assert _refusal(ray) == "Initialization failure from server: KeyError: 'no'"
    assert _refusal("nobody\nthere") == "nobody\nthere"
