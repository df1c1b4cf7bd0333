"""Uses of private names of the libraries for tables and object stores."""

from __future__ import annotations

from typing import Any

import pyarrow as pa


def iceberg_schema(schema: pa.Schema) -> Any:
    """Return pyiceberg's schema of columns that have no field ids yet.

    pyiceberg's public functions want ids in the Arrow schema.

    Args:
        schema: columns of a table, in Arrow's types.

    Raises:
        Exception: one of pyiceberg's own, for a type that a table cannot hold.
    """
    from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids

    return _pyarrow_to_schema_without_ids(schema)


def gcs_endpoint(fs: Any) -> str:
    """Return the URL of the service that a file system talks to, without a slash at its end: Google's or an emulator's.

    Args:
        fs: gcsfs's `GCSFileSystem`.
    """
    endpoint: str = fs._location
    return endpoint
