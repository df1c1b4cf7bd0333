"""What a person sees in a terminal: the report as tables, a few annotations with highlighted mentions.

Reads at most a handful of rows of the output and of the corpus; never changes anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from uniner_dist.core.characters import visible
from uniner_dist.gate.verdict import format_gate_sample, format_published
from uniner_dist.reporting.console import SafeConsole
from uniner_dist.reporting.highlight import Marked, Mention, Placed, placed_mentions
from uniner_dist.reporting.progress import counted, rate
from uniner_dist.reporting.triage import format_plan, format_report
from uniner_dist.run.corpus_snapshot import run_snapshot
from uniner_dist.run.run import Run
from uniner_dist.storage.control_files import AnnotationsSummary, Interval, Plan, Report
from uniner_dist.storage.corpus_rows import rows_of
from uniner_dist.storage.filesystem import find_files, join, open_fs

#: As many as a page has hues; a terminal of 16 colours shows the later six by its nearest ones.
_COLOURS = (
    *("black on cyan", "black on green", "black on yellow", "black on magenta", "white on blue", "black on red"),
    *("black on color(208)", "black on color(225)", "white on color(22)", "black on color(153)"),
    *("white on color(94)", "black on color(252)"),
)
#: Longest piece of a document that is shown.
_SHOWN_CHARS = 220


def print_report(report: Report, console: Console | None = None) -> None:
    """Print counts by type and outcome, throughput, gate and triage, and where everything is.

    Args:
        report: of a run that was published.
        console: where to print; default: standard output.
    """
    console = console or SafeConsole()
    if report.annotations is not None:
        console.print(_counts_table(report.annotations))
    done, known = report.completions, report.prompts.prompts_known
    if known:
        console.print(f"{known:,} answers came from the store")
    if done.prompts and done.prompts_per_s is not None:
        console.print(
            f"{done.prompts:,} prompts in {done.answering_seconds:.1f} s from the first replica's readiness on: "
            f"{rate(done.prompts_per_s)}, {done.prefix_hit_rate or 0:.0%} of prompt tokens from the prefix cache, "
            f"{counted(done.replicas, 'replica')}"
        )
    gate = report.gate
    if gate:
        later = [format_published(gate.published)] if gate.published else []
        for line in [*format_gate_sample(gate), *later]:
            console.print(Text(visible(f"quality gate: {line}")), soft_wrap=True)
    for line in format_report(report):
        console.print(Text(visible(f"triage: {line}")), soft_wrap=True)
    _print_place(console, "licence of the answers", report.model.licence)
    _print_place(console, "annotations", report.output)
    _print_place(console, "their dataset card", (report.publication and report.publication.card) or "none")
    _print_place(console, "the report as a page", f"{report.workdir}/report.html")
    _print_place(console, "everything else of the run", report.workdir)


def print_plan(plan: Plan, console: Console | None = None) -> None:
    """Print what a run will ask and cost, one figure a line.

    Args:
        plan: as `reporting.plan.make_plan` returns it.
        console: where to print; default: standard output.
    """
    console = console or SafeConsole()
    table = Table("", "", title=f"Plan of run {plan.run_id}", show_header=False)
    table.columns[1].justify = "right"
    rejects = ", ".join(f"{count:,} {reason}" for reason, count in plan.rejects.items())
    price = plan.price_per_gpu_hour
    rows = {
        "documents": f"{plan.documents:,}",
        "rejected rows": rejects or "0",
        "passages": f"{plan.passages:,}",
        "different passages": f"{plan.unique_passages:,}",
        "prompts saved by duplicates": f"{plan.prompts_saved_by_duplicates:,}",
        "prompts": f"{plan.prompts:,}",
        "answers in the store": f"{plan.prompts_known:,}",
        "prompts to ask": f"{plan.prompts_to_ask:,}",
        "answered already": f"{plan.prompts_answered:,}",
        "prompt tokens": _interval(plan.prompt_tokens, ",.0f") if plan.prompt_tokens else "not known",
        "shards to ask": f"{plan.shards_to_ask:,} of {plan.shards:,}",
        "tokens/s of a replica": f"{plan.tokens_per_second:,.0f}" if plan.tokens_per_second else "not known",
        "GPU hours": _interval(plan.gpu_hours, ",.3g") if plan.gpu_hours else "not known",
        f"money, at {price:g} an hour" if price is not None else "money": (
            _interval(plan.money, ",.2f") if plan.money else "not known: give plan.price_per_gpu_hour"
        ),
    }
    for name, value in rows.items():
        table.add_row(name, Text(visible(value)))
    console.print(table)
    if plan.triage:
        console.print(Text(visible(f"triage: {format_plan(plan.triage, plan)}")), soft_wrap=True)
    sample = f"tokens: by the model's tokenizer on {plan.sampled_passages:,} passages, with a 95 % interval"
    rate = visible(f"rate: {plan.rate_from}; loading the model is not counted")
    console.print(Text(f"{sample}\n{rate}"), soft_wrap=True)
    now, before = plan.whole_text_tokens, plan.whole_text_tokens_before
    if now and before and now < before:
        console.print(
            Text(
                f"a longer question leaves less room for text: texts of more than {now:,} tokens are split, before "
                f"those of more than {before:,}, so texts in between are asked again for all types"
            ),
            soft_wrap=True,
        )


def _interval(value: Interval, form: str) -> str:
    expected, low, high = (format(one, form) for one in (value.expected, value.low, value.high))
    return expected if low == high else f"{expected} ({low} to {high})"


def _print_place(console: Console, name: str, path: str) -> None:
    console.print(Text(visible(f"{name}: {path}")), soft_wrap=True)


def _counts_table(annotations: AnnotationsSummary) -> Table:
    outcomes = list(annotations.outcomes)
    table = Table("entity type", "mentions", *outcomes, title="Annotations by type and outcome")
    for column in table.columns[1:]:
        column.justify = "right"
    for label, counts in annotations.by_type.items():
        mentions = annotations.mentions.get(label, 0)
        table.add_row(Text(visible(label)), f"{mentions:,}", *(f"{counts.get(outcome, 0):,}" for outcome in outcomes))
    return table


def print_samples(run: Run, limit: int = 8, console: Console | None = None) -> None:
    """Print a few annotated documents with their mentions highlighted.

    Args:
        run: a published run whose corpus can still be read.
        limit: number of documents at most.
        console: where to print; default: standard output.
    """
    labels = [entity_type.label for entity_type in run.config.types]
    print_documents(_sample(run, limit), labels, run.config.corpus.id_column, console or SafeConsole())


def print_documents(documents: Sequence[Marked], labels: Sequence[str], id_name: str, console: Console) -> None:
    """Print documents with their mentions coloured, and a legend; where there are no colours, mentions are in brackets.

    Args:
        documents: title, text and mentions of each; of a long text the part around its first mention is shown.
        labels: entity types in the order of their colours.
        id_name: heading of the column of titles, such as the name of the id column.
        console: where to print.
    """
    colours = {label: _COLOURS[i % len(_COLOURS)] for i, label in enumerate(labels)}
    table = Table(escape(visible(id_name)), "text", title="Some annotated documents", show_lines=True)
    plain = console.color_system is None
    for document in documents:
        shown = highlight(document.text, document.entities, {} if plain else colours, plain)
        table.add_row(Text(visible(document.title)), shown)
    console.print(table)
    if plain:
        return
    legend = Text("mentions: ")
    for label in labels:
        legend.append(f" {visible(label)} ", style=colours[label]).append(" ")
    console.print(legend)


def highlight(text: str, entities: Sequence[Mention], colours: Mapping[str, str], plain: bool = False) -> Text:
    """Return a text with its mentions coloured by type, cut to the part that has them.

    Of two that overlap the shorter one is drawn over the longer one, and what both hold is underlined. Where two have
    the same place, only one colour shows, and the label of the other follows in brackets.

    Args:
        text: of the document; characters that a terminal would obey are shown as blanks.
        entities: those that were not located are left out.
        colours: style of each label; bold for a label without one.
        plain: there are no colours: each mention is in brackets, followed by its label, as in a Markdown link.
    """
    placed = sorted(placed_mentions(entities), key=lambda e: (e.start - e.end, e.start))
    first = min((entity.start for entity in placed), default=0)
    begin = 0 if first < _SHOWN_CHARS // 2 else first - _SHOWN_CHARS // 4
    shown = Text(text)
    placed = [e for e in placed if begin < e.end and e.start < begin + _SHOWN_CHARS]
    for entity in placed:
        shown.stylize(colours.get(entity.label, "bold"), entity.start, entity.end)
    for one, other in combinations(placed, 2):
        shown.stylize("underline", max(one.start, other.start), min(one.end, other.end))
    shown.plain = visible(text)
    end = min(len(text), begin + _SHOWN_CHARS)
    pieces = [Text("…" if begin else "")]
    for place, mark in _brackets(placed) if plain else _names(placed, colours):
        stop = min(max(place, begin), end)
        pieces += [shown[begin:stop], mark]
        begin = stop
    return Text.assemble(*pieces, shown[begin:end], "…" if end < len(text) else "")


def _names(placed: Sequence[Placed], colours: Mapping[str, str]) -> list[tuple[int, Text]]:
    """Labels of hidden mentions, each with the place it is inserted at."""
    hidden = sorted(_hidden(placed), key=lambda entity: entity.end)
    styles = [colours.get(entity.label, "bold") for entity in hidden]
    return [(e.end, Text(f"[{visible(e.label)}]", style=style)) for e, style in zip(hidden, styles, strict=True)]


def _brackets(placed: Sequence[Placed]) -> list[tuple[int, Text]]:
    """Brackets around all mentions, each with its place; at the same place longer mentions open first, close last."""
    opening = [(entity.start, 1, i, Text("[")) for i, entity in enumerate(placed)]
    closing = [(entity.end, 0, -i, Text(f"]({visible(entity.label)})")) for i, entity in enumerate(placed)]
    return [(place, mark) for place, _, _, mark in sorted([*opening, *closing], key=lambda item: item[:3])]


def _hidden(placed: Sequence[Placed]) -> list[Placed]:
    """Mentions, in the order of drawing, that a later one of the same place covers."""
    last = {(entity.start, entity.end): i for i, entity in enumerate(placed)}
    return [entity for i, entity in enumerate(placed) if last[entity.start, entity.end] != i]


def _sample(run: Run, limit: int) -> list[Marked]:
    """Short documents that have mentions of different types."""
    import pyarrow.dataset as pads  # imports pandas, which takes as long as the rest of a start

    id_column, text_column = run.config.corpus.id_column, run.config.corpus.text_column
    output = run.config.output.path
    fs, path = open_fs(output)
    files = [join(path, name) for name in sorted(find_files(output, ".parquet"))]
    annotations = pads.dataset(files, filesystem=fs, format="parquet", partitioning="hive", partition_base_dir=path)
    rows = annotations.head(4000, columns=[id_column, "entity_type", "entities"], use_threads=False).to_pylist()
    by_document: dict[Any, list[Mention]] = {}
    for row in rows:
        entities = [Mention(row["entity_type"], e["text"], e["start"], e["end"]) for e in row["entities"]]
        by_document.setdefault(row[id_column], []).extend(entities)

    def rank(key: Any) -> tuple[bool, int]:
        entities = by_document[key]
        return max((e.end or 0 for e in entities), default=0) > _SHOWN_CHARS, -len({e.label for e in entities})

    ranked = sorted(by_document, key=rank)
    chosen = ranked[:limit]
    by_id = _texts(run, id_column, text_column, chosen)
    return [Marked(str(key), by_id.get(key) or "", by_document[key]) for key in chosen]


def _texts(run: Run, id_column: str, text_column: str, chosen: list[Any]) -> dict[Any, str]:
    """Texts of some documents."""
    batches = rows_of(run_snapshot(run), [id_column, text_column], run.config.corpus.binary_text)
    wanted = (batch.filter(pc.is_in(batch.column(0), pa.array(chosen, batch.column(0).type))) for batch in batches)
    return {row[id_column]: row[text_column] for batch in wanted for row in batch.to_pylist()}
