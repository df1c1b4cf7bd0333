"""The version of the package: read by the build back end, and imported by everything that names it."""

__version__ = "0.1.0"
