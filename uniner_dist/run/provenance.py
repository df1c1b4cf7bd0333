"""Where rows come from: everything about a run that its answers depend on, and how to look it up from an output alone.

Each row of an output names its run; the output's marker holds what `describe` returns for every run, and so do the
footers of the run's files, for those who take files away from the output.
"""

from __future__ import annotations

from uniner_dist import model
from uniner_dist._version import __version__
from uniner_dist.errors import ConfigError
from uniner_dist.run.run import Run
from uniner_dist.run.starts import read_starts
from uniner_dist.storage.control_files import Provenance, PublishedRun
from uniner_dist.storage.filesystem import exists
from uniner_dist.storage.marker import read_marker


def describe(run: Run) -> Provenance:
    """Return what the answers of a run were made by: model, engines, decoding, questions and version of the corpus.

    Args:
        run: the run; its engines are known once its completions stage has been started.

    Raises:
        ControlFileError: the counters of one of its starts are damaged.
    """
    config = run.config.model
    return Provenance(
        corpus_version=run.corpus_version_text or None,
        corpus_pinned=run.corpus_version if run.corpus_version_text else None,
        model=run.model_name,
        model_identity=run.model_identity,
        revision=revision(run),
        fingerprint=run.fingerprint,
        template=config.template,
        decoding=f"greedy, at most {config.max_tokens} tokens",
        dtype=config.dtype,
        quantization=config.quantization or "none",
        engines=tuple(engines(run)),
        licence=model.licence(config),
        asks=run.config.questions.by_label(),
        max_text_bytes=run.config.corpus.max_text_bytes,
        version=__version__,
    )


def revision(run: Run) -> str:
    """Return the commit of a Hugging Face model; of other weights the hash of their files.

    Args:
        run: the run, with its model's identity (`uniner_dist.model.identity.identify`).
    """
    name, sign, commit = run.model_identity.partition("@")
    return commit.partition("#")[0] if sign else name


def engines(run: Run) -> list[str]:
    """Return engines and versions of the replicas of all starts, such as `vllm 0.20.0`, sorted; empty if none answered.

    Args:
        run: the run whose starts are read.

    Raises:
        ControlFileError: the counters of a start are damaged.
    """
    return sorted({engine for attempt in read_starts(run.layout) for engine in attempt.engines})


def look_up(output: str, run_id: str | None = None) -> dict[str, PublishedRun]:
    """Return what an output says of its runs: run id → entry, as `publish` wrote it, oldest first.

    Args:
        output: path or URL of the published dataset.
        run_id: only this run, such as the `run_id` of a row; None: all.

    Raises:
        ConfigError: not an output of ours, or the run is not in it.
    """
    marker = read_marker(output)
    if marker is None:
        wrong = "no annotations of ours there" if exists(output) else "is not there"
        raise ConfigError(f"--annotations {output}: {wrong}")
    runs = marker.runs
    if run_id is not None and run_id not in runs:
        raise ConfigError(f"--run {run_id}: not in {output}; runs there: {', '.join(runs) or 'none'}")
    wanted = [run_id] if run_id is not None else sorted(runs, key=lambda one: runs[one].published_at)
    return {one: runs[one] for one in wanted}
