"""Labels and what is asked for them, derived once."""

from __future__ import annotations

from uniner_dist.config.questions import EntityType
from uniner_dist.core.questions import Questions


def test_labels_that_share_a_question_are_asked_once_in_the_first_place() -> None:
    types = [("PER", "person"), ("LOC", "place"), ("HUMAN", "person"), ("place", "place name")]
    questions = Questions.of(EntityType(label=label, ask=ask) for label, ask in types)
    assert questions.labels == ("PER", "LOC", "HUMAN", "place")
    assert questions.asked == ("person", "place", "place name")
    assert questions.of_labels == (0, 1, 0, 2)
    assert questions.by_question() == {"person": ["PER", "HUMAN"], "place": ["LOC"], "place name": ["place"]}
    assert questions.by_label() == dict(types)
    assert list(questions.by_label()) == [label for label, _ in types]


def test_no_types_have_no_questions() -> None:
    assert Questions.of([]) == Questions((), (), ())
