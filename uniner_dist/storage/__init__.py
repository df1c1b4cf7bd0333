"""The only place that knows paths and atomicity. Everything goes through fsspec: a path may be a URL of any scheme."""
