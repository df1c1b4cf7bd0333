"""The first texts of the corpus, to try the tokenizer on: one batch of one file; raises no errors of its own."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.config.schema import CorpusConfig
from uniner_dist.errors import ConfigError, StageError
from uniner_dist.storage import footers
from uniner_dist.storage.corpus_rows import rows_of
from uniner_dist.storage.filesystem import open_fs
from uniner_dist.storage.retries import is_storage_error
from uniner_dist.storage.snapshot import Snapshot

_TEXTS = 64
_CHARACTERS = 2_000


def first_texts(corpus: CorpusConfig, snapshot: Snapshot) -> list[str]:
    """Return the beginnings of the first texts.

    Args:
        corpus: names the text column.
        snapshot: the corpus's files, of which the first one is read, or its table.

    Returns:
        Up to 64 texts, each cut off after 2,000 characters. Fewer, or none, where they cannot be read, which other
        checks report, or where the first row group is too large for this process.
    """
    try:
        if snapshot.table is not None:
            rows = next(rows_of(snapshot, [corpus.text_column], corpus.binary_text))
            values = rows.column(0).slice(0, _TEXTS).to_pylist()
        else:
            with open_fs(snapshot.path)[0].open(snapshot.files[0], "rb") as stream:
                file = pq.ParquetFile(stream)
                if file.metadata.row_group(0).total_byte_size > footers.LARGE_BYTES:
                    return []  # may have a row of gigabytes, which only tasks read
                batches = file.iter_batches(batch_size=_TEXTS, columns=[corpus.text_column])
                values = next(batches).column(0).to_pylist()
    except (pa.ArrowException, ConfigError, StageError, ValueError, IndexError, StopIteration, UnicodeDecodeError):
        return []
    except Exception as error:
        if not is_storage_error(error):
            raise
        return []
    if corpus.binary_text:
        values = [value.decode(errors="ignore") if isinstance(value, bytes) else value for value in values]
    return [value[:_CHARACTERS] for value in values if isinstance(value, str)]
