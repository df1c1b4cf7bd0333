"""One corpus for the whole folder, and the rows that an undisturbed job makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.storm import SETTINGS, TYPES, make_corpus, read_rows
from uniner_dist.config.loading import load_config
from uniner_dist.pipeline.stages import annotate

DOCUMENTS = 90


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short documents in three partitions, some of them twice, some long enough to be split."""
    folder = tmp_path_factory.mktemp("chaos") / "corpus"
    make_corpus(folder, DOCUMENTS)
    return folder


@pytest.fixture(scope="session")
def calm_rows(spark: Any, ray: Any, corpus: Path) -> list[dict[str, Any]]:
    """What the job publishes when nobody disturbs it; made in this process."""
    output = corpus.parent / "calm"
    options = {"corpus.path": str(corpus), "output.path": str(output), "types": TYPES}
    settings = [f"{key}={value}" for key, value in SETTINGS.items()]
    annotate(load_config(None, settings, options), lambda line: None)
    rows = read_rows(output)
    assert len(rows) == DOCUMENTS * 3
    return rows
