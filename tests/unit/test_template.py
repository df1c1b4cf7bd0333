"""The prompt string, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uniner_dist.core.template import TEMPLATES, build_prompt, get_template
from uniner_dist.errors import ConfigError

SYSTEM = "A virtual assistant answers questions from a user based on the provided text."


def official_prompt(text: str, entity_type: str) -> str:
    """The authors' builder restated: turns joined with a space behind the user's and `</s>` behind the assistant's."""
    turns: list[tuple[str, str | None]] = [("USER", f"Text: {text}"), ("ASSISTANT", "I've read this text.")]
    turns += [("USER", f"What describes {entity_type} in the text?"), ("ASSISTANT", None)]
    prompt = SYSTEM + " "
    for number, (role, message) in enumerate(turns):
        prompt += f"{role}:" if message is None else f"{role}: {message}" + (" ", "</s>")[number % 2]
    return prompt


def test_the_default_prompt_is_the_one_the_model_was_trained_on() -> None:
    assert build_prompt("Marie Curie was born in Warsaw.", "person") == (
        "A virtual assistant answers questions from a user based on the provided text. USER: Text: Marie Curie was born"
        " in Warsaw. ASSISTANT: I've read this text.</s>USER: What describes person in the text? ASSISTANT:"
    )


@given(st.text(), st.text())
@settings(max_examples=200, derandomize=True, deadline=None)
def test_texts_and_types_go_in_unaltered(text: str, entity_type: str) -> None:
    assert build_prompt(text, entity_type) == official_prompt(text, entity_type)


@pytest.mark.parametrize("odd", ["{text}", "{0}", "{}", "%s", "$text", "{entity_type}", "</s>", "\r\n", " a ", ""])
def test_braces_placeholders_and_white_space_are_not_interpreted(odd: str) -> None:
    assert build_prompt(odd, odd) == official_prompt(odd, odd)


@given(st.text(), st.text())
@settings(max_examples=50, derandomize=True, deadline=None)
def test_prefix_turn_token_and_suffix_make_the_prompt(text: str, entity_type: str) -> None:
    for name, template in TEMPLATES.items():
        assert template.name == name
        whole = template.prefix(text) + "</s>" + template.suffix(entity_type)
        assert whole == build_prompt(text, entity_type, template=name)


def test_an_unknown_template_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'chatml'.*ie_as_qa"):
        get_template("chatml")
    with pytest.raises(ConfigError):
        build_prompt("a", "b", template="")
