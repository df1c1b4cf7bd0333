"""Answers that earlier versions stored under another fingerprint: which of them this run may use.

They may be used where nothing that decides an answer was different: the weights must be certain to be the same, and the
token ids that were sent then must be shown to be the present ones. Everything else is asked again. Returns the
fingerprints for a checked configuration.
"""

from __future__ import annotations

from collections.abc import Sequence

from uniner_dist import model
from uniner_dist.config.schema import SPEED_ARGUMENTS, Config, ModelConfig
from uniner_dist.core.hashing import digest
from uniner_dist.core.template import DEFAULT_TEMPLATE, get_template
from uniner_dist.core.tokens import PromptTokenizer
from uniner_dist.errors import ConfigError
from uniner_dist.model.earlier import earlier_identity, earlier_tokenizer_json, is_exact
from uniner_dist.model.reference import static_pairs
from uniner_dist.run.identity import precision
from uniner_dist.run.run import Run
from uniner_dist.storage.answer_store import is_empty
from uniner_dist.storage.place_layout import StoreLayout


def usable_stores(run: Run) -> tuple[StoreLayout, ...]:
    """Return the parts of the store that may have answers for this run: that of its own fingerprint first.

    Args:
        run: the run that asks.
    """
    return (run.store, *(StoreLayout(run.config.store_path, one) for one in reusable_fingerprints(run.config)))


def reusable_fingerprints(config: Config) -> tuple[str, ...]:
    """Return fingerprints of earlier versions whose stored answers are valid for this configuration too; mostly none.

    Args:
        config: checked; with the path of the store as it is opened.
    """
    if config.model.template != DEFAULT_TEMPLATE:
        return ()  # there was no other
    fingerprint = earlier_fingerprint(config, earlier_identity(config.model))
    if is_empty(StoreLayout(config.store_path, fingerprint)):
        return ()
    same = is_exact(config.model) and has_same_ids(config.model, config.questions.asked)
    return (fingerprint,) if same else ()


def earlier_fingerprint(config: Config, identity: str) -> str:
    """Return the fingerprint as it was made when it covered neither token ids nor all bytes of the weights.

    Args:
        config: only the parts that change an answer count.
        identity: what `uniner_dist.model.earlier.earlier_identity` says of the weights.
    """
    parts: dict[str, object] = {
        "model": identity,
        "dtype": precision(config),
        "quantization": config.model.quantization,
        "template": config.model.template,
        "max_tokens": config.model.max_tokens,
        "decoding": "greedy",
    }
    if config.engine.kind != "vllm":
        return digest(parts | {"engine": config.engine.kind})
    extra = {key: value for key, value in config.engine.extra.items() if key not in SPEED_ARGUMENTS}
    return digest(parts | ({"extra": extra} if extra else {}))


def has_same_ids(config: ModelConfig, questions: Sequence[str]) -> bool:
    """Return whether the earlier tokenizer sent the token ids that are sent now.

    It did if it is the same tokenizer, or gives equal ids for every pair of text and question that is tried.

    Args:
        config: the model's section, with tokenizer and template.
        questions: phrases that the run asks; each is tried with a short text, besides the pairs of `static_pairs`.
    """
    before, now = earlier_tokenizer_json(config), model.load_tokenizer_json(config)
    if before is None:
        return False
    if before == now:
        return True
    template = get_template(config.template)
    try:
        old, new = PromptTokenizer.from_json(before, template), PromptTokenizer.from_json(now, template)
        pairs = [*static_pairs(), *(("Marie Curie", question) for question in questions)]
        return all(old.prompt_ids(text, kind) == new.prompt_ids(text, kind) for text, kind in pairs)
    except ConfigError:
        return False
