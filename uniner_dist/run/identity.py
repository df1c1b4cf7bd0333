"""Identity of a way of answering (the fingerprint) and of a run. Pure hashes of values, stable across machines.

A completion is valid for anyone with the same (passage, asked type, fingerprint); a run is the same run when its plan
is the same. Paths of caches, parallelism and speed settings are in neither.
"""

from __future__ import annotations

from dataclasses import asdict

from uniner_dist.config.schema import SPEED_ARGUMENTS, Config
from uniner_dist.core.hashing import digest
from uniner_dist.core.template import get_template
from uniner_dist.schemas import SCHEMA_VERSION


def fingerprint(config: Config, model_identity: str) -> str:
    """Return a hash over what changes an answer: the weights, the ids that are sent, precision, decoding.

    Args:
        config: only the parts that change an answer count.
        model_identity: what `uniner_dist.model.identity.identify` says of weights and tokenizer (never a path).
    """
    model, engine = config.model, config.engine
    parts: dict[str, object] = {
        "model": model_identity,
        "dtype": precision(config),
        "quantization": model.quantization,
        "template": asdict(get_template(model.template)),
        "max_tokens": model.max_tokens,
        "decoding": "greedy",
    }
    # Left out where they say nothing, so that the usual fingerprint does not depend on them.
    if engine.kind != "vllm":
        return digest(parts | {"engine": engine.kind})
    extra = {key: value for key, value in engine.extra.items() if key not in SPEED_ARGUMENTS}
    return digest(parts | ({"extra": extra} if extra else {}))


def _corpus(config: Config) -> dict[str, object]:
    """The section without later options that have their default, so that ids of earlier releases stay.

    How the version of a table was chosen is left out too: the snapshot says which one it is.
    """
    fields = type(config.corpus).model_fields
    later = ("binary_text", "max_text_bytes")
    return config.corpus.model_dump(
        exclude={"version", "as_of"} | {name for name in later if getattr(config.corpus, name) == fields[name].default}
    )


def precision(config: Config) -> str:
    """Return the precision of the weights as loaded: "auto" is float32 on a CPU.

    On a GPU "auto" is returned as it is, and means the precision of the checkpoint.

    Args:
        config: `model.dtype`, and `pool.gpus_per_replica`, which is 0 for a CPU.
    """
    if config.model.dtype == "auto" and not config.pool.gpus_per_replica:
        return "float32"
    return config.model.dtype


def run_id(config: Config, fingerprint: str, snapshot: str) -> str:
    """Return the name of the run: the same command over the same corpus resumes, anything else is another run.

    Args:
        config: with absolute paths (`storage.filesystem.absolute`).
        fingerprint: hash of all that changes an answer, see `fingerprint`.
        snapshot: hash over the corpus's files, or of a table's version (`uniner_dist.storage.snapshot`).
    """
    plan = {
        "schema": SCHEMA_VERSION,
        "fingerprint": fingerprint,
        "snapshot": snapshot,
        "corpus": _corpus(config),
        "output": config.output.model_dump(include={"path", "partition_by"}),
        "types": [entity_type.model_dump() for entity_type in config.types],
        "prompts": config.prompts.model_dump(),
        "max_model_len": config.model.max_model_len,
        "scores": config.run.scores,
        "engine": config.engine.kind,
    }
    # Left out while it is off, so that ids of runs without it stay.
    triage = {"triage": config.triage.model_dump(exclude={"if_broken"})} if config.triage.is_on else {}
    return digest(plan | triage, 12)
