"""Redaction of secrets in a report, which is meant to be pasted into a public issue."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

_NAMES: Final = re.compile(
    r"secret|token|passw|credential|api_?key|access_?key|account_?key|connection_string|(?:^|_)sas(?:_|$)",
    re.IGNORECASE,
)
_FIELDS: Final = r"(?:account|shared)_?(?:access_?)?key(?:name)?|sig|signature|password|token|x-amz-[a-z-]+"
#: Forms in which secrets are written in URLs and connection strings.
_FORMS: Final = (
    (re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*(?=@)"), "…:…"),
    (re.compile(rf"\b({_FIELDS})=[^&;\s]+", re.IGNORECASE), r"\1=…"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"), "…"),
    (re.compile(r"\bhf_[A-Za-z0-9]{8,}\b"), "…"),
)
#: Shorter values are no secrets, and occur in other words.
_SHORTEST: Final = 6


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Return a text in which `…` replaces secrets.

    These are passwords in URLs, signatures, keys, and the values of environment variables whose names show that they
    are secret (`…TOKEN…`, `…SECRET…`).

    Args:
        text: any line.
        environment: name → value of environment variables; None: those of this process.
    """
    variables = os.environ if environment is None else environment
    values = {value for name, value in variables.items() if _NAMES.search(name) and len(value) >= _SHORTEST}
    for value in sorted(values, key=len, reverse=True):
        if not os.path.exists(value):  # the path of a credentials file is no secret, and useful
            text = text.replace(value, "…")
    for form, replacement in _FORMS:
        text = form.sub(replacement, text)
    return text
