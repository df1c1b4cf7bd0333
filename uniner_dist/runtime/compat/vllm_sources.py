"""Facts read from vLLM's sources, as importing it takes seconds and changes the importing process."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path

_QUANTIZATIONS = Path("model_executor", "layers", "quantization", "__init__.py")


@cache
def known_quantizations() -> tuple[str, ...]:
    """Return the names that the installed vLLM takes for `quantization`.

    The result is empty where vLLM is not installed, or its sources do not say.
    """
    found = importlib.util.find_spec("vllm")
    file = Path(found.origin).parent / _QUANTIZATIONS if found and found.origin else None
    if file is None or not file.exists():
        return ()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(ast.unparse(name) == "QuantizationMethods" for name in node.targets):
            texts = (part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant))
            return tuple(text for text in texts if isinstance(text, str))
    return ()
