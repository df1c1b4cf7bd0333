"""Uses of private names of the libraries for tables and object stores."""

from __future__ import annotations

from typing import Any

import pyarrow as pa


def iceberg_schema(schema: pa.Schema) -> Any:
    """pyiceberg's schema of columns that have no field ids yet; its public functions want ids in the Arrow schema.

    Raises:
        Exception: one of pyiceberg's own, for a type that a table cannot hold.
    """
    from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids

    return _pyarrow_to_schema_without_ids(schema)


def gcs_endpoint(fs: Any) -> str:
    """URL of the service that a `GCSFileSystem` talks to, without a slash at its end: Google's or an emulator's."""
    endpoint: str = fs._location
    return endpoint
