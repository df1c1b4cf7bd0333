"""Check that the files of a table's version still exist: a table can be vacuumed, its snapshots expired."""

from __future__ import annotations

from uniner_dist.errors import ConfigError
from uniner_dist.storage.filesystem import find_details, open_fs
from uniner_dist.storage.listing import Listing, format_gone_files, shown
from uniner_dist.storage.table_names import is_table_name, table_root


def require_files(listing: Listing) -> None:
    """Check by one listing of the table's folder that the version's files exist.

    Nothing is checked for plain Parquet, which was listed already, for tables named by a catalog, and for files outside
    of the table's folder.

    Args:
        listing: the corpus as listed.

    Raises:
        ConfigError: some are gone.
    """
    if listing.table is None or not listing.files or is_table_name(listing.path):
        return
    root = table_root(listing.path)
    fs, stripped = open_fs(root)
    fs.invalidate_cache()
    present = set(find_details(fs, stripped))
    names = {file: open_fs(file)[1] if "://" in file else file for file in listing.files}
    gone = [file for file, name in names.items() if name.startswith(f"{stripped}/") and name not in present]
    if gone:
        raise ConfigError(f"corpus {listing.path}: {shown(gone)} is not there{format_gone_files(listing)}")
