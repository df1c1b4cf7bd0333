"""Gold in the formats of others, as evaluation, import and gate read it; see `uniner_dist.formats.sources`."""

from uniner_dist.formats.sources import read_documents, read_source, source_format

__all__ = ["read_documents", "read_source", "source_format"]
