"""CoNLL files and their relatives: a token per line with its tag in a column, blank lines between sentences.

Returns documents with entities and exact offsets. The columns of CoNLL-2002 and CoNLL-2003, GermEval 2014 (tokens
numbered, two levels of mentions), HIPE-2022 (named columns), tags before tokens, and types without prefix are read; the
content of a column decides its role (see `columns`). Files of this project's export also have comments with the text,
so that offsets are those in the corpus, and with the types that were answered.
"""

from __future__ import annotations

from collections.abc import Sequence

from uniner_dist.errors import ConfigError
from uniner_dist.formats.conll.columns import Layout, find_layout
from uniner_dist.formats.conll.lines import TEXT_COMMENT, DocumentLines, SentenceLines, TokenFile, read_lines
from uniner_dist.formats.gold_document import GoldDocument, ReadingNotes
from uniner_dist.formats.tagging import is_tag, read_tags
from uniner_dist.formats.token_text import Span, add_mentions, align_tokens, join_tokens

#: Value by which HIPE's files mark tokens that no space follows.
_NO_SPACE = "NoSpaceAfter"


def read_conll(content: str, stem: str, path: str = "", notes: ReadingNotes | None = None) -> list[GoldDocument]:
    """Return the documents of one file.

    A document begins at a comment `# id = NAME` (or `# newdoc id = NAME`, or HIPE's `document_id`) and has that id; or
    else at a line `-DOCSTART-`; in a file that has neither, every sentence is a document, with the id that its
    `# sent_id` gives. Without a name the id is `STEM-N`, N counting the file's documents from 0. The text is the tokens
    with a space between them, and a line break between sentences, unless the file has the text itself.

    Args:
        content: text of the file.
        stem: prefix of the ids of documents without a name, the file's name without ending.
        path: path or URL of the file, for error messages and notes.
        notes: receives the roles of the columns and how texts were made; None: nothing is noted.

    Raises:
        ConfigError: columns that cannot be told apart, a line without a tag, or tokens that are not those of the text
            in the comment of an export.
    """
    notes = notes or ReadingNotes()
    file = read_lines(content, path)
    if not file.documents:
        return []
    layout = _layout(file, path)
    notes.say(f"{path}: {layout}")
    documents: list[GoldDocument] = []
    for lines in file.documents:
        only = lines.sentences[0].comments.get("sent_id") if len(lines.sentences) == 1 else None
        doc_id = lines.doc_id if lines.doc_id is not None else only
        document = _document(f"{stem}-{len(documents)}" if doc_id is None else doc_id, lines, layout, path, notes)
        document.answers = {name: [] for name in lines.types or ()} | document.answers
        document.says_types = lines.types is not None
        documents.append(document)
    return documents


def _layout(file: TokenFile, path: str) -> Layout:
    sentences = [sentence.rows for sentence in file.sentences]
    try:
        return find_layout(sentences, file.header)
    except ValueError as error:
        wrong = _first_without_tag(file.sentences)
        raise ConfigError(f"gold {path}{wrong}: {error}") from error


def _first_without_tag(sentences: Sequence[SentenceLines]) -> str:
    """The first line whose last cell is no tag, if most others' are tags: the mistake is likely to be there."""
    lasts = [(n, row) for one in sentences for n, row in zip(one.numbers, one.rows, strict=True)]
    wrong = [(number, row) for number, row in lasts if not is_tag(row[-1])]
    if not wrong or len(wrong) * 2 > len(lasts) > 1:
        return ""
    number, row = wrong[0]
    return f", line {number}: expected a token and a tag such as O, B-person or I-person, got {' '.join(row)!r}"


def _document(doc_id: str, lines: DocumentLines, layout: Layout, path: str, notes: ReadingNotes) -> GoldDocument:
    """The document of a block: with its own text, where a comment has it, else with one made of its tokens."""
    if lines.text is None:
        text, spans = _made_text(lines, layout, notes)
    else:
        text, spans = lines.text, _aligned(doc_id, lines, layout, path)
    document = GoldDocument(doc_id, text)
    for sentence, places in zip(lines.sentences, spans, strict=True):
        for column in layout.tags:
            tags = [row[column] for row in sentence.rows]
            try:
                mentions = read_tags(tags, bare=layout.bare, types=lines.types or ())
            except ValueError as error:
                raise ConfigError(f"gold {path}, lines {sentence.numbers[0]} and after: {error}") from error
            add_mentions(document, places, mentions)
    return document


def _made_text(lines: DocumentLines, layout: Layout, notes: ReadingNotes) -> tuple[str, list[list[Span]]]:
    """One sentence a line: the text of its comment, or its tokens with spaces between them."""
    text, places = "", []
    for sentence in lines.sentences:
        text += "\n" if text else ""
        own, spans = _sentence_text(sentence, layout, notes)
        places.append([(start + len(text), end + len(text)) for start, end in spans])
        text += own
    return text, places


def _sentence_text(sentence: SentenceLines, layout: Layout, notes: ReadingNotes) -> tuple[str, list[Span]]:
    tokens = [row[layout.token] for row in sentence.rows]
    said = sentence.comments.get("text")
    if said is not None:
        spans = align_tokens(said, tokens)
        if not isinstance(spans, int):
            return said, spans
        notes.count("sentences have a comment with a text that is not that of their tokens; it is made of the tokens")
    return join_tokens(tokens, _spaces(sentence, layout))


def _spaces(sentence: SentenceLines, layout: Layout) -> list[bool] | None:
    """Which tokens a space follows, from HIPE's column; None without such a column."""
    named = [number for number, name in enumerate(layout.names) if name.upper() in ("MISC", "RENDER")]
    if not named:
        return None
    return [not any(_NO_SPACE in row[number].split("|") for number in named) for row in sentence.rows]


def _aligned(doc_id: str, lines: DocumentLines, layout: Layout, path: str) -> list[list[Span]]:
    """Offsets of each token of each sentence in the text that the export's comment has."""
    tokens = [(n, row[layout.token]) for one in lines.sentences for n, row in zip(one.numbers, one.rows, strict=True)]
    spans = align_tokens(lines.text or "", [token for _, token in tokens])
    if isinstance(spans, int):
        number, token = tokens[spans]
        raise ConfigError(
            f"gold {path}, line {number}: document {doc_id}: the token {token!r} is not the next one of its "
            f"{TEXT_COMMENT}; correct tags only, or remove that comment"
        )
    remaining = iter(spans)
    return [[next(remaining) for _ in sentence.rows] for sentence in lines.sentences]
