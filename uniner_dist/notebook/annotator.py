"""`Annotator`: annotate whatever a notebook holds, with a model that stays loaded.

Small data is annotated in memory (`in_memory.py`), whole Spark DataFrames by the three stages (`spark_frame.py`);
both use one warm pool (`warm_pool.py`). This module only chooses between them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from uniner_dist.errors import ConfigError
from uniner_dist.model import display_name
from uniner_dist.notebook import display as showing
from uniner_dist.notebook import inputs as frames
from uniner_dist.notebook.inputs import Columns, Kind
from uniner_dist.notebook.results import Annotations, to_input_kind
from uniner_dist.notebook.warm_pool import WarmPool
from uniner_dist.schemas import ANNOTATION_FIELDS

#: Documents that go through the pool at a time, which bounds memory.
_ROWS = 20_000


class Annotator:
    """A model that stays loaded between calls.

    Nothing is started before the first call that needs it. Replicas stay until `close()`, the end of a `with` block,
    or the end of the process; several annotators of a process share one Ray.

    Args:
        model: "demo", a Hugging Face name, or a folder, as `model.name` of the configuration.
        replicas: how many, or "auto" for as many as fit; default: one on CPU, one for every GPU where there are GPUs.
        scores: write confidences.
        workdir: folder for what passes between Spark and Ray, for finished runs and for answers to reuse. Default: a
            temporary one of this machine, which is removed at the end. Where Spark or Ray have other machines it must
            be given, and be a place that all of them see, such as s3:// or a shared file system.
        config: YAML file, such as conf/cluster.yaml.
        settings: any other option by its dotted name, such as {"ray.address": "auto"}.
        say: takes one line of news; default: print.

    Raises:
        ConfigError: a wrong option, or no such model.

    Example:
        >>> annotator = ud.Annotator()                                              # doctest: +SKIP
        >>> annotator.annotate("Ada Lovelace lived in London.", ["person", "city"])  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        replicas: int | str | None = None,
        scores: bool = False,
        workdir: str | None = None,
        config: str | None = None,
        settings: Mapping[str, object] | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        given = {"model.name": model, "pool.replicas": replicas, "run.scores": scores or None}
        options = {**(settings or {}), **{key: value for key, value in given.items() if value is not None}}
        self._warm = WarmPool(options, config, workdir, say)
        self._say = say
        self._memory: Any = None
        #: Rows of the last call that could not be used (id, text, `reason`); None before the first. The rejects of a
        #: whole Spark DataFrame are in its run's folder instead.
        self.rejects: pa.Table | None = None

    # -- annotating ----------------------------------------------------------------------------------------------

    def annotate(
        self,
        data: Any,
        types: Any,
        *,
        id_column: str | None = None,
        text_column: str | None = None,
        keep_columns: Sequence[str] = (),
        id: str | None = None,
        text: str | None = None,
        keep: Sequence[str] = (),
        limit: int | None = None,
    ) -> Any:
        """Annotate data; what comes back is of the kind that came in.

        One row per document and type, with the columns of a published dataset: the id, those of `keep_columns`,
        `entity_type`, `entities`, `outcome`, `repair`, `score`, `raw_output`, `run_id`, `model`, `fingerprint`. Rows
        without a text are left out, counted, and kept in `rejects`.

        Args:
            data: a string, strings (list, iterable, pandas Series, Arrow array), a pandas DataFrame, an Arrow table, a
                Hugging Face dataset, a `DeltaTable`, a table or scan of pyiceberg, or a Spark DataFrame. None, NaN and
                NA are missing texts. A whole DataFrame of a classic Spark session goes through the stages of the main
                job and comes back reading the workdir; everything else goes through this process's memory, also a
                Spark DataFrame with `limit`, and one of Spark Connect.
            types: what to look for: ["person", "location"], "PER=person,ORG=company or institution", or
                {label: phrase or definition}.
            id_column: column of ids, unique strings or integers. Default: `doc_id` if there is one; else rows are
                numbered (not in Spark, whose rows have no order).
            text_column: column of texts; default: `text`.
            keep_columns: further columns to carry through.
            id: short for `id_column`; at most one of the two is given, as of the next ones.
            text: short for `text_column`.
            keep: short for `keep_columns`.
            limit: annotate only this number of rows, the first ones.

        Returns:
            `Annotations` (a list of dicts) for strings, else a table or DataFrame of the kind of `data`.

        Raises:
            ConfigError: wrong types or columns, all problems at once.
            KeyboardInterrupt: stopped by Ctrl-C; the annotator stays usable, and the same call continues from there.
            StageError: the pool gave up; the next call loads the model again.
        """
        kind, columns = self._look(data, types, (id_column, id), (text_column, text), (keep_columns, keep))
        if kind is Kind.SPARK and limit is None:
            from uniner_dist.notebook.spark_frame import annotate_frame

            with self._warm.at_work():
                return annotate_frame(self._warm, data, columns, types)
        done = list(self._in_memory(data, kind, columns, types, _ROWS, limit))
        found = [annotations for annotations, _ in done]
        texts = list(itertools.chain.from_iterable(texts for _, texts in done))
        return to_input_kind(pa.concat_tables(found) if found else _empty_table(columns), data, kind, texts)

    def stream(
        self,
        data: Any,
        types: Any,
        *,
        id_column: str | None = None,
        text_column: str | None = None,
        keep_columns: Sequence[str] = (),
        id: str | None = None,
        text: str | None = None,
        keep: Sequence[str] = (),
        rows: int = 256,
    ) -> Iterator[Any]:
        """Annotate lazily: pieces of `rows` documents, each annotated when it is asked for, in the order of the data.

        For data without an end, or to stop when enough is seen. Arguments and errors as for `annotate`; `data` may be
        any iterable of strings. Every piece is of the kind of `data`; the numbers of strings continue over all pieces.
        """
        kind, columns = self._look(data, types, (id_column, id), (text_column, text), (keep_columns, keep))
        for found, texts in self._in_memory(data, kind, columns, types, rows, None):
            yield to_input_kind(found, data, kind, texts)

    def show(
        self,
        data: Any,
        types: Any,
        *,
        id_column: str | None = None,
        text_column: str | None = None,
        id: str | None = None,
        text: str | None = None,
        limit: int = 5,
    ) -> None:
        """Annotate the first few documents and show them with their mentions marked. Arguments as for `annotate`."""
        kind, columns = self._look(data, types, (id_column, id), (text_column, text), ((), ()))
        wide = columns if kind is Kind.STRINGS else Columns(columns.id, columns.text, (columns.text,))
        done = list(self._in_memory(data, kind, wide, types, _ROWS, limit))
        annotations = pa.concat_tables([annotations for annotations, _ in done]) if done else _empty_table(wide)
        texts = list(itertools.chain.from_iterable(texts for _, texts in done))
        found = Annotations(annotations.to_pylist(), texts) if kind is Kind.STRINGS else annotations
        showing.show(found, id=None if kind is Kind.STRINGS else columns.id_name, text=columns.text, limit=limit)

    # -- life cycle ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Unload the model and remove what is temporary. An annotator may be closed twice; used again, it loads again.

        A DataFrame that `annotate` returned for a whole Spark DataFrame reads the workdir: without `workdir=` of your
        own it cannot be read any more.
        """
        self._warm.close()

    def __enter__(self) -> Annotator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "loaded" if self._warm.is_loaded else "not loaded"
        return f"<Annotator of {display_name(self._warm.config().model)}, {state}>"

    # -- inside --------------------------------------------------------------------------------------------------

    def _look(
        self,
        data: Any,
        types: Any,
        id: tuple[str | None, str | None],
        text: tuple[str | None, str | None],
        keep: tuple[Sequence[str], Sequence[str]],
    ) -> tuple[Kind, Columns]:
        """Check all arguments before anything is started; long names take precedence over short ones."""
        problems: list[str] = []
        kind = frames.kind_of(data)
        columns = None
        try:
            columns = frames.resolve_columns(
                data,
                kind,
                frames.one_of("id_column", id[0], "id", id[1]),
                frames.one_of("text_column", text[0], "text", text[1]),
                frames.one_of("keep_columns", keep[0], "keep", keep[1]),
            )
        except ConfigError as error:
            problems += error.problems
        try:
            self._warm.config(types=types)
        except ConfigError as error:
            problems += error.problems
        if problems or columns is None:
            raise ConfigError(problems)
        return kind, columns

    def _in_memory(
        self, data: Any, kind: Kind, columns: Columns, types: Any, rows: int, limit: int | None
    ) -> Iterator[tuple[pa.Table, list[str]]]:
        """Annotations and texts, one piece at a time."""
        from uniner_dist.notebook.in_memory import InMemoryAnnotator

        if self._memory is None:
            self._memory = InMemoryAnnotator(self._warm)
        left_out: list[pa.Table] = []
        for table in frames.pieces(data, kind, columns, rows, limit):
            with self._warm.at_work() as stop:
                annotations, rejects = self._memory.annotate(table, columns, types, stop)
            left_out.append(rejects)
            self.rejects = pa.concat_tables(left_out)
            self._tell(annotations, rejects)
            yield annotations, table[columns.text].to_pylist() if kind is Kind.STRINGS else []

    def _tell(self, annotations: pa.Table, rejects: pa.Table) -> None:
        if rejects.num_rows:
            self._say(f"left out {_counts(rejects['reason'])}; they are in annotator.rejects")
        outcomes = annotations["outcome"]
        failed = outcomes.filter(pc.invert(pc.is_in(outcomes, pa.array(["found", "none"]))))
        if len(failed):
            self._say(
                f"without a complete answer: {_counts(failed)} of {annotations.num_rows:,} annotations; see `outcome`"
            )


def _counts(values: pa.ChunkedArray) -> str:
    counted = sorted(pc.value_counts(values).to_pylist(), key=lambda count: -count["counts"])
    return ", ".join(f"{count['counts']:,} {count['values']}" for count in counted)


def _empty_table(columns: Columns) -> pa.Table:
    """Annotations of no documents."""
    kept = [pa.field(name, pa.string()) for name in dict.fromkeys([columns.id_name, *columns.keep])]
    return pa.schema([*kept, *ANNOTATION_FIELDS]).empty_table()
