"""Distributed open named entity recognition over Parquet corpora.

Importing this package needs neither Spark, Ray nor vLLM; each stage imports its own engine when it runs. In a notebook:

    import uniner_dist as ud

    annotator = ud.Annotator()
    annotations = annotator.annotate(texts, types=["person", "location"])
    ud.show(annotations)

A whole corpus: `ud.annotate("corpus/", ["person", "location"], output="annotations/")`. The names in `__all__` are the
public interface, which keeps its meaning within a minor version; everything else may change.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from uniner_dist._version import __version__
from uniner_dist.errors import (
    AuditError,
    ConfigError,
    DrainedError,
    LimitError,
    PoolError,
    QualityGateError,
    RunHeldError,
    StageError,
    ThresholdError,
    UninerError,
    UnreachableError,
)

if TYPE_CHECKING:
    from uniner_dist import demo
    from uniner_dist.config.schema import Config
    from uniner_dist.evaluation import evaluate
    from uniner_dist.notebook import Annotations, Annotator, Plan, Report, annotate, plan, show
    from uniner_dist.notebook.spark_ml import AnnotationTransformer

#: Public name → the module that it is imported from when it is first used.
_PLACES = {
    "AnnotationTransformer": "uniner_dist.notebook.spark_ml",
    "Config": "uniner_dist.config.schema",
    "evaluate": "uniner_dist.evaluation",
    **dict.fromkeys(("Annotations", "Annotator", "Plan", "Report", "annotate", "plan", "show"), "uniner_dist.notebook"),
}

__all__ = [
    "Annotations",
    "Annotator",
    "AuditError",
    "Config",
    "ConfigError",
    "DrainedError",
    "LimitError",
    "Plan",
    "PoolError",
    "QualityGateError",
    "Report",
    "RunHeldError",
    "StageError",
    "ThresholdError",
    "UninerError",
    "UnreachableError",
    "__version__",
    "annotate",
    "demo",
    "evaluate",
    "plan",
    "show",
]

if find_spec("pyspark"):  # its base class is Spark's
    __all__ += ["AnnotationTransformer"]


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first used."""
    if name == "demo":  # the sample corpus, its gold and the demonstration model
        return import_module("uniner_dist.demo")
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
