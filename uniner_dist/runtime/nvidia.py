"""Whether this machine's NVIDIA driver can run the CUDA that the installed torch was built for. Reads files only."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

#: CUDA's major version → the lowest branch of Linux drivers that runs it (NVIDIA, "CUDA Compatibility", table 1).
LOWEST_DRIVER: Final[Mapping[int, int]] = {11: 450, 12: 525, 13: 580}
_DRIVER_FILE: Final = Path("/proc/driver/nvidia/version")
#: Device of GPUs whose driver is that of Windows (WSL): `_DRIVER_FILE` is not there.
_WINDOWS_GPUS: Final = Path("/dev/dxg")
#: Devices of GPUs that are not in NVIDIA's folder; Ray counts them.
_OTHER_GPUS: Final = (_WINDOWS_GPUS, Path("/dev/kfd"))
#: Number of GPUs where they are not counted: enough for any replica.
NOT_COUNTED: Final = 64
_GPU_FOLDER: Final = Path("/proc/driver/nvidia/gpus")


def driver_version(file: Path = _DRIVER_FILE) -> str | None:
    """Return the version of the loaded NVIDIA kernel driver, such as `580.65.06`; None where there is none.

    Args:
        file: the driver's description of itself.
    """
    try:
        found = re.search(r"Kernel Module.*?\s(\d+\.\d+[\d.]*)\s", file.read_text())
    except OSError:
        return None
    return found[1] if found else None


def count_gpus(folder: Path = _GPU_FOLDER) -> int:
    """Return the number of GPUs of this machine, as NVIDIA's driver lists them.

    Args:
        folder: the driver's folder, with an entry for each GPU.

    Returns:
        Without that folder (WSL, AMD's GPUs) GPUs are not counted: `NOT_COUNTED` where there are any, else 0.
    """
    try:
        return len(list(folder.iterdir()))
    except OSError:
        return NOT_COUNTED if any(place.exists() for place in _OTHER_GPUS) else 0


def torch_cuda() -> str | None:
    """Return the CUDA that the installed torch was built for, such as `13.0`; None for a CPU build or without torch."""
    return _built_for("cuda")


def torch_hip() -> str | None:
    """Return the HIP that the installed torch was built for, such as `7.0`; None for another build or without torch."""
    return _built_for("hip")


def gpu_problem() -> str | None:
    """Return `driver_problem` of this machine; a build for AMD's GPUs is not checked, nor the driver under WSL."""
    driver, cuda = driver_version(), torch_cuda()
    is_unknown = driver is None and cuda is not None and _WINDOWS_GPUS.exists()
    return None if is_unknown or torch_hip() else driver_problem(driver, cuda)


def _built_for(kind: str) -> str | None:
    """The version of a platform that torch was built for, from its version module, read without importing torch.

    Args:
        kind: `cuda` or `hip`.
    """
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.origin:
        return None
    try:
        text = (Path(spec.origin).parent / "version.py").read_text()
    except OSError:
        return None
    found = re.search(rf"^{kind}\b[^=\n]*=\s*'([^']+)'", text, re.MULTILINE)
    return found[1] if found else None


def driver_problem(driver: str | None, cuda: str | None) -> str | None:
    """Return why GPUs cannot be used, with what to do; None where nothing is wrong.

    Args:
        driver: version of the loaded driver, from `driver_version`; None where there is none.
        cuda: version of CUDA that torch was built for, from `torch_cuda`; None for a CPU build.
    """
    if cuda is None:
        return "the installed torch is a CPU build, which sees no GPU; install vLLM's CUDA build: uniner-dist[gpu]"
    if driver is None:
        return "there is no NVIDIA driver on this machine"
    lowest = LOWEST_DRIVER.get(int(cuda.split(".")[0]))
    if lowest is not None and int(driver.split(".")[0]) < lowest:
        return f"the NVIDIA driver {driver} is too old for CUDA {cuda}; install driver {lowest} or newer"
    return None
