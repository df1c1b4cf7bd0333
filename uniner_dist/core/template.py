"""The prompt: the exact string the model was trained on, in two halves around its end-of-turn token.

Returns one line for a text and an entity type. User data is only ever concatenated, never formatted, stripped or
normalised, so braces, quotes and line breaks stay as they are and offsets into the text stay true. Pure; no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from uniner_dist.errors import ConfigError

#: The end-of-turn token as it is spelled in the prompt.
END_OF_TURN = "</s>"

#: What begins a prompt, as Llama's tokenizers spell it.
BOS = "<s>"

#: Name of the template every released UniNER checkpoint documents.
DEFAULT_TEMPLATE = "ie_as_qa"


@dataclass(frozen=True)
class Template:
    """One conversation: `before_text` text `after_text` </s> `before_type` entity type `after_type`.

    Args:
        name: what configuration calls it; part of the fingerprint.
        before_text: everything in front of the text.
        after_text: everything between the text and the `</s>`.
        before_type: everything between the `</s>` and the entity type.
        after_type: everything after the entity type; the model continues from here.
    """

    name: str
    before_text: str
    after_text: str
    before_type: str
    after_type: str

    def prefix(self, text: str) -> str:
        """Return everything before the `</s>`: the same for all types of a text.

        Args:
            text: the passage, unaltered.
        """
        return self.before_text + text + self.after_text

    def suffix(self, entity_type: str) -> str:
        """Return everything after the `</s>`: the same for all texts of a type.

        Args:
            entity_type: the word, phrase or definition that is asked for, unaltered.
        """
        return self.before_type + entity_type + self.after_type

    def prompt(self, text: str, entity_type: str) -> str:
        """Return the whole prompt as one string, with the `</s>` spelled out.

        Args:
            text: the passage, unaltered.
            entity_type: the word, phrase or definition that is asked for, unaltered.
        """
        return self.prefix(text) + END_OF_TURN + self.suffix(entity_type)


_SYSTEM = "A virtual assistant answers questions from a user based on the provided "


def _template(name: str, noun: str = "text", blank: str = "") -> Template:
    """A form of `ie_as_qa`.

    Args:
        name: as in `model.template`.
        noun: what the first sentence calls the text.
        blank: what is added after each `ASSISTANT:` of the form of inference.
    """
    return Template(
        name=name,
        before_text=f"{_SYSTEM}{noun}. USER: Text: ",
        after_text=f" ASSISTANT: {blank}I've read this text.",
        before_type="USER: What describes ",
        after_type=f" in the text? ASSISTANT:{blank}",
    )


#: Every template by name. `ie_as_qa` is the conversation template of the authors' repository
#: (github.com/universal-ner/universal-ner, `src/conversation.py` and `src/serve/hf.py`), which their inference and
#: evaluation use. Their training differs in two ways (`src/train/fastchat/train/train.py` tokenises `ASSISTANT: ` by
#: itself, so that a lone blank follows it; `src/train/fastchat/conversation.py` says "paragraph"): each is a
#: choice by itself, and `ie_as_qa_train` is both. The paper (arXiv:2308.03279) also sketches a form with the dataset's
#: name before the text for its supervised runs; no published code or data fixes its exact bytes, so it is not offered
#: here. A checkpoint with another prompt gets another entry.
TEMPLATES: Mapping[str, Template] = MappingProxyType(
    {
        template.name: template
        for template in (
            _template(DEFAULT_TEMPLATE),
            _template("ie_as_qa_train", noun="paragraph", blank=" "),
            _template("ie_as_qa_train_blanks", blank=" "),
            _template("ie_as_qa_train_wording", noun="paragraph"),
        )
    }
)


def get_template(name: str) -> Template:
    """Return the template called `name`.

    Args:
        name: a key of `TEMPLATES`, as in `model.template`.

    Raises:
        ConfigError: no such template; the message lists those there are.
    """
    try:
        return TEMPLATES[name]
    except KeyError:
        known = ", ".join(sorted(TEMPLATES))
        raise ConfigError(f"unknown prompt template {name!r}; known: {known}") from None


def build_prompt(text: str, entity_type: str, template: str = DEFAULT_TEMPLATE) -> str:
    """Return the prompt that asks which strings of `text` are of type `entity_type`, byte for byte the authors'.

    Args:
        text: the passage, unaltered.
        entity_type: the word, phrase or definition that is asked for, unaltered.
        template: a key of `TEMPLATES`; by default the form of the authors' inference.

    Raises:
        ConfigError: unknown `template`.
    """
    return get_template(template).prompt(text, entity_type)
