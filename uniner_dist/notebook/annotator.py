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

    No replica is started before the first call that needs one. Replicas stay until `close()`, the end of a `with`
    block, or the end of the process; several annotators of a process share one Ray. An answer is remembered, so the
    same question about the same text is asked once (of calls in memory the last two million answers are kept).

    Args:
        model: "demo" (a small demonstration model for CPUs), a Hugging Face name, or a folder with a model, as
            `model.name` of the configuration. None: what `settings` or `config` say, else "demo".
        replicas: copies of the model that answer at the same time, or "auto" for as many as fit. None: one on CPU, one
            for every GPU where there are GPUs.
        scores: compute confidences in [0, 1] of answers and mentions; else the columns `score` are null.
        workdir: path or URL of a folder for what passes between Spark and Ray, for finished runs and for answers to
            reuse. None: a temporary one of this machine, which is removed at the end. Where Spark or Ray have other
            machines it must be given, and be a place that all of them see, such as s3:// or a shared file system.
        config: path of a YAML file of the configuration, such as conf/cluster.yaml.
        settings: any other option by its dotted name, such as {"ray.address": "auto"}. It takes precedence over
            `config`, and the arguments above take precedence over it.
        say: called with each line of news, such as what was left out; default: print.

    Attributes:
        rejects: rows of the last call that could not be used, as an Arrow table of id, text and `reason` ("null_text",
            "blank_text" or "text_too_large"), or `reason_` if the id or text column has that name; of `stream` those
            of its last piece. None before the first call and for data without rows. Those of a whole Spark DataFrame
            are in its run's folder instead.

    Raises:
        ConfigError: a wrong option, or no such model.

    Example:
        >>> with ud.Annotator() as annotator:                                           # doctest: +SKIP
        ...     rows = annotator.annotate(["Ada Lovelace lived in London."], ["person", "city"])
        >>> rows[0]["entity_type"], rows[0]["outcome"]                                  # doctest: +SKIP
        ('person', 'found')
        >>> rows[0]["entities"]                                                         # doctest: +SKIP
        [{'text': 'Ada Lovelace', 'start': 0, 'end': 12, 'match': 'exact', 'score': None}]
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

        The result has one row per document and type. Documents are in the order of the data, if it has one (whole Spark
        DataFrames, Delta and Iceberg tables have none), and the rows of a document in the order of `types`. The columns
        are those of a published dataset: the id, those of `keep_columns`, then

        - `entity_type`: the label.
        - `entities`: a list, one element per place where a mention is: `text`, `start` and `end` (code points of the
          document's text, `end` excluded, both null for a mention that is nowhere in it), `match` ("exact", or by which
          looser rule it was found, see `core.spans.locate_mentions`; "absent" if it is nowhere) and `score`.
        - `outcome`: "found", "none" (an answer without mentions), "skipped" (left out by triage, only in the stages of
          the main job), or the name of a failure, see `core.outcomes.Outcome`. Test it before you count an empty
          `entities` as an answer.
        - `repair`, `score`, `raw_output`: the parsing rule beyond the official parser that was used, the confidence
          (only with `scores`), and the model's own words where they were not parsed and located cleanly; else null.
        - `text_digest`, `run_id`, `model`, `fingerprint`: of which text, and by what, the row was made.

        Rows whose text is missing, blank or larger than `corpus.max_text_bytes` are left out, counted, and kept in
        `rejects`.

        Args:
            data: a string, strings (list, iterable, pandas Series, Arrow array), a pandas DataFrame, an Arrow table, a
                Hugging Face dataset, a `DeltaTable`, a table or scan of pyiceberg, or a Spark DataFrame. None, NaN and
                NA are missing texts. A whole DataFrame of a classic Spark session goes through the stages of the main
                job and comes back reading the workdir; everything else goes through this process's memory, also a
                Spark DataFrame with `limit`, and one of Spark Connect.
            types: what to look for: ["person", "location"], "PER=person,ORG=company or institution", "@types.yaml" (a
                file), or {label: phrase or definition}. The phrase is what the model is asked, the label what the
                annotations have; a word alone is both.
            id_column: column of ids, unique strings or integers. None: `doc_id` if there is one; else rows are numbered
                from 0 in a column `doc_id` (not in Spark, Delta and Iceberg, whose rows have no order).
            text_column: column of texts; None: `text`.
            keep_columns: further columns of the data to carry into the annotations, such as the text itself.
            id: short for `id_column`; at most one of the two is given, as of the next ones.
            text: short for `text_column`.
            keep: short for `keep_columns`.
            limit: annotate only this number of rows, the first ones; None: all.

        Returns:
            `Annotations` (a list of dicts) for strings, an Arrow table for Arrow, polars, Delta and Iceberg, else a
            DataFrame or dataset of the kind of `data`. A whole Spark DataFrame comes back lazy, reading the workdir.

        Raises:
            ConfigError: wrong types or columns, all problems at once; or an id that is missing or occurs twice.
            KeyboardInterrupt: stopped by Ctrl-C; the annotator stays usable, and the same call continues from there.
            StageError: the pool gave up; the next call loads the model again.
            UninerError: of a whole Spark DataFrame also what else can end the main job, see `uniner_dist.errors`.

        Example:
            >>> frame = pd.DataFrame({"note": ["a", "b"], "body": ["Ada lived in London.", ""]})  # doctest: +SKIP
            >>> rows = annotator.annotate(frame, {"PER": "person"}, id="note", text="body")      # doctest: +SKIP
            >>> annotator.rejects.to_pylist()                                                    # doctest: +SKIP
            [{'note': 'b', 'body': '', 'reason': 'blank_text'}]
        """
        kind, columns, types = self._look(data, types, (id_column, id), (text_column, text), (keep_columns, keep))
        if kind is Kind.SPARK and limit is None:
            from uniner_dist.notebook.spark_frame import annotate_frame

            self.rejects = None
            with self._warm.at_work():
                return annotate_frame(self._warm, data, columns, types)
        done = list(self._in_memory(data, kind, columns, types, _ROWS, limit))
        texts = list(itertools.chain.from_iterable(texts for *_, texts in done))
        return to_input_kind(self._joined(done, columns), data, kind, texts)

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

        For data without an end, or to stop when enough is seen. Nothing is checked or started before the first piece is
        asked for. Also a whole Spark DataFrame passes through this process here.

        Args:
            data: as for `annotate`; an iterable of strings, such as a generator, is read only as far as is needed.
            types: what to look for, as for `annotate`.
            id_column: column of unique ids. None: `doc_id`, or rows are numbered from 0 on over all pieces.
            text_column: column of texts; None: `text`.
            keep_columns: further columns of the data to carry into the annotations.
            id: short for `id_column`; at most one of the two is given, as of the next ones.
            text: short for `text_column`.
            keep: short for `keep_columns`.
            rows: documents of a piece, at least 1. A larger piece keeps replicas busier, a smaller one comes sooner.

        Yields:
            The annotations of up to `rows` documents, of the kind and with the columns that `annotate` returns.
            `rejects` has the rows that were left out of the piece that came last.

        Raises:
            ConfigError: wrong types or columns, when the first piece is asked for; or an id that is missing or occurs
                twice, when its piece is.
            KeyboardInterrupt: stopped by Ctrl-C; the annotator stays usable.
            StageError: the pool gave up; the next call loads the model again.

        Example:
            >>> for rows in annotator.stream(open("notes.txt"), ["person"], rows=100):  # doctest: +SKIP
            ...     print(sum(len(row["entities"]) for row in rows))
        """
        kind, columns, types = self._look(data, types, (id_column, id), (text_column, text), (keep_columns, keep))
        if rows < 1:
            raise ConfigError("rows: must be at least 1")
        for found, rejects, texts in self._in_memory(data, kind, columns, types, rows, None):
            self.rejects = rejects
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
        """Annotate the first few documents and show them with their mentions marked.

        In a notebook they are shown as HTML, elsewhere as a table in the terminal.

        Args:
            data: as for `annotate`.
            types: what to look for, as for `annotate`.
            id_column: column of unique ids. None: `doc_id`, or rows are numbered from 0 (not in Spark, Delta and
                Iceberg).
            text_column: column of texts; None: `text`.
            id: short for `id_column`; at most one of the two is given.
            text: short for `text_column`; likewise.
            limit: how many rows of the data are annotated and shown, from the first one on.

        Raises:
            ConfigError: wrong types or columns, all problems at once; or an id that is missing or occurs twice.
            KeyboardInterrupt: stopped by Ctrl-C; the annotator stays usable, and the same call continues from there.
            StageError: the pool gave up; the next call loads the model again.
        """
        kind, columns, types = self._look(data, types, (id_column, id), (text_column, text), ((), ()))
        wide = columns if kind is Kind.STRINGS else Columns(columns.id, columns.text, (columns.text,))
        done = list(self._in_memory(data, kind, wide, types, _ROWS, limit))
        annotations = self._joined(done, wide)
        texts = list(itertools.chain.from_iterable(texts for *_, texts in done))
        found = Annotations(annotations.to_pylist(), texts) if kind is Kind.STRINGS else annotations
        showing.show(found, id=None if kind is Kind.STRINGS else columns.id_name, text=columns.text, limit=limit)

    # -- life cycle ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Unload the model and remove temporary files. An annotator may be closed twice; used again, it loads again.

        A DataFrame that `annotate` returned for a whole Spark DataFrame reads the workdir: without a `workdir` of your
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
    ) -> tuple[Kind, Columns, Any]:
        """Check all arguments before anything is started; long names take precedence over short ones."""
        problems: list[str] = []
        types = list(types) if isinstance(types, Iterator) else types  # they are read more than once
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
        return kind, columns, types

    def _in_memory(
        self, data: Any, kind: Kind, columns: Columns, types: Any, rows: int, limit: int | None
    ) -> Iterator[tuple[pa.Table, pa.Table, list[str]]]:
        """Annotations, rejects and texts, one piece at a time."""
        from uniner_dist.notebook.in_memory import InMemoryAnnotator

        if self._memory is None:
            self._memory = InMemoryAnnotator(self._warm)
        self.rejects = None
        for table in frames.pieces(data, kind, columns, rows, limit):
            with self._warm.at_work() as stop:
                annotations, rejects = self._memory.annotate(table, columns, types, stop)
            self._tell(annotations, rejects)
            yield annotations, rejects, table[columns.text].to_pylist() if kind is Kind.STRINGS else []

    def _joined(self, done: Sequence[tuple[pa.Table, pa.Table, list[str]]], columns: Columns) -> pa.Table:
        """The annotations of all pieces; their rejects are kept."""
        if not done:
            return _empty_table(columns)
        self.rejects = frames.joined([rejects for _, rejects, _ in done])
        return frames.joined([annotations for annotations, *_ in done])

    def _tell(self, annotations: pa.Table, rejects: pa.Table) -> None:
        if rejects.num_rows:
            self._say(f"left out {_counts(rejects.columns[-1])}; they are in annotator.rejects")
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
