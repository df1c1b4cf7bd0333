"""Reading plan of a corpus: one type per column, and for each group of files the conversion from their stored types.

All footers decide, whichever file sorts first; Spark's reader and the tasks follow the same plan. Types that
differ between files are widened where no value changes, else the corpus is refused naming two of its files. A file
without rows, or a column that is null throughout a file, decides nothing. No I/O except for columns in conflict.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import pyarrow as pa

from uniner_dist.errors import ConfigError
from uniner_dist.storage.column_facts import ColumnFacts, column_facts
from uniner_dist.storage.column_types import (
    DOUBLE_INTEGERS,
    UnreadableTypeError,
    is_nested,
    is_read_by_spark,
    read_type,
    widened,
)
from uniner_dist.storage.footers import FileSchema, Trait
from uniner_dist.storage.listing import shown
from uniner_dist.storage.parquet_schemas import INT96
from uniner_dist.storage.snapshot import Snapshot


@dataclass(frozen=True)
class StoredColumn:
    """A column as a group of files stores it.

    Attributes:
        name: as the files spell it; Spark does not distinguish upper and lower case.
        type: what it is read as, before it is widened to the corpus's type.
        by_spark: whether Spark's own reader gives that.
    """

    name: str
    type: pa.DataType
    by_spark: bool


@dataclass(frozen=True)
class FileGroup:
    """Files that are read alike.

    Attributes:
        files: as the file system spells them.
        places: their numbers among those of the corpus.
        columns: as stored, one for each column of the reading; None where it is absent or null throughout.
        by_spark: whether Spark's own reader can; pyarrow, in Spark's tasks, always can.
        opaque: see `uniner_dist.storage.footers.FileSchema`.
    """

    files: tuple[str, ...]
    places: tuple[int, ...]
    columns: tuple[StoredColumn | None, ...]
    by_spark: bool
    opaque: bool


@dataclass(frozen=True)
class Reading:
    """Columns of a corpus that are stored in its files, and how to get them.

    Attributes:
        columns: their names and types.
        groups: at least one; every file with rows is in one of them.
        rows: of all files.
        whole_folder: whether Spark may be given the folder instead of the files, as it finds the same.
        notes: remarks for the user.
    """

    columns: tuple[pa.Field, ...]
    groups: tuple[FileGroup, ...]
    rows: int
    whole_folder: bool
    notes: tuple[str, ...]

    def type_of(self, name: str) -> pa.DataType:
        """Return the type that a column is read as.

        Args:
            name: one of the columns that the reading was planned for, spelled as there.
        """
        return next(column.type for column in self.columns if column.name == name)


_Look = Callable[[Sequence[str], str], list[ColumnFacts]]


def plan_reading(snapshot: Snapshot, columns: Iterable[str], binary_text: bool = False) -> Reading:
    """Plan how to read some columns of a corpus.

    Args:
        snapshot: the corpus's files with their schemas.
        columns: names of columns; partition columns among them are skipped, as they are not stored in files.
        binary_text: whether columns of bytes hold UTF-8 text.

    Returns:
        The type of each column that is stored in files, in the order given and each once, and the groups of files that
        are read alike.

    Raises:
        ConfigError: naming every column that the files do not have, or whose types cannot be read or joined.
        StageError: a file cannot be read whose values had to be looked at because types differ.
    """
    names = [name for name in dict.fromkeys(columns) if name not in snapshot.folders]
    return _Planner(snapshot, names, binary_text).plan()


@dataclass
class _Planner:
    snapshot: Snapshot
    names: Sequence[str]
    binary_text: bool
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    nulls: dict[str, frozenset[int]] = field(default_factory=dict)  # files in which a column is null throughout

    def plan(self) -> Reading:
        snapshot = self.snapshot
        places = [place for place, rows in enumerate(snapshot.rows) if rows] or [0][: len(snapshot.rows)]
        example: dict[int, int] = {}
        for place in places:
            example.setdefault(snapshot.schema_of[place], place)
        stored = {number: self._stored(snapshot.schemas[number], place) for number, place in example.items()}
        kinds = [self._unify(index, name, stored, places) for index, name in enumerate(self.names)]
        if self.problems:
            raise ConfigError(self.problems)
        fields = tuple(pa.field(name, kind) for name, kind in zip(self.names, kinds, strict=True))
        groups = self._groups(places, stored, fields)
        known = {snapshot.schema_of[place] for place in places}
        alone = len(groups) == 1 and groups[0].by_spark and known.issuperset(snapshot.schema_of)
        return Reading(fields, groups, sum(snapshot.rows), snapshot.plain and alone, tuple(self.notes))

    def _stored(self, schema: FileSchema, place: int) -> tuple[StoredColumn | None, ...]:
        found: list[StoredColumn | None] = []
        for name in self.names:
            spelled = spelling(schema.schema.names, self._stored_name(name))
            if spelled is None:
                found.append(self._not_there(name, schema, place))
                continue
            kept = schema.schema.field(schema.schema.names.index(spelled))
            int96 = INT96 in (kept.metadata or {})
            try:
                if schema.schema.names.count(spelled) > 1:
                    raise UnreadableTypeError("several columns of a file have this name; rename them")
                kind = read_type(kept.type, int96, self.binary_text)
            except UnreadableTypeError as error:
                self.problems.append(f"corpus column {name}: {error} (in {self.snapshot.files[place]})")
                kind = pa.null()
            alone = [other.lower() for other in schema.schema.names].count(spelled.lower()) == 1
            # Spark's hidden column `_metadata` takes the place of a column of that name.
            free = alone and spelled.lower() != "_metadata"
            found.append(StoredColumn(spelled, kind, free and is_read_by_spark(kept.type, int96)))
        return tuple(found)

    def _not_there(self, name: str, schema: FileSchema, place: int) -> StoredColumn | None:
        """None for a column that a file lacks; one of nulls, and a problem, where several could be meant."""
        alike = [other for other in schema.schema.names if other.lower() == self._stored_name(name).lower()]
        if not alike:
            return None
        self.problems.append(
            f"corpus column {name}: {' and '.join(alike)} differ from it in case alone; name one of them "
            f"(in {self.snapshot.files[place]})"
        )
        return StoredColumn(alike[0], pa.null(), False)

    def _unify(
        self, index: int, name: str, stored: Mapping[int, tuple[StoredColumn | None, ...]], places: Sequence[int]
    ) -> pa.DataType:
        """The type of a column in all files, or a problem."""
        if self.snapshot.table is not None:
            return self._declared(index, name, stored)
        having = {number: columns[index] for number, columns in stored.items()}
        types = {number: column.type for number, column in having.items() if column is not None}
        if not types and not any(spelling(schema.schema.names, name) for schema in self.snapshot.schemas):
            self.problems.append(f"corpus column {name}: none of the files has it")
            return pa.null()
        lacking = [place for place in places if having[self.snapshot.schema_of[place]] is None]
        if lacking:
            files = [self.snapshot.files[place] for place in lacking]
            self.notes.append(f"column {name} is null in files that do not have it: {shown(files)}")
        kind = _join(types.values())
        if kind is None:
            kind = self._settle(name, types, places)
        distinct = {str(type_) for type_ in types.values() if not pa.types.is_null(type_)}
        if kind is not None and len(distinct) > 1:
            self.notes.append(f"column {name} is read as {kind}: its files have {', '.join(sorted(distinct))}")
        # A column of nulls alone gets the type that every reader has.
        return pa.string() if kind is None or pa.types.is_null(kind) else kind

    def _stored_name(self, name: str) -> str:
        table = self.snapshot.table
        return name if table is None else table.stored_names.get(name, name)

    def _declared(self, index: int, name: str, stored: Mapping[int, tuple[StoredColumn | None, ...]]) -> pa.DataType:
        """The type that a table gives a column; files may hold a narrower one, as before the type was widened."""
        assert self.snapshot.table is not None
        table = self.snapshot.table
        if name not in table.schema.names:
            self.problems.append(f"corpus column {name}: the table does not have it")
            return pa.null()
        try:
            kind = read_type(table.schema.field(name).type, binary_text=self.binary_text)
        except UnreadableTypeError as error:
            self.problems.append(f"corpus column {name}: {error}")
            return pa.null()
        if name in table.renamed_inside:
            self.problems.append(
                f"corpus column {name}: holds {kind}; nested columns with renamed fields are not read (column mapping)"
            )
        found = {column.type for columns in stored.values() if (column := columns[index]) is not None}
        for other in sorted(map(str, (one for one in found if widened(kind, one) != kind))):
            self.problems.append(f"corpus column {name}: is {kind} in the table, and {other} in some of its files")
        return kind

    def _settle(self, name: str, types: Mapping[int, pa.DataType], places: Sequence[int]) -> pa.DataType | None:
        """Look at the values of a column whose types are in conflict; files in which it is null do not count."""
        having = [place for place in places if self.snapshot.schema_of[place] in types]
        facts = column_facts(self.snapshot.path, [self.snapshot.files[place] for place in having], name)
        self.nulls[name] = frozenset(place for place, fact in zip(having, facts, strict=True) if fact.all_null)
        counting = {
            place: (types[self.snapshot.schema_of[place]], fact)
            for place, fact in zip(having, facts, strict=True)
            if not fact.all_null
        }
        first: dict[pa.DataType, int] = {}
        for place, (kind, _) in counting.items():
            first.setdefault(kind, place)
        joined = _join(first)
        if joined is not None or not first:
            return joined or pa.null()
        if self._fit_doubles(first, counting.values()):
            return pa.float64()
        one, other = _two_apart(first)
        files = [self.snapshot.files[first[kind]] for kind in (one, other)]
        self.problems.append(
            f"corpus column {name}: holds {one} in {files[0]} and {other} in {files[1]}, and no type holds both "
            "unchanged; write them as one type"
        )
        return None

    def _fit_doubles(self, kinds: Iterable[pa.DataType], counting: Iterable[tuple[pa.DataType, ColumnFacts]]) -> bool:
        """Whether integers among floats are so small that doubles hold them."""
        numbers = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds)
        return numbers and all(
            not pa.types.is_integer(kind) or (fact.largest is not None and fact.largest <= DOUBLE_INTEGERS)
            for kind, fact in counting
        )

    def _is_plain(self, place: int) -> bool:
        """Whether name and table of a file let Spark read it: it would read an empty folder value as null."""
        if self.snapshot.table is not None:
            return not self.snapshot.table.marks[place]
        return "=/" not in self.snapshot.files[place][len(self.snapshot.base) :]

    def _groups(
        self, places: Sequence[int], stored: Mapping[int, tuple[StoredColumn | None, ...]], fields: Sequence[pa.Field]
    ) -> tuple[FileGroup, ...]:
        snapshot = self.snapshot
        members: defaultdict[tuple[tuple[StoredColumn | None, ...], bool, bool], list[int]] = defaultdict(list)
        for place in places:
            number = snapshot.schema_of[place]
            columns = tuple(
                None if column is None or pa.types.is_null(column.type) or place in self.nulls.get(name, ()) else column
                for name, column in zip(self.names, stored[number], strict=True)
            )
            plain = snapshot.traits[place] is Trait.NONE and self._is_plain(place)
            by_spark = plain and all(
                column is None or _is_castable(column, kept.type) for column, kept in zip(columns, fields, strict=True)
            )
            members[columns, by_spark, snapshot.schemas[number].opaque].append(place)
        if not members:  # a table without files
            members[(None,) * len(fields), False, False] = []
        return tuple(
            FileGroup(tuple(snapshot.files[place] for place in found), tuple(found), *key)
            for key, found in members.items()
        )


def _is_castable(column: StoredColumn, kind: pa.DataType) -> bool:
    """Whether Spark reads a column and casts it to its type; nested ones are cast by pyarrow, which goes by names."""
    return column.by_spark and (column.type == kind or not is_nested(kind))


def spelling(names: Sequence[str], name: str) -> str | None:
    """Return how files spell a column: as given, or as the only name that differs in case alone.

    None where no name matches, or several differ in case alone.

    Args:
        names: column names of a file.
        name: the column as the user or the table names it.
    """
    if name in names:
        return name
    alike = [other for other in names if other.lower() == name.lower()]
    return alike[0] if len(alike) == 1 else None


def _join(kinds: Iterable[pa.DataType]) -> pa.DataType | None:
    return reduce(_or_none, kinds, pa.null())


def _or_none(first: pa.DataType | None, second: pa.DataType) -> pa.DataType | None:
    return None if first is None else widened(first, second)


def _two_apart(kinds: Iterable[pa.DataType]) -> tuple[pa.DataType, pa.DataType]:
    """Two types that cannot be joined, or the first and the last of several that cannot all be."""
    listed = list(kinds)
    for i, one in enumerate(listed):
        for other in listed[i + 1 :]:
            if widened(one, other) is None:
                return one, other
    return listed[0], listed[-1]
