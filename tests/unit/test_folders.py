"""Partition folders are named as Spark names them."""

from __future__ import annotations

import pytest

from uniner_dist.storage.hive import folder_name, is_folder_name


@pytest.mark.parametrize(
    ("value", "folder"),
    [
        ("ai", "domain=ai"),
        ("a/b=c%", "domain=a%2Fb%3Dc%25"),
        ("it's [x] {y} ^z?", "domain=it%27s %5Bx%5D %7By} %5Ez%3F"),
        ("münchen 東京", "domain=münchen 東京"),
        ("a\nb\t\x7f", "domain=a%0Ab%09%7F"),
        ("", "domain=__HIVE_DEFAULT_PARTITION__"),
    ],
)
def test_values_are_escaped_as_spark_does(value: str, folder: str) -> None:
    assert folder_name("domain", value) == folder
    assert is_folder_name(folder)


def test_a_name_is_fit_up_to_255_bytes_without_a_nul() -> None:
    assert is_folder_name(folder_name("c", "é" * 126 + "x"))
    assert not is_folder_name(folder_name("c", "é" * 127))
    assert not is_folder_name(folder_name("c", "%" * 85))
    assert not is_folder_name(folder_name("c", "a\0b"))
