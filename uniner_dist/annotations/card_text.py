"""The text of a dataset card (`README.md` of the Hugging Face hub) that describes an output.

Made from the output's marker and counts of its rows. Pure, except for the front matter, which huggingface_hub spells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from uniner_dist.core.characters import visible
from uniner_dist.core.outcomes import Outcome
from uniner_dist.storage.control_files import Marker, PublishedRun

#: Prefix of a licence as runs name it → the hub's identifier.
_LICENCES = {"CC BY-NC 4.0": "cc-by-nc-4.0", "Apache-2.0": "apache-2.0"}
#: Markdown syntax inside of a line: emphasis, code, links, pictures, tables, formulas.
_MARKUP = re.compile(r"[\\`*\[\]|~$]|(?<!\w)_|_(?!\w)")
#: Rows below which the hub calls a dataset so; the rest is "n>1T".
_SIZES = {
    10**3: "n<1K",
    10**4: "1K<n<10K",
    10**5: "10K<n<100K",
    10**6: "100K<n<1M",
    10**7: "1M<n<10M",
    10**8: "10M<n<100M",
    10**9: "100M<n<1B",
    10**10: "1B<n<10B",
    10**11: "10B<n<100B",
    10**12: "100B<n<1T",
}

_CITATION = """@article{zhou2023universalner,
  title   = {UniversalNER: Targeted Distillation from Large Language Models for Open Named Entity Recognition},
  author  = {Zhou, Wenxuan and Zhang, Sheng and Gu, Yu and Chen, Muhao and Poon, Hoifung},
  journal = {arXiv preprint arXiv:2308.03279},
  year    = {2023}
}"""


@dataclass(frozen=True)
class Statistics:
    """Counts of an output's rows.

    Args:
        documents: documents that have a row.
        by_type: label → outcome → rows.
        mentions: label → mentions.
    """

    documents: int
    by_type: Mapping[str, Mapping[str, int]]
    mentions: Mapping[str, int]

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(sum(outcomes.values()) for outcomes in self.by_type.values())


def render_card(name: str, marker: Marker, statistics: Statistics, languages: Sequence[str] = ()) -> str:
    """Return the card's text in Markdown, with its YAML front matter first.

    The front matter follows the metadata of dataset cards of the Hugging Face hub.

    Args:
        name: last part of the output's path, which becomes the title.
        marker: of the output; it lists the runs, their licences and models, and the columns.
        statistics: counts of the output's rows.
        languages: language codes of the texts, such as "en"; none leaves the field out.
    """
    from huggingface_hub import DatasetCardData

    runs = marker.runs
    licences = list(dict.fromkeys(_licence(entry.licence) for entry in runs.values())) or ["unknown"]
    about = DatasetCardData(
        language=list(languages) or None,
        license=licences[0] if len(licences) == 1 else licences,
        annotations_creators=["machine-generated"],
        task_categories=["token-classification"],
        task_ids=["named-entity-recognition"],
        size_categories=[_size(statistics.rows)],
        pretty_name=f"{visible(name)}: open named entities",
        tags=["uniner-dist", "open-ner"],
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": "**/*.parquet"}]}],
    )
    parts = [
        f"---\n{about.to_yaml()}\n---",
        f"# {_cell(name)}: open named entities",
        _introduction(marker, statistics),
        *_reading(marker.partition_by),
        "## Statistics",
        _statistics(statistics),
        "## Where the rows come from",
        "Every row names its run in `run_id`. The metadata of `marker.parquet` in the dataset's folder `.uniner_dist` "
        "says all of this and more of each run, and so does the footer of each of the run's files.",
        *[_run(run_id, entry) for run_id, entry in runs.items()],
        "## Licence",
        _licences(runs),
        "## Citation",
        f"```bibtex\n{_CITATION}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _introduction(marker: Marker, statistics: Statistics) -> str:
    columns = ", ".join(_code(name) for name in [marker.id_column, *marker.carried])
    left_out = (
        " `skipped` was not asked, because a classifier held it for empty, and a share that was bounded in its run has "
        "mentions all the same."
        if any(Outcome.SKIPPED.value in outcomes for outcomes in statistics.by_type.values())
        else ""
    )
    return (
        f"Mentions of {len(statistics.by_type)} entity types in {statistics.documents:,} documents, found by a "
        "language model and not checked by people. One row per document and entity type, with the mentions in "
        "`entities` (`text`, `start`, `end` in code points of the document's text) and an `outcome`: `found`, `none`, "
        f"or the name of a failure.{left_out} "
        f"Columns of the documents: {columns}. The texts are not part of the dataset."
    )


def _reading(folder_columns: Sequence[str]) -> list[str]:
    """Instructions for reading columns that are in folder names; empty where there are none."""
    if not folder_columns:
        return []
    names = ", ".join(_code(name) for name in folder_columns)
    # No name can end the block of code that it is in.
    typed = ", ".join(f"({visible(name)!r}, pa.string())".replace("`", "\\x60") for name in folder_columns)
    return [
        "## Reading it",
        f"Where the files are in folders of the form `column=value`, the values of these columns are in the folders' "
        f"names and in no file: {names}. `datasets.load_dataset` does not look there and leaves them out. This gives "
        "every column as a dataset:",
        "```python\nimport pyarrow as pa\nimport pyarrow.dataset as ds\nfrom datasets import Dataset\n"
        "from huggingface_hub import snapshot_download\n\n"
        'folder = snapshot_download("USER/DATASET", repo_type="dataset", allow_patterns="*.parquet")\n'
        f'folders = ds.partitioning(pa.schema([{typed}]), flavor="hive")\n'
        'rows = Dataset(ds.dataset(folder, format="parquet", partitioning=folders).to_table())\n```',
        "and DuckDB reads the files where they are:",
        "```sql\nSELECT * FROM read_parquet('hf://datasets/USER/DATASET/**/*.parquet', hive_partitioning = true, "
        "hive_types_autocast = false)\n```",
    ]


def _statistics(statistics: Statistics) -> str:
    found = {outcome for outcomes in statistics.by_type.values() for outcome in outcomes}
    shown = [outcome.value for outcome in Outcome if outcome.value in found]
    lines = [_line(["entity type", "mentions", *shown]), _line(["---", *["---:"] * (len(shown) + 1)])]
    for label, outcomes in statistics.by_type.items():
        counts = [statistics.mentions.get(label, 0), *(outcomes.get(outcome, 0) for outcome in shown)]
        lines.append(_line([_cell(label), *(f"{count:,}" for count in counts)]))
    totals = [sum(o.get(outcome, 0) for o in statistics.by_type.values()) for outcome in shown]
    lines.append(_line(["all", *(f"{count:,}" for count in [sum(statistics.mentions.values()), *totals])]))
    return f"{statistics.documents:,} documents, {statistics.rows:,} rows.\n\n" + "\n".join(lines)


def _run(run_id: str, entry: PublishedRun) -> str:
    corpus = {"corpus": entry.corpus_version} if entry.corpus_version else {}
    facts = corpus | {
        "published": entry.published_at,
        "rows": f"{entry.rows:,}, of {entry.documents:,} documents; later runs may have replaced some",
        "model": entry.model,
        "revision": entry.revision,
        "precision of weights": f"{entry.dtype}, quantization {entry.quantization}",
        "prompt template": entry.template,
        "decoding": entry.decoding,
        "engine": ", ".join(entry.engines) or "none: every answer was known from earlier runs",
        "fingerprint": entry.fingerprint,
        "uniner-dist": entry.version,
        "licence": entry.licence,
    }
    asks = [f"{label}: “{ask}”" if ask != label else label for label, ask in entry.asks.items()]
    lines = [f"- {name}: {_cell(str(value))}" for name, value in facts.items()]
    return "\n".join([f"### Run `{run_id}`", "", *lines, f"- asked for: {_cell('; '.join(asks))}"])


def _licences(runs: Mapping[str, PublishedRun]) -> str:
    own = "; ".join(dict.fromkeys(f"{entry.model}: {entry.licence}" for entry in runs.values()))
    note = f"The answers inherit the licence of the weights that gave them. {_cell(own)}."
    if any(_licence(entry.licence) == "cc-by-nc-4.0" for entry in runs.values()):
        note += (
            " The weights of UniNER are published under CC BY-NC 4.0, "
            "https://creativecommons.org/licenses/by-nc/4.0/: this dataset is not for commercial use."
        )
    return note + " Mentions are quotations of the documents, whose own licence applies to them as well."


def _licence(words: str) -> str:
    return next((known for begin, known in _LICENCES.items() if words.startswith(begin)), "unknown")


def _size(rows: int) -> str:
    return next((name for limit, name in _SIZES.items() if rows < limit), "n>1T")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """User text on one line, with all Markdown and HTML syntax escaped."""
    plain = " ".join(visible(text).split())
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        plain = plain.replace(sign, entity)
    return _MARKUP.sub(r"\\\g<0>", plain)


def _code(name: str) -> str:
    """A name in a span of code, or escaped where it would end one."""
    plain = visible(name)
    return _cell(plain) if "`" in plain or plain != plain.strip() else f"`{plain}`"
