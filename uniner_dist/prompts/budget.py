"""How many tokens a passage may have: derived here once from the configuration and the tokenizer. Pure but for reading
the model's context length.
"""

from __future__ import annotations

from dataclasses import dataclass

from uniner_dist.config.schema import Config
from uniner_dist.core.tokens import PromptTokenizer
from uniner_dist.model import identity as model


@dataclass(frozen=True)
class PassageBudget:
    """Sizes in tokens, as `uniner_dist.core.split.split_passages` takes them.

    Attributes:
        whole: a text of at most so many is one passage: its longest question and answer still fit the model's context.
        passage: a passage of a longer text has at most so many.
        overlap: consecutive passages of a text share so many.
    """

    whole: int
    passage: int
    overlap: int


def passage_budget(config: Config, tokenizer: PromptTokenizer) -> PassageBudget:
    """The sizes for the run's longest question."""
    longest = max(len(tokenizer.suffix_ids(entity_type.ask)) for entity_type in config.types)
    frame = len(tokenizer.prefix_ids([""])[0])
    # Two tokens of slack: the text's first and last token may be cut otherwise inside the frame than alone.
    whole = model.context_length(config.model) - config.model.max_tokens - longest - frame - 2
    return PassageBudget(whole, min(whole, config.prompts.passage_tokens), config.prompts.overlap_tokens)
