"""Credentials of object stores, on their way to Spark's tasks and Ray's actors.

They travel inside of pickled tasks, held in memory: not in Spark's or Ray's configuration, which both show in their
user interfaces, nor in our files. A process that has credentials of its own keeps them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

#: Environment variables by which fsspec's file systems and the clouds' own libraries find endpoint and credentials.
#: Not the names of key files, which need not exist elsewhere.
_PREFIXES = ("AWS_", "FSSPEC_", "STORAGE_EMULATOR_HOST", "AZURE_STORAGE_")
#: A machine that knows only its region has no credentials of its own.
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


def of_this_process() -> dict[str, str]:
    """What this process knows."""
    return {name: value for name, value in os.environ.items() if name.startswith(_PREFIXES)}


def adopt(values: Mapping[str, str]) -> None:
    """Take what another process knew, where this one knows nothing of the kind.

    All of a provider's variables belong together: a key from here and a session token from there do not fit.
    """
    own = {_provider(name) for name in of_this_process() if name not in _REGIONS}
    os.environ.update({name: value for name, value in values.items() if _provider(name) not in own})


def _provider(name: str) -> str:
    return next(prefix for prefix in _PREFIXES if name.startswith(prefix))
