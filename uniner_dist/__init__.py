"""Distributed open named entity recognition over Parquet corpora.

Importing this package needs neither Spark, Ray nor vLLM; each stage imports its own engine when it runs. In a notebook:

    import uniner_dist as ud

    annotator = ud.Annotator()
    annotations = annotator.annotate(texts, types=["person", "location"])
    ud.show(annotations)
"""

from typing import TYPE_CHECKING, Any

from uniner_dist._version import __version__

if TYPE_CHECKING:
    from uniner_dist.notebook import Annotations, Annotator, show

__all__ = ["Annotations", "Annotator", "__version__", "show"]


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first used."""
    if name in ("Annotations", "Annotator", "show"):
        from uniner_dist import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
