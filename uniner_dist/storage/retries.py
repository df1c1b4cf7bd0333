"""A storage call is tried for some seconds; what still fails is a `StorageError` with the storage's own words."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable
from typing import TypeVar

from uniner_dist.errors import StageError

T = TypeVar("T")
#: Waits between the tries of one call, in seconds, each drawn between half and one and a half of this: hundreds of
#: replicas that were throttled together must not come back together. Clients of object stores try several times
#: themselves before.
_WAITS_S = (0.2, 1.0, 4.0)
#: Not the generator that everybody shares: engines seed that one alike in all replicas.
_jitter = random.SystemRandom()
#: No further try after this long: clients of object stores may take half a minute to give up once.
_LONGEST_S = 45.0
#: Answers, not failures: callers decide what they mean.
_ANSWERS = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError)
#: Asking again does not help against these.
_FINAL = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.EINVAL),
    *(errno.EFBIG, errno.ENOSPC, errno.EDQUOT),
)
#: Libraries under fsspec whose exceptions are not all OSErrors.
_LIBRARIES = ("botocore", "aiobotocore", "s3fs", "aiohttp", "gcsfs", "google", "adlfs", "azure", "fsspec", "urllib3")


class StorageError(StageError):
    """Storage refused or failed, even after some tries; the message has the path and the storage's own words."""


def with_retries(path: str, call: Callable[[], T]) -> T:
    """Return the result of a storage call that is tried up to four times; no further try begins after 45 seconds.

    Args:
        path: path or URL that the call is about, for the message.
        call: the storage call, without arguments; it may be made several times, also after one that had an effect.

    Raises:
        FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError: as the call does, at once.
        StorageError: everything else that storage throws; for refusals that no repetition helps against at once.
        Exception: what the call throws that does not come from storage, as it is and at once.
    """
    begun = time.monotonic()
    for wait in (*_WAITS_S, None):
        try:
            return call()
        except _ANSWERS:
            raise
        except Exception as error:
            if not is_storage_error(error):
                raise
            late = time.monotonic() - begun > _LONGEST_S
            if wait is None or late or isinstance(error, PermissionError) or getattr(error, "errno", 0) in _FINAL:
                raise StorageError(f"{path}: {format_storage_error(error)}") from error
            time.sleep(wait * _jitter.uniform(0.5, 1.5))
    raise AssertionError("unreachable")


def is_storage_error(error: Exception) -> bool:
    """Return whether an exception comes from storage or from a library that talks to it.

    Args:
        error: as it was caught, with its traceback: errors of the HDFS library are recognised by it alone.
    """
    if isinstance(error, RuntimeError):  # what the library of HDFS raises has no type of its own
        return _raised_by(error) == "hdfs_native"
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in _LIBRARIES


def _raised_by(error: Exception) -> str:
    """The package whose code threw an exception."""
    trace, name = error.__traceback__, ""
    while trace is not None:
        name, trace = str(trace.tb_frame.f_globals.get("__name__", "")), trace.tb_next
    return name.split(".")[0]


def format_storage_error(error: Exception) -> str:
    """Return the message of a storage call's exception: the system's words, else its text, else the name of its type.

    Args:
        error: the exception as the storage's library threw it.
    """
    return getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
