"""Types that other readers of CoNLL would cut are joined, told, and never made one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from uniner_dist.cli.export import _joined_labels, summary
from uniner_dist.errors import ConfigError
from uniner_dist.formats.settings import ExportSettings

_SETTINGS = ExportSettings(("famous person", "city"), (), (), "xx", comments=False)


def test_joined_types_are_counted_and_told() -> None:
    assert _joined_labels(_SETTINGS) == 1
    assert _joined_labels(replace(_SETTINGS, comments=True)) == 0
    manifest = {"documents": 1, "mentions": 1, "files": 1, "licences": [], "types_joined": 1}
    assert summary(manifest, "out")[1].startswith("1 types are written with _ in place of white space")


def test_two_types_that_would_be_written_alike_are_refused() -> None:
    with pytest.raises(ConfigError, match="'a b' and 'a_b' would both be written 'a_b'"):
        _joined_labels(replace(_SETTINGS, labels=("a b", "city", "a_b")))
