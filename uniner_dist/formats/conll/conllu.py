"""CoNLL-U and CoNLL-U Plus, as the library `conllu` reads them: tags in MISC (`NE=B-PER`) or in a named column.

A tagged word of a multiword token is a mention of the whole surface form, or only of its own part of it where the words
are the form's letters in order (`Anna` `'s`); empty nodes are not words of the text. `# text` is the text of a sentence
where its tokens are in it; else the tokens are joined, and `SpaceAfter=No` marks where no space is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from operator import itemgetter
from typing import Any, Final

from uniner_dist.errors import ConfigError
from uniner_dist.formats.conll.lines import sentence_iterator
from uniner_dist.formats.gold_document import GoldDocument, ReadingNotes
from uniner_dist.formats.tagging import OUTSIDE, is_tag, read_tags
from uniner_dist.formats.token_text import Span, add_mentions, align_tokens, join_tokens

#: Names of keys and columns of entities, those that count more first.
_NAMES: Final = ("NER", "NE", "NAMED", "ENTITY", "TAG")

#: Where tags are: a column's name, and the key in it if the column is MISC.
Source = tuple[str, str | None]


@dataclass(frozen=True)
class _Sentence:
    """One sentence as the library returns it, and the number of its first line."""

    line: int
    tokens: Any

    @property
    def words(self) -> list[Any]:
        """Syntactic words: neither ranges nor empty nodes."""
        return [token for token in self.tokens if not isinstance(token["id"], tuple)]

    def surfaces(self) -> tuple[list[Any], list[int]]:
        """Return what is written, tokens and ranges, and for each word the number of the one that it is part of."""
        written: list[Any] = []
        owners: list[int] = []
        last = 0
        for token in self.tokens:
            number = token["id"]
            if isinstance(number, tuple):
                if number[1] == "-":
                    written.append(token)
                    last = number[2]
            else:
                if not isinstance(number, int) or number > last:
                    written.append(token)
                owners.append(len(written) - 1)
        return written, owners

    def word_spans(self, spans: Sequence[Span]) -> list[Span]:
        """Return the offsets of each word, given those of each of `surfaces`."""
        written, owners = self.surfaces()
        found: list[Span] = []
        for owner, group in groupby(zip(owners, self.words, strict=True), key=itemgetter(0)):
            start, end = spans[owner]
            forms = [word["form"] for _, word in group]
            if "".join(forms) == written[owner]["form"]:
                found += pairwise(accumulate(map(len, forms), initial=start))
            else:
                found += [(start, end)] * len(forms)
        return found


def is_conllu(content: str) -> bool:
    """Return whether a file declares that it is CoNLL-U Plus, or has CoNLL-U's ten columns with numbered tokens.

    Args:
        content: text of the file, of whose lines the first 50 are looked at.
    """
    if content.startswith("# global.columns"):
        return True
    rows = [line.split("\t") for line in content.split("\n")[:50] if "\t" in line and not line.startswith("#")]
    return bool(rows) and all(len(row) == 10 and row[0].replace("-", "").replace(".", "").isdecimal() for row in rows)


def read_conllu(content: str, stem: str, path: str = "", notes: ReadingNotes | None = None) -> list[GoldDocument]:
    """Return the documents of one file; they begin at `# newdoc`, or else every sentence is one, by its `# sent_id`.

    Args:
        content: text of the file.
        stem: prefix of the ids of documents without a name (`STEM-N`), the file's name without ending.
        path: path or URL of the file, for error messages and notes.
        notes: receives where the tags are; None: nothing is noted.

    Raises:
        ConfigError: no CoNLL-U, or nothing in it holds tags.
    """
    notes = notes or ReadingNotes()
    sentences = list(_sentences(content, path))
    source = _find_tags(sentences, path)
    notes.say(f"{path}: CoNLL-U, tags in {source[0].upper()}" + (f" under {source[1]}" if source[1] else ""))
    documents: list[GoldDocument] = []
    grouped = any(_begins(sentence) for sentence in sentences)
    for sentence in sentences:
        if not documents or not grouped or _begins(sentence):
            doc_id = sentence.tokens.metadata.get("newdoc id") or (None if grouped else _sentence_id(sentence))
            documents.append(GoldDocument(doc_id or f"{stem}-{len(documents)}", ""))
        _add_sentence(documents[-1], sentence, source, path, notes)
    return documents


def _sentences(content: str, path: str) -> Iterator[_Sentence]:
    import conllu

    fields = None
    for line, block in sentence_iterator(content):
        try:
            if block.startswith("# global.columns"):
                fields = block.split("\n", 1)[0].split("=", 1)[1].lower().split()
            found = conllu.parse(block + "\n\n", fields=fields or conllu.parser.DEFAULT_FIELDS)
        except (conllu.exceptions.ParseException, ValueError, IndexError) as error:
            raise ConfigError(f"gold {path}, lines {line} and after: is not CoNLL-U: {error}") from error
        for tokens in found:
            if tokens:
                _check_columns(tokens, f"gold {path}, lines {line} and after")
                yield _Sentence(line, tokens)


def _check_columns(tokens: Any, where: str) -> None:
    if any(name not in token for token in tokens for name in ("id", "form")):
        raise ConfigError(f"{where}: CoNLL-U needs the columns ID and FORM")


def _find_tags(sentences: Sequence[_Sentence], path: str) -> Source:
    """The one column or key of MISC all of whose values are tags."""
    values: dict[Source, set[str]] = {}
    for sentence in sentences:
        for word in sentence.words:
            for name, value in word.items():
                if isinstance(value, dict):
                    for key, inner in value.items():
                        values.setdefault((name, key), set()).add(str(inner))
                elif isinstance(value, str) and name not in ("form", "lemma"):
                    values.setdefault((name, None), set()).add(value)
    found = [
        source for source, seen in values.items() if all(map(is_tag, seen - {"_", "*"})) and seen - {"_", "*", OUTSIDE}
    ]
    named = [source for name in _NAMES for source in found if name in (source[1] or source[0]).upper()]
    chosen = list(dict.fromkeys(named or found))
    if len(chosen) == 1 or (named and _exact(named[0])):
        return chosen[0]
    if chosen:
        shown = ", ".join(source[1] or source[0].upper() for source in chosen)
        raise ConfigError(f"gold {path}: several columns hold tags ({shown}); leave one of them")
    keys = sorted({source[1] or source[0].upper() for source in values})
    raise ConfigError(
        f"gold {path}: CoNLL-U without tags such as B-PER, neither in a column nor in MISC; there are {', '.join(keys)}"
    )


def _exact(source: Source) -> bool:
    return (source[1] or source[0]).upper() in _NAMES


def _begins(sentence: _Sentence) -> bool:
    return any(name == "newdoc" or name.startswith("newdoc ") for name in sentence.tokens.metadata)


def _sentence_id(sentence: _Sentence) -> str | None:
    found: str | None = sentence.tokens.metadata.get("sent_id")
    return found


def _tag(word: Any, source: Source) -> str:
    value = word.get(source[0])
    if source[1] is not None:
        value = (value or {}).get(source[1])
    return OUTSIDE if value in (None, "_", "*") else str(value)


def _add_sentence(document: GoldDocument, sentence: _Sentence, source: Source, path: str, notes: ReadingNotes) -> None:
    text, spans = _text(sentence, sentence.surfaces()[0], notes)
    begin = len(document.text) + bool(document.text)
    document.text += ("\n" if document.text else "") + text
    placed = [(start + begin, end + begin) for start, end in sentence.word_spans(spans)]
    try:
        mentions = read_tags(_tag(word, source) for word in sentence.words)
    except ValueError as error:
        raise ConfigError(f"gold {path}, lines {sentence.line} and after: {error}") from error
    add_mentions(document, placed, mentions)


def _text(sentence: _Sentence, written: Sequence[Any], notes: ReadingNotes) -> tuple[str, list[Span]]:
    forms = [token["form"] for token in written]
    said = sentence.tokens.metadata.get("text")
    if said is not None:
        spans = align_tokens(said, forms)
        if not isinstance(spans, int):
            return said, spans
        notes.count("sentences have a comment with a text that is not that of their tokens; it is made of the tokens")
    return join_tokens(forms, [(token.get("misc") or {}).get("SpaceAfter") != "No" for token in written])
