"""Shows annotations: HTML with marked mentions in a notebook, a coloured table in a terminal.

Shows some documents of annotations of any kind with their texts. Of a DataFrame only the shown documents are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from uniner_dist.errors import ConfigError
from uniner_dist.notebook.inputs import (
    ID,
    TEXT,
    Kind,
    as_arrow,
    column_names,
    kind_of,
    one_of,
    pandas_columns,
    strings,
    unknown_column,
)
from uniner_dist.reporting.console import SafeConsole
from uniner_dist.reporting.highlight import Marked, Mention, documents_html
from uniner_dist.schemas import ANNOTATION_FIELDS

_OURS = frozenset(field.name for field in ANNOTATION_FIELDS)
#: Columns of the annotations that are shown.
_SHOWN = ("entity_type", "entities")


def show(
    annotations: Any,
    corpus: Any = None,
    *,
    id_column: str | None = None,
    text_column: str | None = None,
    id: str | None = None,
    text: str | None = None,
    limit: int = 8,
) -> None:
    """Show some annotated documents with their mentions, those with any mention first.

    In a notebook this is HTML (light or dark as the notebook is), elsewhere a table in the terminal.

    Args:
        annotations: what `Annotator.annotate` returned, or a published dataset as a DataFrame or Arrow table.
        corpus: the data that the annotations are of, in any kind, which has the texts; of a list of strings, or data
            without the id column, the ids are positions from 0. None: the annotations have the texts, as those of
            strings do, and others where the text was kept (`keep_columns=["text"]`).
        id_column: id column of both; None: `doc_id`, or the annotations' first column that is none of ours.
        text_column: text column of the corpus, or of the annotations; None: `text`.
        id: short for `id_column`; at most one of the two is given.
        text: short for `text_column`; likewise.
        limit: documents at most.

    Raises:
        ConfigError: a column or the texts are missing.

    Example:
        >>> rows = annotator.annotate(frame, ["person"], id="note", text="body")  # doctest: +SKIP
        >>> ud.show(rows, frame, id="note", text="body", limit=3)                 # doctest: +SKIP
    """
    id, text = one_of("id_column", id_column, "id", id), one_of("text_column", text_column, "text", text)
    display(*marked_documents(annotations, corpus, id, text, limit))


@dataclass(frozen=True)
class _Row:
    """The shown columns of one annotation."""

    id: Any
    entity_type: str
    entities: Sequence[Mapping[str, object]]


def marked_documents(
    annotations: Any, corpus: Any = None, id: str | None = None, text: str | None = None, limit: int = 8
) -> tuple[list[Marked], list[str]]:
    """Find the documents to show, those with any mention first, with their texts.

    Args:
        annotations: `Annotations`, or annotations as a DataFrame or Arrow table.
        corpus: the data that the annotations are of; None where the annotations have the texts.
        id: id column of both; None: `doc_id`, or the annotations' first column that is none of ours.
        text: text column; None: `text`.
        limit: documents at most.

    Returns:
        The documents (a missing text is empty), and the labels of the rows that were read, in their order, which
        decides their colours.

    Raises:
        ConfigError: a column or the texts are missing.
    """
    if isinstance(annotations, list) and hasattr(annotations, "texts"):  # `Annotations`
        rows, texts = _rows_of(annotations, ID), dict(enumerate(annotations.texts))
        chosen = _first_ids(rows, limit)
    else:
        id, rows = _some_rows(annotations, id, limit)
        chosen = _first_ids(rows, limit)
        texts = _texts(annotations, corpus, id, text or TEXT, chosen)
    labels = list(dict.fromkeys(row.entity_type for row in rows))
    entities: dict[Any, list[Mention]] = {key: [] for key in chosen}
    for row in rows:
        if row.id in entities:
            entities[row.id] += [_mention(entity, row.entity_type) for entity in row.entities]
    return [Marked(str(key), texts.get(key) or "", found) for key, found in entities.items()], labels


def _rows_of(rows: Iterable[Mapping[str, Any]], id: str) -> list[_Row]:
    return [_Row(row[id], row["entity_type"], row["entities"]) for row in rows]


def _mention(entity: Mapping[str, object], label: str) -> Mention:
    return Mention(label, str(entity["text"]), _offset(entity["start"]), _offset(entity["end"]))


def _offset(value: Any) -> int | None:
    """A whole number again, which pandas makes a float of where other rows have none."""
    return None if value is None or value != value else int(value)


def _first_ids(rows: Sequence[_Row], limit: int) -> list[Any]:
    """Ids of the first documents with mentions, then of those without."""
    with_mentions = [row.id for row in rows if len(row.entities)]
    return list(dict.fromkeys([*with_mentions, *(row.id for row in rows)]))[:limit]


def _some_rows(annotations: Any, id: str | None, limit: int) -> tuple[str, list[_Row]]:
    """The id column, and the rows of enough documents to choose from."""
    kind = kind_of(annotations)
    if kind is Kind.STRINGS:
        raise ConfigError("show: strings are not annotations; show what annotate() returned for them")
    names = column_names(annotations, kind)
    missing = [name for name in _SHOWN if name not in names]
    if missing:
        raise ConfigError(f"show: these are not annotations, they have no column {', '.join(missing)}")
    id = id or (ID if ID in names else next(name for name in names if name not in _OURS))
    problem = unknown_column("id_column", id, names)
    if problem:
        raise ConfigError(problem)
    if kind in (Kind.SPARK, Kind.CONNECT):
        quoted = "`" + id.replace("`", "``") + "`"
        found = annotations.where("size(entities) > 0").select(quoted).distinct().limit(limit).collect()
        found = found or annotations.select(quoted).distinct().limit(limit).collect()
        ids = [row[0] for row in found]
    else:
        ids = _ids_in_memory(annotations, kind, id, limit)
    return id, _rows_of(_pick(annotations, kind, id, ids, [id, *_SHOWN]).to_pylist(), id)


def _ids_in_memory(annotations: Any, kind: Kind, id: str, limit: int) -> list[Any]:
    if kind is Kind.PANDAS:
        found = annotations[annotations["entities"].map(len) > 0]
        return list(dict.fromkeys([*found[id].head(50 * limit), *annotations[id].head(50 * limit)]))[:limit]
    table = _in_memory(annotations, kind)
    found = table.filter(pc.greater(pc.list_value_length(table["entities"]), 0))
    ids = [*found[id].slice(0, 50 * limit).to_pylist(), *table[id].slice(0, 50 * limit).to_pylist()]
    return list(dict.fromkeys(ids))[:limit]


def _texts(annotations: Any, corpus: Any, id: str, text: str, ids: Sequence[Any]) -> dict[Any, str]:
    source = annotations if corpus is None else corpus
    kind = kind_of(source)
    if kind is Kind.STRINGS:
        return dict(enumerate(strings(source)))
    names = column_names(source, kind)
    if corpus is None and text not in names:
        raise ConfigError(
            "show: the annotations have no texts; give the data they are of, show(annotations, corpus), or annotate "
            f"with keep_columns=[{text!r}]"
        )
    problems = [problem for problem in (unknown_column("text_column", text, names),) if problem]
    if id not in names:  # rows that were numbered
        if kind in (Kind.SPARK, Kind.CONNECT):
            problems.append(str(unknown_column("id_column", id, names)))
        elif not problems:
            column = pandas_columns(source, [text])[text] if kind is Kind.PANDAS else _in_memory(source, kind)[text]
            values = column.tolist() if kind is Kind.PANDAS else column.to_pylist()
            return dict(enumerate(values))
    if problems:
        raise ConfigError(problems)
    rows = _pick(source, kind, id, ids, [id, text]).to_pylist()
    return {row[id]: row[text] for row in rows}


def _in_memory(data: Any, kind: Kind) -> pa.Table:
    return data.with_format("arrow")[:] if kind is Kind.HUGGINGFACE else as_arrow(data)


def _pick(data: Any, kind: Kind, id: str, ids: Sequence[Any], names: Sequence[str]) -> pa.Table:
    """Some columns of the rows with these ids, in the order of the data."""
    if kind is Kind.PANDAS:
        chosen = pandas_columns(data, list(dict.fromkeys([id, *names])))
        return pa.Table.from_pandas(chosen.loc[chosen[id].isin(list(ids)), list(names)], preserve_index=False)
    if kind in (Kind.ARROW, Kind.LAKE, Kind.HUGGINGFACE):
        table = _in_memory(data, kind)
        return table.filter(pc.is_in(table[id], pa.array(ids, table.schema.field(id).type))).select(list(names))
    quoted = ["`" + name.replace("`", "``") + "`" for name in names]
    rows = data.where(data[quoted[0]].isin(list(ids))).select(*quoted).collect()
    return pa.Table.from_pylist([row.asDict(recursive=True) for row in rows])


def to_html(documents: Sequence[Marked], labels: Iterable[str]) -> str:
    """Return an HTML fragment for a notebook, in which everything that came from the corpus is escaped.

    Args:
        documents: title, text and mentions of each.
        labels: entity types in the order of their colours.
    """
    return documents_html(documents, labels)


def display(documents: Sequence[Marked], labels: Sequence[str]) -> None:
    """Show documents in the notebook that runs this, or in the terminal.

    Args:
        documents: title, text and mentions of each.
        labels: entity types in the order of their colours.
    """
    if _in_notebook():
        from IPython import display as notebook

        shown: Any = notebook
        shown.display(shown.HTML(to_html(documents, labels)))
        return

    from uniner_dist.reporting.terminal import print_documents

    print_documents(documents, labels, "document", SafeConsole())


def _in_notebook() -> bool:
    """Whether the code runs in a kernel, which shows HTML; a terminal's IPython does not."""
    import sys

    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None
