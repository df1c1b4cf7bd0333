"""Score the demonstration model on held-out sentences: `python -m training.evaluate [--model DIR]`.

Five sets, all generated from the seed: unseen names in seen templates, and unseen names in unseen templates, each as
single sentences and as texts of one to four; and the sample corpus's short documents against their gold. Prints a table
and writes the same numbers as JSON. Scores are over (mention string, text, type): an answer's mention counts once, and
only if it equals a gold mention exactly.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from training.questions import choose_types
from training.sentences import Sides, answer, make_text
from training.tokenizer import prompt_prefix, prompt_suffix

DEFAULT_MODEL = Path(__file__).resolve().parents[1] / "uniner_dist" / "demo" / "model"
Answerer = Callable[[list[list[int]]], list[str]]


@dataclass(frozen=True)
class Question:
    """A text, the type that is asked, and the mentions that are right, each once and in text order."""

    text: str
    entity_type: str
    gold: list[str]


@dataclass
class Score:
    """Counts behind exact-answer rate, precision, recall and F1."""

    prompts: int = 0
    exact: int = 0
    unreadable: int = 0
    hits: int = 0
    predicted: int = 0
    wanted: int = 0
    failures: list[dict[str, object]] = field(default_factory=list)

    def add(self, question: Question, output: str) -> None:
        mentions = read_answer(output)
        self.prompts += 1
        self.unreadable += mentions is None
        found = set(mentions or [])
        self.hits += len(found & set(question.gold))
        self.predicted += len(found)
        self.wanted += len(question.gold)
        if mentions == question.gold:
            self.exact += 1
        else:
            self.failures.append(
                {"text": question.text, "type": question.entity_type, "gold": question.gold, "output": output}
            )

    def summary(self) -> dict[str, float]:
        precision = self.hits / self.predicted if self.predicted else 0.0
        recall = self.hits / self.wanted if self.wanted else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        rounded = {
            "exact": self.exact / max(1, self.prompts), "precision": precision, "recall": recall, "f1": f1,
        }  # fmt: skip
        counts = {"prompts": self.prompts, "mentions": self.wanted, "unreadable": self.unreadable}
        return {**counts, **{name: round(value, 4) for name, value in rounded.items()}}


def read_answer(output: str) -> list[str] | None:
    """The mentions of an answer, or None where it is not a JSON list of strings."""
    try:
        value = json.loads(output)
    except ValueError:
        return None
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


def generated_questions(
    seed: int, texts: int, types_per_text: int, sides: Sides, most_sentences: int
) -> Iterator[Question]:
    """Questions about generated texts of one or more sentences, about half of them with an empty answer."""
    rng = random.Random(seed)
    for _ in range(texts):
        text = make_text(rng, sides, sentences=rng.randint(1, most_sentences), noise=0.0)
        for entity_type in choose_types((m.slot for m in text.mentions), types_per_text, rng):
            yield Question(text.text, entity_type, json.loads(answer(text, entity_type)))


def corpus_questions(max_characters: int = 1500) -> Iterator[Question]:
    """Every question that the gold of the sample corpus answers, for texts of at most `max_characters`."""
    import pyarrow.dataset as ds

    from uniner_dist import demo

    corpus = ds.dataset(demo.corpus_path(), partitioning="hive").to_table().to_pylist()
    texts: dict[str, str] = {}
    for row in corpus:
        if row["doc_id"] and row["text"]:
            texts.setdefault(row["doc_id"], row["text"])
    for row in ds.dataset(demo.gold_path(), partitioning="hive").to_table().to_pylist():
        if len(texts[row["doc_id"]]) <= max_characters:
            names = list(dict.fromkeys(entity["text"] for entity in row["entities"]))
            yield Question(texts[row["doc_id"]], row["entity_type"], names)


def prompt_ids(tokenizer: object, question: Question) -> list[int]:
    """The prompt as token ids: special tokens inside the text stay text, the one between the turns is the real one."""
    encode = tokenizer.encode  # type: ignore[attr-defined]
    prefix = encode(prompt_prefix(question.text), add_special_tokens=False, split_special_tokens=True)
    suffix = encode(prompt_suffix(question.entity_type), add_special_tokens=False, split_special_tokens=True)
    return [1, *prefix, 2, *suffix]


def transformers_answerer(model_dir: Path, batch_size: int = 64, max_tokens: int = 256) -> Answerer:
    """Greedy decoding by transformers in float32, batched by length."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(model_dir)

    def complete(prompts: list[list[int]]) -> list[str]:
        outputs = [""] * len(prompts)
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            width = max(len(prompts[index]) for index in chosen)
            ids = torch.tensor([[0] * (width - len(prompts[i])) + prompts[i] for i in chosen])
            mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in chosen])
            with torch.inference_mode():
                out = model.generate(
                    input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=max_tokens,
                    eos_token_id=2, pad_token_id=2,
                )  # fmt: skip
            for row, index in enumerate(chosen):
                outputs[index] = tokenizer.decode(out[row, width:], skip_special_tokens=True)
        return outputs

    return complete


def vllm_answerer(model_dir: Path, max_tokens: int = 256) -> Answerer:
    """Greedy decoding by vLLM in float32, engine in this process."""
    for name, value in (
        ("VLLM_CPU_KVCACHE_SPACE", "1"), ("VLLM_ENABLE_V1_MULTIPROCESSING", "0"), ("OMP_NUM_THREADS", "1"),
        ("VLLM_CPU_OMP_THREADS_BIND", "nobind"),
    ):  # fmt: skip
        os.environ.setdefault(name, value)
    from vllm import LLM, SamplingParams

    engine = LLM(model=str(model_dir), dtype="float32", enable_prefix_caching=True, block_size=32, max_model_len=2048,
                 enforce_eager=True)  # fmt: skip
    sampling = SamplingParams(temperature=0.0, max_tokens=max_tokens)

    def complete(prompts: list[list[int]]) -> list[str]:
        results = engine.generate([{"prompt_token_ids": ids} for ids in prompts], sampling, use_tqdm=False)
        return [result.outputs[0].text for result in results]

    return complete


def score(questions: list[Question], outputs: list[str]) -> tuple[Score, dict[str, Score]]:
    """The total and the score of each type."""
    total, by_type = Score(), defaultdict[str, Score](Score)
    for question, output in zip(questions, outputs, strict=True):
        total.add(question, output)
        by_type[question.entity_type].add(question, output)
    return total, dict(by_type)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--engine", choices=["transformers", "vllm"], default="vllm")
    parser.add_argument("--texts", type=int, default=400, help="generated texts per set")
    parser.add_argument("--types", type=int, default=6, help="questions per generated text")
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--output", type=Path, help="write the scores here as JSON")
    parser.add_argument("--failures", type=int, default=0, help="print this many wrong answers per set")
    options = parser.parse_args()

    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(options.model)
    answerer = transformers_answerer if options.engine == "transformers" else vllm_answerer
    complete = answerer(options.model)
    names, both = Sides(held_out_names=True), Sides(held_out_names=True, held_out_templates=True)
    sets: dict[str, list[Question]] = {}
    for most, words in ((1, "sentences"), (4, "texts")):
        made = (options.texts, options.types)
        sets[f"{words}, unseen names"] = list(generated_questions(options.seed, *made, names, most))
        sets[f"{words}, unseen templates"] = list(generated_questions(options.seed + 1, *made, both, most))
    sets["sample corpus"] = list(corpus_questions())
    report: dict[str, object] = {"engine": options.engine, "seed": options.seed}
    print(f"{'set':28} {'prompts':>8} {'mentions':>8} {'exact':>7} {'P':>7} {'R':>7} {'F1':>7} {'unreadable':>10}")
    for name, questions in sets.items():
        total, by_type = score(questions, complete([prompt_ids(tokenizer, question) for question in questions]))
        s = total.summary()
        print(f"{name:28} {s['prompts']:8} {s['mentions']:8} {s['exact']:7.3f} {s['precision']:7.3f} "
              f"{s['recall']:7.3f} {s['f1']:7.3f} {s['unreadable']:10}", flush=True)  # fmt: skip
        for failure in total.failures[: options.failures]:
            print("   ", json.dumps(failure, ensure_ascii=False))
        report[name] = {**s, "by_type": {key: value.summary() for key, value in sorted(by_type.items())}}
    if options.output:
        options.output.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
