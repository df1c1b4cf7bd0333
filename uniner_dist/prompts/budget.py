"""How many tokens a passage may have, derived here once from the configuration and the tokenizer.

Pure except for reading the model's context length.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from uniner_dist import model
from uniner_dist.config.schema import Config
from uniner_dist.core.tokens import PromptTokenizer

#: A type whose question leaves less room than this for text is refused.
MIN_PASSAGE_TOKENS = 64
#: Fraction of the context in steps of which room for questions is reserved: 256 tokens of 2,048, more than most
#: definitions take.
QUESTION_STEPS = 8


@dataclass(frozen=True)
class PassageBudget:
    """Sizes in tokens, as `uniner_dist.core.split.split_passages` takes them.

    Attributes:
        whole: longest text that is one passage: its longest question and answer still fit the model's context.
        passage: longest passage of a longer text.
        overlap: tokens that consecutive passages of a text share.
    """

    whole: int
    passage: int
    overlap: int


def passage_budget(config: Config, tokenizer: PromptTokenizer) -> PassageBudget:
    """Return the sizes of passages that leave room for the run's longest question.

    Room for a question is reserved in steps of an eighth of the context, so that a text is cut in the same places
    whatever is asked: one more type with a longer phrase asks nothing again of the others. A longer question
    takes another step, and where the context has hardly any room for text, exactly what it needs.

    Args:
        config: of the run: questions, model (whose context length is read from its files) and wanted sizes.
        tokenizer: the model's tokenizer with the run's prompt template.

    Returns:
        Sizes in tokens. `whole` may be too small for a run, even below 0: the preflight refuses less than
        `MIN_PASSAGE_TOKENS`.
    """
    longest = max(len(tokenizer.suffix_ids(question)) for question in config.questions.asked)
    frame, context = len(tokenizer.prefix_ids([""])[0]), model.context_length(config.model)
    # Two tokens of slack: the text's first and last token may be tokenised differently inside the frame than alone.
    room = context - config.model.max_tokens - frame - 2
    step = max(1, context // QUESTION_STEPS)
    whole = max(room - ceil(longest / step) * step, min(room - longest, MIN_PASSAGE_TOKENS))
    return PassageBudget(whole, min(whole, config.prompts.passage_tokens), config.prompts.overlap_tokens)
