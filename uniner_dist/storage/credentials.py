"""Credentials of object stores, on their way to Spark's tasks and Ray's actors.

They travel inside of pickled tasks, held in memory: not in Spark's or Ray's configuration, which both show in their
user interfaces, nor in our files. A process that has credentials of its own keeps them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

#: Environment variables by which fsspec's file systems and the clouds' own libraries find endpoint and credentials.
_PREFIXES = ("AWS_", "FSSPEC_", "STORAGE_EMULATOR_HOST", "AZURE_STORAGE_")
#: Names of files, which need not exist elsewhere: they stay here.
_FILES = ("AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE")
#: A machine that knows only such things has no credentials of its own.
_NEUTRAL = (
    "AWS_CA_BUNDLE",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_MAX_ATTEMPTS",
    "AWS_REGION",
    "AWS_RETRY_MODE",
)


def of_this_process() -> dict[str, str]:
    """What this process knows and another one can use."""
    return {name: value for name, value in os.environ.items() if name.startswith(_PREFIXES) and name not in _FILES}


def adopt(values: Mapping[str, str]) -> None:
    """Take what another process knew, where this one knows nothing of the kind.

    All of a provider's variables belong together: a key from here and a session token from there do not fit.
    """
    own = {_provider(name) for name in os.environ if name.startswith(_PREFIXES) and name not in _NEUTRAL}
    os.environ.update({name: value for name, value in values.items() if _provider(name) not in own})


def _provider(name: str) -> str:
    return next(prefix for prefix in _PREFIXES if name.startswith(prefix))
