"""Delta and Iceberg tables as corpora: which files and rows a version has, as `deltalake` and `pyiceberg` say."""
