"""Transfer of the credentials of object stores to Spark's tasks and Ray's actors.

They are sent inside of pickled tasks, held in memory: not in Spark's or Ray's configuration, which both show in their
user interfaces, nor in our files. A process that has credentials of its own keeps them. The variables that are sent
are listed here one by one; nothing else of the environment leaves the machine.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import fsspec

#: Provider → the variables by which its client finds endpoint and credentials.
_NAMES = {
    "aws": (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_REQUEST_CHECKSUM_CALCULATION",
        "AWS_RESPONSE_CHECKSUM_VALIDATION",
        "AWS_DEFAULT_REGION",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_MAX_ATTEMPTS",
        "AWS_REGION",
        "AWS_RETRY_MODE",
    ),
    # adlfs reads AZURE_STORAGE_…, the login of a service principal (azure-identity) the others.
    "azure": (
        "AZURE_STORAGE_CONNECTION_STRING",
        "AZURE_STORAGE_ACCOUNT_NAME",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_CLIENT_ID",
        "AZURE_STORAGE_CLIENT_SECRET",
        "AZURE_STORAGE_TENANT_ID",
        "AZURE_STORAGE_ANON",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_TENANT_ID",
        "AZURE_AUTHORITY_HOST",
    ),
    "google": (
        "GOOGLE_CLOUD_PROJECT",
        "GCSFS_DEFAULT_PROJECT",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT",
        "STORAGE_EMULATOR_HOST",
    ),
}
#: fsspec's own way: FSSPEC_S3_KEY sets the argument `key` of s3fs. Beginning of such names → provider.
_FSSPEC = {
    **dict.fromkeys(("FSSPEC_S3_", "FSSPEC_S3A_"), "aws"),
    **dict.fromkeys(("FSSPEC_ABFS_", "FSSPEC_ABFSS_", "FSSPEC_AZ_"), "azure"),
    **dict.fromkeys(("FSSPEC_GS_", "FSSPEC_GCS_"), "google"),
    "FSSPEC_HDFS_": "hdfs",
}
#: Variables that name a file whose content is sent, since the file need not exist elsewhere.
_KEY_FILES = {"google": ("GOOGLE_APPLICATION_CREDENTIALS",)}
#: Variables that are no credentials: a machine that has only these has no credentials of its own.
_NEUTRAL = (
    *("AWS_DEFAULT_REGION", "AWS_EC2_METADATA_DISABLED", "AWS_MAX_ATTEMPTS", "AWS_REGION", "AWS_RETRY_MODE"),
    *("AZURE_AUTHORITY_HOST", "GOOGLE_CLOUD_PROJECT", "GCSFS_DEFAULT_PROJECT", "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"),
)
_PROVIDER_OF = {name: provider for names in (_NAMES, _KEY_FILES) for provider in names for name in names[provider]}
#: File descriptors of adopted key files, whose content stays in memory for as long as the process lives.
_HELD: list[int] = []


def of_this_process() -> dict[str, str]:
    """Return the environment variables by which this process reaches object stores, for another process to `adopt`.

    Returns:
        Variable → value; for a variable that names a key file, the content of that file instead, and nothing where it
        cannot be read. Only the variables listed in this module.
    """
    found = {name: value for name, value in os.environ.items() if _provider(name) and not _is_key_file(name)}
    for name in filter(_is_key_file, os.environ):
        with contextlib.suppress(OSError):
            found[name] = Path(os.environ[name]).read_text(encoding="utf-8")
    return found


def adopt(values: Mapping[str, str]) -> None:
    """Set the variables of another process, where this one has no credentials of the same provider.

    All of a provider's variables belong together: a key from here and a session token from there do not fit.

    Args:
        values: what `of_this_process` returned there. A key file's content is held in memory, and its variable names
            that.
    """
    own = {_provider(name) for name in os.environ if name not in _NEUTRAL}
    taken = {name: value for name, value in values.items() if _provider(name) not in own}
    for name, value in taken.items():
        os.environ[name] = _in_memory(value) if _is_key_file(name) else value
    # fsspec has read its own variables when it was imported.
    fsspec.config.set_conf_env(
        fsspec.config.conf, {name: value for name, value in taken.items() if name.startswith("FSSPEC_")}
    )


def _provider(name: str) -> str | None:
    """Return the provider whose client reads a variable; None for variables that are not sent."""
    return _PROVIDER_OF.get(name) or next((of for begin, of in _FSSPEC.items() if name.startswith(begin)), None)


def _is_key_file(name: str) -> bool:
    return any(name in names for names in _KEY_FILES.values())


def _in_memory(content: str) -> str:
    """Return the path of a file with this content that is on no disk and ends with this process."""
    file = os.memfd_create("uniner-dist-key")
    os.write(file, content.encode())
    _HELD.append(file)
    return f"/proc/{os.getpid()}/fd/{file}"
