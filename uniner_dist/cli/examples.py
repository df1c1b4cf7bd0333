"""Help of the command line: examples for every command, their order in groups, and completion of --set.

Nothing here does anything; `uniner_dist.cli.app` applies it to its commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel

from uniner_dist.config.schema import Config

_JOB, _STAGES, _QUALITY, _KEEPING = (
    "The main job",
    "Its stages, one by one",
    "Quality",
    "Looking at runs, keeping house",
)

#: The groups, in the order of the list of commands.
GROUPS: Final = (_JOB, _STAGES, _QUALITY, _KEEPING)

#: Command → its group in the list of commands, and examples: what for, and the command line.
EXAMPLES: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "demo": (_JOB, [("See it work, without a GPU", "uniner-dist demo")]),
    "doctor": (
        _JOB,
        [
            ("Before anything else", "uniner-dist doctor"),
            ("Storage, model and cluster of a job", "uniner-dist doctor --config job.yaml --path s3://bucket/ner"),
        ],
    ),
    "annotate": (
        _JOB,
        [
            (
                "A folder of Parquet files, on this machine",
                "uniner-dist annotate --corpus articles/ --output annotations/ --types person,location",
            ),
            (
                "Labels of your own, the real model, 16 GPUs of a Ray cluster",
                "uniner-dist annotate --corpus s3://bucket/corpus --output s3://bucket/ner "
                '--types "PER=person,ORG=company or institution" --config conf/cluster.yaml --set pool.replicas=16',
            ),
        ],
    ),
    "plan": (
        _JOB,
        [
            (
                "What one more type would cost at 2.5 a GPU hour",
                "uniner-dist plan --corpus articles/ --output annotations/ --types person,location,date "
                "--set plan.price_per_gpu_hour=2.5",
            )
        ],
    ),
    "prompts": (
        _STAGES,
        [
            (
                "On the Spark cluster; prints the run's id",
                "uniner-dist prompts --corpus articles/ --output annotations/ --types person --workdir work/",
            )
        ],
    ),
    "gate": (_STAGES, [("Before the bulk is asked", "uniner-dist gate --workdir work/ --run latest")]),
    "completions": (
        _STAGES,
        [
            ("On the GPU cluster", "uniner-dist completions --workdir work/ --config conf/cluster.yaml"),
            ("At most so much", "uniner-dist completions --workdir work/ --run latest --max-gpu-hours 12"),
        ],
    ),
    "annotations": (_STAGES, [("On the Spark cluster again", "uniner-dist annotations --workdir work/")]),
    "retry": (_STAGES, [("After the cause is gone", "uniner-dist retry --workdir work/ --run 0a1b2c3d4e5f")]),
    "evaluate": (
        _QUALITY,
        [
            ("Against gold in Parquet", "uniner-dist evaluate --annotations annotations/ --gold gold/"),
            (
                "By a column, with a picture, from CoNLL files",
                "uniner-dist evaluate --annotations annotations/ --gold test.conll --by domain --plot scores.png",
            ),
        ],
    ),
    "report": (
        _KEEPING,
        [
            (
                "The page about a run once more, as after an upgrade",
                "uniner-dist report --workdir work/ --run 0a1b2c3d4e5f",
            )
        ],
    ),
    "export": (
        _QUALITY,
        [
            ("For spaCy", "uniner-dist export --annotations annotations/ --output docs/ --format spacy --language en"),
            (
                "A sample to correct by hand in Label Studio",
                "uniner-dist export --annotations annotations/ --output tasks/ --format labelstudio --sample 200",
            ),
        ],
    ),
    "diff": (
        _QUALITY,
        [
            ("Two outputs", "uniner-dist diff --before old/ --after new/ --by domain"),
            (
                "Two runs of one output",
                "uniner-dist diff --before annotations/ --before-run 0a1b2c3d4e5f --after annotations/ "
                "--after-run f5e4d3c2b1a0",
            ),
        ],
    ),
    "benchmark": (
        _QUALITY,
        [
            (
                "The authors' table",
                "uniner-dist benchmark --data data/ --output benchmark/ --model Universal-NER/UniNER-7B-all "
                "--config conf/cluster.yaml",
            )
        ],
    ),
    "provenance": (
        _QUALITY,
        [("What made a row", "uniner-dist provenance --annotations annotations/ --run 0a1b2c3d4e5f")],
    ),
    "status": (
        _KEEPING,
        [("From anywhere, while it runs or after", "uniner-dist status --workdir annotations.work --watch")],
    ),
    "compact": (_KEEPING, [("Once a week", "uniner-dist compact --workdir annotations.work")]),
    "prune": (_KEEPING, [("What is older than a quarter", "uniner-dist prune --workdir work/ --older-than-days 90")]),
    "forget": (
        _KEEPING,
        [
            ("Two documents", "uniner-dist forget --workdir work/ --id doc-17 --id doc-18"),
            ("A list of them", "uniner-dist forget --workdir work/ --ids ids.txt"),
        ],
    ),
}


def complete_setting(incomplete: str) -> Iterator[tuple[str, str]]:
    """Options of the configuration that begin so, for the shell: `key=` and what it is."""
    for key, words in settings_of(Config):
        if key.startswith(incomplete):
            yield f"{key}=", words


def complete_format(incomplete: str) -> Iterator[str]:
    """Formats of `export` that begin so, for the shell."""
    from uniner_dist.formats.writers import FORMATS

    yield from (name for name in FORMATS if name.startswith(incomplete))


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted name and description of every option of the configuration."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from settings_of(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.description or ""
