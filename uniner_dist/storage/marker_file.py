"""Storage format of a marker: the metadata of a Parquet file without rows that has the columns of the dataset.

So readers may treat it as a file of the dataset: polars and DuckDB look into hidden folders too, and polars refuses a
folder with files of several extensions. It is stored in the partition folders of null, as readers expect the same
folder columns of all files, whatever their types.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from uniner_dist.core.characters import visible
from uniner_dist.errors import StageError
from uniner_dist.storage.containment import require_inside
from uniner_dist.storage.control_files import ControlFileError, Marker, encode_control, parse_control
from uniner_dist.storage.filesystem import exists, join, list_names, open_fs
from uniner_dist.storage.hive import folder_name
from uniner_dist.storage.place_layout import MARKER_FILE, OutputLayout, is_unfinished_marker
from uniner_dist.storage.retries import with_retries

#: The marker's key in the metadata of the file.
_KEY = b"uniner_dist"


def marker_path(output: str) -> str | None:
    """Return the path of an output's marker, found by listing the folders that are there; None without such a folder.

    Only markers of outputs with folder columns are found; that of an output without them is `OutputLayout.flat_marker`.

    Args:
        output: path or URL of the published dataset.

    Raises:
        ControlFileError: another file is in its folder.
        OutsideError: its folder is a link.
    """
    layout = OutputLayout(output)
    place, names = layout.markers, _names(layout.markers)
    while names and names != [MARKER_FILE]:
        if len(names) > 1 or "=" not in names[0]:
            raise ControlFileError(f"{visible(place)}: holds what is not ours ({visible(names[0])}); remove it")
        place = join(place, names[0])
        names = _names(place)
    if not names:
        return None
    path = join(place, MARKER_FILE)
    require_inside(path, output, f"the marker of {output}")
    return path


def _names(folder: str) -> list[str]:
    return [name for name in list_names(folder) if not is_unfinished_marker(name)]


def encode_marker(marker: Marker, columns: pa.Schema) -> bytes:
    """Return the bytes of the marker's Parquet file.

    Args:
        marker: what goes into the metadata of the file's footer.
        columns: columns of the dataset's files, without those of their folders.
    """
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, columns, store_schema=False) as writer:  # as Spark writes the others
        writer.add_key_value_metadata({_KEY: encode_control(marker)})
    return buffer.getvalue()


def parse_marker(output: str, path: str, data: bytes) -> tuple[Marker, pa.Schema]:
    """Read a marker from the bytes of its file, the inverse of `encode_marker`.

    Args:
        output: path or URL of the published dataset.
        path: the file that the bytes are of, for messages; must be where a marker with these folder columns belongs.
        data: the whole file.

    Returns:
        The marker, and the columns of the dataset's files without the folder columns.

    Raises:
        ControlFileError: it is no marker of ours, or one of other folders.
    """
    try:
        schema = pq.read_schema(io.BytesIO(data))
    except (pa.ArrowException, OSError, ValueError):
        raise ControlFileError(
            f"{visible(path)}: is damaged or not ours (no Parquet); nothing was done with it"
        ) from None
    marker = parse_control(path, (schema.metadata or {}).get(_KEY, b""), Marker)
    if path != OutputLayout(output).marker(marker.partition_by):
        raise ControlFileError(
            f"{visible(path)}: is the marker of a dataset with other folders; nothing was done with it"
        )
    return marker, schema.remove_metadata()


def columns_of(file: str) -> pa.Schema:
    """Return the columns of a Parquet file of the dataset, as readers see them: without the file's metadata.

    Args:
        file: path or URL of the file.

    Raises:
        StageError: it cannot be read.
    """
    fs, stripped = open_fs(file)
    try:
        with with_retries(file, lambda: fs.open(stripped, "rb")) as stream:
            schema: pa.Schema = pq.read_schema(stream)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise StageError(f"{visible(file)}: cannot be read ({error})") from error
    return schema.remove_metadata()


def placeholder_path(partition_by: Sequence[str], name: str) -> str:
    """Return the path, relative to the output, of the file of an output without rows: in one folder per folder column.

    The folders have the value `empty`: pyarrow needs a value of every folder column.

    Args:
        partition_by: folder columns of the output, from the outermost; none for a file directly in the output.
        name: name of the file.
    """
    return "/".join([*(folder_name(column, "empty") for column in partition_by), name])


def is_output(path: str) -> bool:
    """Return whether a folder has a marker of ours, of this or an earlier release; its content is not looked at.

    Args:
        path: path or URL of a folder, which need not exist.

    Raises:
        ControlFileError: the marker's folder has a file that is not ours.
        OutsideError: the marker's folder is a link.
    """
    layout = OutputLayout(path)
    return marker_path(path) is not None or exists(layout.flat_marker) or exists(layout.earlier_marker)
