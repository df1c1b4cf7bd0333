"""Finds installed siblings of torch that do not fit its build.

pip takes torchvision and torchaudio of the default index for a CPU build of torch: CUDA builds, which break whatever
imports them ("operator torchvision::nms does not exist"), transformers among it. Nothing here uses them, so a replica
hides the ones that do not fit. Reads the metadata of installed packages; never imports torch.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Final

from packaging.requirements import Requirement
from packaging.version import Version

#: Packages with binaries that are built for one build of torch.
SIBLINGS: Final = ("torchvision", "torchaudio", "torchcodec")


def installed_version(package: str) -> str | None:
    """Return the version of an installed distribution, with its build such as `+cpu`; None where it is not installed.

    Args:
        package: name of the distribution, as pip knows it.
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def misfits() -> dict[str, str]:
    """Return the installed siblings of torch that are made for another torch.

    Returns:
        Name → why, in one line that begins with name and version; empty where all fit, or without torch.
    """
    torch = installed_version("torch")
    if torch is None:
        return {}
    found = {}
    for name in SIBLINGS:
        version = installed_version(name)
        if version is None:
            continue
        reason = misfit(torch, version, metadata.requires(name) or ())
        if reason:
            found[name] = f"{name} {version} {reason}"
    return found


def misfit(torch: str, sibling: str, requirements: tuple[str, ...] | list[str] = ()) -> str | None:
    """Return why a sibling's build does not fit a torch, as the end of a sentence; None where it fits.

    Args:
        torch: version of torch, such as `2.13.0+cpu`.
        sibling: version of the sibling, such as `0.28.0`.
        requirements: the sibling's requirements, as in its metadata.
    """
    for requirement in map(Requirement, requirements):
        if requirement.name == "torch" and Version(torch) not in requirement.specifier:
            return f"needs torch{requirement.specifier}, and torch {torch} is installed"
    ours, theirs = Version(torch).local, Version(sibling).local
    # Without a label, it is the default index's build, which on that index fits a torch without one.
    if ours != theirs and "cpu" in (ours, theirs):
        return f"is not the {ours or 'default'} build that torch {torch} is"
    return None


def hide_misfits() -> dict[str, str]:
    """Make misfitting siblings look as if they were not installed, in this process.

    Returns:
        All misfits as `misfits` returns them. One that was imported already stays imported.
    """
    hidden = misfits()
    for name in hidden:
        if name not in sys.modules:
            sys.modules[name] = None  # type: ignore[assignment]
    return hidden


def mend(hidden: Mapping[str, str]) -> str:
    """Return the command that fixes an environment with misfits.

    Args:
        hidden: misfits by name; what is said of them is not used.
    """
    return f"pip uninstall -y {' '.join(hidden)}"
