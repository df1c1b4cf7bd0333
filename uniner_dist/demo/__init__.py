"""The demonstration that ships with the package: a small model, a sample corpus and its gold annotations.

The model shows that the pipeline works, not the quality of UniNER: it was trained on synthetic sentences and answers
little else. The functions return paths to files of the package; they load no model and no corpus, and import nothing
heavy.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent

__all__ = ["corpus_path", "entity_types", "gold_path", "model_path", "types_path"]


def model_path() -> str:
    """Return the folder of the demonstration checkpoint, in the layout that transformers and vLLM load."""
    return str(_HERE / "model")


def corpus_path() -> str:
    """Return the root of the sample corpus: Parquet, partitioned by `domain`, columns `doc_id` and `text` (strings).

    It holds duplicates, long documents and a few rows that are broken on purpose.
    """
    return str(_HERE / "corpus")


def gold_path() -> str:
    """Return the root of the gold annotations: Parquet, partitioned as the corpus, a row per usable document and type.

    Columns: `doc_id`, `entity_type`, `entities` (list of `text`, `start`, `end`; code-point offsets, text order).
    """
    return str(_HERE / "gold")


def types_path() -> str:
    """Return the path of the YAML list of the entity types that the gold annotations cover."""
    return str(_HERE / "types.yaml")


def entity_types() -> list[str]:
    """Return the entity types that the gold annotations cover, in the order of `types.yaml`."""
    lines = Path(types_path()).read_text(encoding="utf-8").splitlines()
    return [line[2:].strip() for line in lines if line.startswith("- ")]
