"""A `tokenizer.model` of sentencepiece as the JSON of the `tokenizers` library, ids for ids the same.

Returns what transformers 4.28-4.57 make of the same file. transformers 5 is not used: it sorts the merges by id instead
of by score and treats the first word after a special token otherwise. Pure; needs sentencepiece, protobuf and
`tokenizers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from uniner_dist.errors import ConfigError

_SPACE = "▁"
_UNIGRAM, _BPE = 1, 2


@dataclass(frozen=True)
class LlamaSettings:
    """What decides how a `tokenizer.model` is read; the defaults are those of a checkpoint of 2023.

    Args:
        legacy: a text after a special token gets a blank in front, as sentencepiece gives it to every string.
        add_bos: prompts begin with the BOS token.
        blank_first: of a text that is not read in the legacy way, the first word gets that blank too.
        added: token → id of what was added to the vocabulary (`added_tokens.json`).
    """

    legacy: bool = True
    add_bos: bool = True
    blank_first: bool = True
    added: Mapping[str, int] = field(default_factory=dict)


def is_sentencepiece(content: bytes) -> bool:
    """Return whether these are the bytes of a sentencepiece model (Llama 3's file of the same name is a list of ranks).

    Args:
        content: bytes of a `tokenizer.model`.
    """
    from sentencepiece import SentencePieceProcessor

    try:
        return bool(content) and bool(SentencePieceProcessor(model_proto=content).vocab_size())
    except RuntimeError:
        return False


def convert(content: bytes, settings: LlamaSettings) -> str:
    """Return the JSON of a fast tokenizer that gives the same ids as a sentencepiece model.

    Every added token and control symbol is special: its text in a corpus stays text, as for sentencepiece.

    Args:
        content: bytes of a `tokenizer.model`.
        settings: how the repository's other files say to read it.

    Raises:
        ConfigError: not a sentencepiece model of byte-pair merges or unigrams.
    """
    from tokenizers import Tokenizer

    proto = parse(content)
    if proto is None:
        raise ConfigError("tokenizer.model: is cut off, or no sentencepiece model")
    tokenizer = Tokenizer(_model(proto))
    blank_first = bool(proto.normalizer_spec.add_dummy_prefix)
    normalizer = _normalizer(proto.normalizer_spec, settings.legacy)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if not settings.legacy:
        from tokenizers import pre_tokenizers

        scheme = "first" if settings.blank_first else "never"
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme=scheme, split=False)
    tokenizer.decoder = _decoder(blank_first)
    _add_tokens(tokenizer, proto, settings.added)
    _put_bos_first(tokenizer, proto, settings.add_bos)
    return str(tokenizer.to_str())


def parse(content: bytes) -> Any:
    """Return the `ModelProto` of a sentencepiece file; None for any other content.

    Args:
        content: bytes of a `tokenizer.model`.
    """
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    proto: Any = sentencepiece_model_pb2.ModelProto()
    try:
        proto.ParseFromString(content)
    except DecodeError:
        return None
    return proto if len(proto.pieces) and proto.HasField("trainer_spec") else None


def _model(proto: Any) -> Any:
    from tokenizers import models

    kind = proto.trainer_spec.model_type
    scores = [(piece.piece, piece.score) for piece in proto.pieces]
    if kind == _UNIGRAM:
        return models.Unigram(scores, proto.trainer_spec.unk_id, proto.trainer_spec.byte_fallback)
    if kind != _BPE:
        raise ConfigError("tokenizer.model: neither byte-pair merges nor unigrams; such a model cannot be read")
    vocabulary = {piece: number for number, (piece, _) in enumerate(scores)}
    return models.BPE(
        vocab=vocabulary,
        merges=_merges(proto, vocabulary),
        unk_token=proto.pieces[proto.trainer_spec.unk_id].piece,
        fuse_unk=True,
        byte_fallback=proto.trainer_spec.byte_fallback,
    )


def _merges(proto: Any, vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    """Every split of every piece into two others, best piece first, as sentencepiece's own search takes them.

    The order is (-score, id, left id, right id); for Llama's vocabulary this gives 61,249 merges.
    """
    kinds = type(proto.pieces[0])
    mergeable = {kinds.NORMAL, kinds.USER_DEFINED, kinds.UNUSED}
    keyed = []
    for number, piece in enumerate(proto.pieces):
        if piece.type not in mergeable:
            continue
        text = piece.piece
        for cut in range(1, len(text)):
            left, right = vocabulary.get(text[:cut]), vocabulary.get(text[cut:])
            if left is not None and right is not None:
                keyed.append((-piece.score, number, left, right))
    names = list(vocabulary)
    return [(names[left], names[right]) for _, _, left, right in sorted(keyed)]


def _normalizer(spec: Any, legacy: bool) -> Any:
    from tokenizers import Regex, normalizers

    steps: list[Any] = []
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(bytes(spec.precompiled_charsmap)))
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    if legacy:
        if spec.add_dummy_prefix:
            steps.append(normalizers.Prepend(_SPACE))
        if spec.escape_whitespaces:
            steps.append(normalizers.Replace(" ", _SPACE))
    return normalizers.Sequence(steps) if steps else None


def _decoder(blank_first: bool) -> Any:
    from tokenizers import decoders

    steps = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if blank_first else steps)


def _add_tokens(tokenizer: Any, proto: Any, added: Mapping[str, int]) -> None:
    from tokenizers import AddedToken

    kinds = type(proto.pieces[0])
    special = [piece.piece for piece in proto.pieces if piece.type in (kinds.CONTROL, kinds.UNKNOWN)]
    # After a gap in the numbers a token cannot be added; its text stays text all the same, and it adds nothing to one.
    by_number = {number: token for token, number in added.items() if token and tokenizer.token_to_id(token) is None}
    number = len(proto.pieces)
    while number in by_number:
        special.append(by_number[number])
        number += 1
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    own = [piece.piece for piece in proto.pieces if piece.type == kinds.USER_DEFINED]
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in own])


def _put_bos_first(tokenizer: Any, proto: Any, add_bos: bool) -> None:
    from tokenizers import processors

    number = proto.trainer_spec.bos_id
    if not add_bos or number < 0:
        return
    bos = proto.pieces[number].piece
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, number)]
    )
