"""What triage skips and misses, with gold as the full run's answers: sizes, promise, speed; a table and a picture.

    OMP_NUM_THREADS=1 .venv/bin/python -m benchmarks.triage --crossner DIR

`DIR` holds one folder per domain with `train.txt`, `dev.txt` and `test.txt` in CoNLL's form (the folder `ner_data` of
the authors' repository). Every text is asked for the types of all domains that are measured together. The bundled
sample corpus, and a made-up one whose misses are all in a few passages, need no folder. Per corpus the classifier is
learnt from as many passages as a run takes, or where there are fewer, five times from four fifths to score the other
fifth. Then 1,000 draws, of as many calibration cells as a run of a million passages takes, are judged by the oracle.
What runs of
several sizes would save is estimated from the first learning sample. The tables replace those in `triage.md`.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from matplotlib.figure import Figure
from sklearn.feature_extraction.text import HashingVectorizer

from tests.support.triage_oracle import Drawn, OracleCorpus, draws, draws_of_many, synthetic_corpus
from uniner_dist import demo
from uniner_dist.core.estimate import BYTES_PER_TOKEN
from uniner_dist.triage.binomial import smallest_sample
from uniner_dist.triage.bound import Promise, find_caps, find_rare, foretell
from uniner_dist.triage.classifier import Classifier
from uniner_dist.triage.features import BITS
from uniner_dist.triage.learning import learn, score_unseen
from uniner_dist.triage.saving import FLOOR_MARGIN, Prices, Saving, estimate_saving
from uniner_dist.triage.sizes import CHECKED_AT_MOST, calibration_share, learning_share

HERE = Path(__file__).parent
DOMAINS = ("politics", "science", "music", "literature", "ai", "conll2003")
#: Texts of CoNLL-2003, whose 20,000 would outweigh the other five domains.
_OF_NEWS = 3_000
#: Passages of the run that is spoken of, of which the texts are a sample.
_PASSAGES = 1_000_000
_FRACTION = 0.2
#: Height of a type's name in the picture, as a share of its axis.
_LABEL_HEIGHT = 0.02
_FOLDS = 5
#: Prompts of runs whose saving is estimated, and tokens after the text of a prefix and of a question, about.
_RUNS, _FRAME, _ASK = (50_000, 1_000_000, 10_000_000), 12, 17


@dataclass(frozen=True)
class Answered:
    """A corpus with all answers: texts, and passages × types, whether the answer names anything."""

    texts: list[str]
    filled: npt.NDArray[np.bool_]
    types: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """What came out for one corpus."""

    corpus: Answered | None
    oracle: OracleCorpus
    drawn: list[Drawn]
    learn_s: float
    cells_per_s: float
    savings: tuple[Saving, ...] = ()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crossner", help="folder with a folder per domain")
    parser.add_argument("--seeds", type=int, default=1000, help="draws per corpus")
    parser.add_argument("--bound", type=float, default=0.01, help="share that may be missed")
    parser.add_argument("--output", default=str(HERE), help="folder of triage.md and its picture")
    parser.add_argument("--speed", action="store_true", help="only print how fast texts are scored, by number of types")
    given = parser.parse_args(arguments)
    if given.speed:
        print(speeds(read_domains(Path(given.crossner), DOMAINS[:1]) if given.crossner else read_sample()))
        return
    promise = Promise(given.bound, 0.05, include_rare=True)
    found: dict[str, Measured] = {}
    for name, corpus in corpora(given.crossner):
        found[name] = measure(corpus, promise, given.seeds)
        print(row_of(name, found[name], promise), file=sys.stderr, flush=True)
    made_up = synthetic_corpus(clustered=True)
    drawn = list(draws(made_up, promise, 0.3, range(given.seeds)))
    found["made up, misses in clusters"] = Measured(None, made_up, drawn, 0, 0)
    output = Path(given.output)
    put_table(output / "triage.md", "table", table(found, promise))
    put_table(output / "triage.md", "saving", saving_table(found))
    first = next(iter(found.values()))
    if first.corpus is not None:
        draw(first, given.bound).savefig(output / "triage.png", dpi=130)


def corpora(crossner: str | None) -> Iterator[tuple[str, Answered]]:
    """The corpora by name, all domains together first."""
    if crossner:
        yield "CrossNER, six domains", read_domains(Path(crossner), DOMAINS)
        for domain in DOMAINS[:-1]:
            yield f"CrossNER, {domain}", read_domains(Path(crossner), [domain])
    yield "sample corpus", read_sample()


def read_domains(folder: Path, domains: Sequence[str]) -> Answered:
    """Texts of some domains, in random order, with the types of all of them."""
    texts = []
    for domain in domains:
        parts = ("test",) if domain == "conll2003" else ("train", "dev", "test")
        own = [one for part in parts for one in _sentences(folder / domain / f"{part}.txt")]
        texts += own[:_OF_NEWS] if domain == "conll2003" else own
    return _shuffled(texts)


def speeds(corpus: Answered, types: Sequence[int] = (1, 8, 39), texts: int = 4_096) -> str:
    """Cells per second and core by number of types, beside scikit-learn's hashing of the same n-grams alone."""
    some = (corpus.texts * -(-texts // len(corpus.texts)))[:texts]
    lines = [f"{np.mean([len(text.encode()) for text in some]):.0f} bytes a text"]
    for count in types:
        weights = np.random.default_rng(0).normal(size=(1 << BITS, count)).astype(np.float32)
        scorer = Classifier(weights, np.zeros(count, np.float32))
        seconds = min(_cpu_s(partial(scorer.score, some)) for _ in range(3))
        lines.append(f"{count} types: {texts * count / seconds:,.0f} cells/s")
    vectorizers = [
        HashingVectorizer(analyzer="char_wb", ngram_range=(4, 5), n_features=1 << BITS),
        HashingVectorizer(ngram_range=(1, 2), n_features=1 << BITS),
    ]
    seconds = sum(_cpu_s(partial(one.transform, some)) for one in vectorizers)
    return "\n".join([*lines, f"scikit-learn's HashingVectorizer: {texts / seconds:,.0f} texts/s"])


def _cpu_s(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _sentences(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Text and types of each sentence: a token and, last on its line, its tag."""
    for paragraph in path.read_text(encoding="utf-8").split("\n\n"):
        lines = [line.split() for line in paragraph.splitlines() if line.strip() and not line.startswith("-DOCSTART")]
        if lines:
            yield " ".join(line[0] for line in lines), {line[-1][2:] for line in lines if line[-1] != "O"}


def read_sample() -> Answered:
    """The bundled corpus and its gold answers."""
    corpus, gold = pq.read_table(demo.corpus_path()), pq.read_table(demo.gold_path())
    named: dict[object, set[str]] = {}
    for row in gold.select(["doc_id", "entity_type", "entities"]).to_pylist():
        named.setdefault(row["doc_id"], set()).update([row["entity_type"]] * bool(row["entities"]))
    rows = corpus.select(["doc_id", "text"]).to_pylist()
    return _shuffled([(row["text"], named[row["doc_id"]]) for row in rows if row["doc_id"] in named and row["text"]])


def _shuffled(texts: list[tuple[str, set[str]]]) -> Answered:
    order = np.random.default_rng(0).permutation(len(texts))
    types = sorted(set().union(*(named for _, named in texts)))
    filled = np.array([[name in texts[place][1] for name in types] for place in order])
    return Answered([texts[place][0] for place in order], filled, tuple(types))


def measure(corpus: Answered, promise: Promise, seeds: int) -> Measured:
    """Learn, then draw the calibration cells anew for each seed."""
    passages, types = corpus.filled.shape
    every = _PASSAGES * types
    learning = learning_share(_PASSAGES, every, promise, _FRACTION)
    assert learning is not None
    calibration = calibration_share(float(corpus.filled.mean()), types, every, promise, _FRACTION)
    cells, wanted = round(calibration * every), round(learning * _PASSAGES)
    places = np.arange(passages)
    folds = [(places[:wanted], places[wanted:])]
    if passages < 2 * wanted:
        folds = [(places[places % _FOLDS != fold], places[places % _FOLDS == fold]) for fold in range(_FOLDS)]
    learn_s = score_s = 0.0
    savings: tuple[Saving, ...] = ()
    scores, filled = [], []
    for learnt, others in folds:
        begun = time.process_time()
        texts = [corpus.texts[place] for place in learnt]
        classifier = learn(texts, corpus.filled[learnt])
        rare = find_rare(corpus.filled[learnt], cells // types, promise)
        unseen = score_unseen(texts, corpus.filled[learnt])
        caps = find_caps(unseen, corpus.filled[learnt], rare, promise)
        learn_s += (time.process_time() - begun) / len(folds)
        begun = time.process_time()
        scored = classifier.score([corpus.texts[place] for place in others])
        score_s += time.process_time() - begun
        # Above its cap a cell is asked at every level; the caps differ from fold to fold.
        scores.append(np.where(scored <= np.asarray(caps), scored, np.float32(1)))
        filled.append(corpus.filled[others])
        savings = savings or tuple(_saving(texts, corpus.filled[learnt], unseen, promise, size) for size in _RUNS)
    oracle = OracleCorpus(np.concatenate(scores), np.concatenate(filled), corpus.filled[folds[0][0]])
    drawn = list(draws_of_many(oracle, promise, cells, range(seeds)))
    return Measured(corpus, oracle, drawn, learn_s, oracle.scores.size / score_s, savings)


def _saving(
    texts: list[str], filled: npt.NDArray[np.bool_], unseen: npt.NDArray[np.float32], promise: Promise, cells: int
) -> Saving:
    """What a run of so many prompts over such texts would expect to save, as `pipeline.triage` estimates it."""
    questions = filled.shape[1]
    learning = learning_share(cells // questions, cells, promise, _FRACTION) or 0.0
    calibration = calibration_share(float(filled.mean()), questions, cells, promise, _FRACTION)
    rare = find_rare(filled, round(calibration * cells / questions), promise)
    caps = find_caps(unseen, filled, rare, promise)
    expected, floors = (
        foretell(unseen, filled, rare, caps, promise, calibration * cells, margin) for margin in (0.0, FLOOR_MARGIN)
    )
    prefixes = np.array([len(text.encode()) // BYTES_PER_TOKEN + _FRAME for text in texts], np.int64)
    prices = Prices(prefixes, (_ASK,) * questions)
    return estimate_saving(unseen, expected, floors, (learning, calibration, CHECKED_AT_MOST), prices)


def saving_table(found: dict[str, Measured]) -> str:
    """What runs of different sizes would save, as a table in Markdown."""
    lines = [f"| corpus | {' | '.join(f'{size:,} prompts' for size in _RUNS)} |", "| --- |" + " --- |" * len(_RUNS)]
    for name, one in found.items():
        if one.savings:
            shares = [f"{saving.prompts:.0%}, {saving.tokens:.0%}" for saving in one.savings]
            lines.append(f"| {name} | {' | '.join(shares)} |")
    return "\n".join(lines)


_HEAD = (
    "| corpus | cells judged: passages × types; learnt from | filled | skipped (5 % to 95 % of draws) | missed, mean "
    "| draws above the bound | asked at least, by any proxy | learning, s | scoring, cells/s |\n|" + " --- |" * 9
)


def table(found: dict[str, Measured], promise: Promise) -> str:
    """All corpora as a table in Markdown."""
    return "\n".join([_HEAD, *(row_of(name, one, promise) for name, one in found.items())])


def row_of(name: str, one: Measured, promise: Promise) -> str:
    """One line of the table."""
    skipped = np.array([drawn.skipped for drawn in one.drawn])
    missed = np.array([drawn.missed for drawn in one.drawn])
    passages, types = one.oracle.filled.shape
    share = one.oracle.filled.mean()
    low, high = np.quantile(skipped, [0.05, 0.95])
    speed = f"{one.learn_s:.1f} | {one.cells_per_s:,.0f}" if one.corpus else " | "
    learnt = len(one.oracle.learnt)
    above = int((missed > promise.missed).sum())
    return (
        f"| {name} | {passages:,} × {types}, {learnt:,} | {share:.1%} | {skipped.mean():.0%} ({low:.0%} to "
        f"{high:.0%}) | {missed.mean():.2%} | {above} of {len(missed):,} | "
        f"{share * (1 - promise.missed):.1%} | {speed} |"
    )


def put_table(page: Path, mark: str, text: str) -> None:
    """Exchange the table between its marks."""
    before = page.read_text(encoding="utf-8")
    marked = f"<!-- {mark} -->\n{text}\n<!-- end of {mark} -->"
    page.write_text(re.sub(rf"(?s)<!-- {mark} -->.*<!-- end of {mark} -->", marked, before), encoding="utf-8")


def draw(one: Measured, bound: float) -> Figure:
    """Skipped against missed, of all cells and of each type, as the threshold rises; and what the draws gave."""
    assert one.corpus is not None
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    scores, filled = one.oracle.scores, one.oracle.filled
    named: list[float] = []
    for kind, label in enumerate(one.corpus.types):
        if filled[:, kind].sum() >= smallest_sample(0.05, 0.05):
            left.plot(*_curve(scores[:, kind], filled[:, kind]), color="#999999", lw=0.7, alpha=0.6)
            place = _end(scores[:, kind], filled[:, kind])
            if all(abs(place[1] - other) > _LABEL_HEIGHT for other in named):  # where curves crowd, some have no name
                left.annotate(label, place, fontsize=5, color="#555555")
                named.append(place[1])
    left.plot(*_curve(scores.ravel(), filled.ravel()), color="#0072B2", lw=2, label="all types")
    left.axvline(bound, color="#D55E00", ls="--", label=f"bound {bound:.0%}")
    left.set(xlim=(0, 0.1), ylim=(0, 1), xlabel="missed, of what is filled", ylabel="skipped, of all cells")
    left.set_title("As the threshold rises (grey: each type)")
    left.legend(loc="lower right")
    right.scatter([d.missed for d in one.drawn], [d.skipped for d in one.drawn], s=6, alpha=0.4, color="#0072B2")
    right.axvline(bound, color="#D55E00", ls="--")
    right.set(xlim=(0, 2 * bound), xlabel="missed, of what is filled", ylabel="skipped, of all cells")
    right.set_title(f"{len(one.drawn):,} draws of the calibration cells")
    return figure


def _curve(
    scores: npt.NDArray[np.float32], filled: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    order = np.argsort(scores)
    return np.cumsum(filled[order]) / max(filled.sum(), 1), np.arange(1, len(order) + 1) / len(order)


def _end(scores: npt.NDArray[np.float32], filled: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Where a type's curve has missed 8 %."""
    missed, skipped = _curve(scores, filled)
    return 0.08, float(skipped[np.searchsorted(missed, 0.08)])


if __name__ == "__main__":
    main()
