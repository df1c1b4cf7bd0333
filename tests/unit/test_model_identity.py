"""What identifies a model: all bytes of its weights and the ids that are sent, on every kind of place."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from tests.support.llama_vocabulary import sentencepiece_model
from tests.support.tokenizer_factory import llama_json
from uniner_dist import demo, model
from uniner_dist.config.loading import validate_tree
from uniner_dist.config.schema import Config, ModelConfig
from uniner_dist.errors import ConfigError
from uniner_dist.model import earlier, file_hashes
from uniner_dist.model.cache import write_cached
from uniner_dist.model.identity import check_unchanged
from uniner_dist.pipeline.preflight import open_run
from uniner_dist.run.earlier import earlier_fingerprint, reusable_fingerprints
from uniner_dist.run.identity import fingerprint

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32_000}
COMMIT = "0123456789" * 4


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNINER_DIST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_model(folder: Path, middle: float = 0.0) -> Path:
    """A folder whose weights have 4 MB; `middle` changes bytes far from head and tail."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text(llama_json(legacy=True))
    weights = torch.zeros(1 << 20)
    weights[1 << 19] = middle
    save_file({"a": weights}, folder / "model.safetensors")
    return folder


def name_of(folder: Path | str) -> str:
    return model.identify(ModelConfig(name=str(folder)))


def test_weights_that_differ_in_the_middle_are_two_models(tmp_path: Path) -> None:
    assert name_of(write_model(tmp_path / "a")) != name_of(write_model(tmp_path / "b", middle=1.0))
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    assert name_of(tmp_path / "a") == name_of(tmp_path / "c")


@pytest.mark.parametrize("changed", ["config.json", "tokenizer.json", "generation_config.json"])
def test_what_decides_an_answer_beside_the_weights_is_part_of_it(tmp_path: Path, changed: str) -> None:
    folder = write_model(tmp_path / "a")
    before = name_of(folder)
    path = folder / changed
    tree = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(tree | {"eos_token_id": [2, 7], "model": {**tree.get("model", {}), "dropout": 0.5}}))
    assert name_of(folder) != before
    (folder / "README.md").write_text("nothing that decides an answer")
    (folder / "training_args.bin").write_bytes(b"\x80")
    after = name_of(folder)
    (folder / "README.md").unlink()
    assert name_of(folder) == after


def test_bytes_changed_behind_an_old_time_of_change_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_hashes, "_GRAIN_NS", 0)
    folder = write_model(tmp_path / "a")
    weights = folder / "model.safetensors"
    before, stat = name_of(folder), weights.stat()
    with weights.open("r+b") as stream:
        stream.seek(stat.st_size // 2)
        stream.write(b"\x01")
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert weights.stat().st_mtime_ns == stat.st_mtime_ns
    assert name_of(folder) != before


def test_a_file_is_read_whole_once_and_remembered_when_it_is_old_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_model(tmp_path / "a") / "model.safetensors"
    read: list[Path] = []
    original = file_hashes._sha256

    def counted(one: Path) -> str:
        read.append(one)
        return original(one)

    monkeypatch.setattr(file_hashes, "_sha256", counted)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert file_hashes.sha256_of_files([path]) == {path: digest}
    assert file_hashes.sha256_of_files([path]) == {path: digest}
    assert len(read) == 2, "so young a file may change within the grain of its times"
    monkeypatch.setattr(file_hashes, "_GRAIN_NS", 0)
    for _ in range(3):
        assert file_hashes.sha256_of_files([path]) == {path: digest}
    assert len(read) == 3


def test_a_cache_that_cannot_be_written_to_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_model(tmp_path / "a")
    before = name_of(folder)
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("UNINER_DIST_CACHE", str(blocked / "cache"))
    assert name_of(folder) == before


def test_a_cache_file_that_cannot_be_written_whole_leaves_nothing(cache: Path) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_cached(cache / "x.json", {"value": object()})
    assert list(cache.iterdir()) == []
    (cache / "folder.json").mkdir()
    write_cached(cache / "folder.json", {"value": 1})  # no file can take the place of a folder
    assert [path.name for path in cache.iterdir()] == ["folder.json"]


# -- folders on other file systems ------------------------------------------------------------------------------------


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[str]:
    yield "memory://identity"
    fsspec.filesystem("memory").rm("/identity", recursive=True)


def upload(folder: Path, url: str) -> None:
    fs, path = fsspec.core.url_to_fs(url)
    if fs.exists(path):
        fs.rm(path, recursive=True)
    fs.put(f"{folder}/", f"{path}/", recursive=True)


def test_a_nodes_copy_follows_other_bytes_of_the_same_size(tmp_path: Path, bucket: str) -> None:
    upload(write_model(tmp_path / "a"), bucket)
    before = name_of(bucket)
    copy = Path(model.resolve(ModelConfig(name=bucket)))
    assert (copy / "model.safetensors").read_bytes() == (tmp_path / "a/model.safetensors").read_bytes()
    upload(write_model(tmp_path / "b", middle=1.0), bucket)
    assert name_of(bucket) == name_of(tmp_path / "b") != before
    with pytest.raises(ConfigError, match="changed since the run began"):
        check_unchanged(ModelConfig(name=bucket), before)
    assert model.resolve(ModelConfig(name=bucket)) == str(copy)
    assert (copy / "model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


def test_weights_taken_away_afar_go_from_the_copy_too(tmp_path: Path, bucket: str) -> None:
    folder = write_model(tmp_path / "a")
    torch.save({"a": torch.zeros(1)}, folder / "pytorch_model.bin")
    upload(folder, bucket)
    copy = Path(model.resolve(ModelConfig(name=bucket)))
    assert (copy / "model.safetensors").is_file()
    (folder / "model.safetensors").unlink()
    upload(folder, bucket)
    model.resolve(ModelConfig(name=bucket))
    assert not (copy / "model.safetensors").exists()


def test_nothing_heavy_is_copied_to_name_a_remote_model(tmp_path: Path, bucket: str, cache: Path) -> None:
    upload(write_model(tmp_path / "a"), bucket)
    assert model.load_tokenizer_json(ModelConfig(name=bucket)) == llama_json(legacy=True)
    assert model.context_length(ModelConfig(name=bucket, max_model_len=512)) == 512
    name_of(bucket)
    assert not (cache / "models").exists()


def test_a_slash_at_the_end_of_a_url_makes_no_second_copy(tmp_path: Path, bucket: str, cache: Path) -> None:
    upload(write_model(tmp_path / "a"), bucket)
    assert model.resolve(ModelConfig(name=bucket)) == model.resolve(ModelConfig(name=f"{bucket}/"))
    assert len([path for path in (cache / "models").iterdir() if path.is_dir()]) == 1


def test_a_remote_model_without_room_for_its_copy_is_refused_in_words(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(write_model(tmp_path / "a"), bucket)
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("UNINER_DIST_CACHE", str(blocked / "cache"))
    name_of(bucket)  # which needs no copy
    with pytest.raises(ConfigError, match=rf"model {bucket}: cannot be copied to this machine .*UNINER_DIST_CACHE"):
        model.resolve(ModelConfig(name=bucket))


# -- the hub -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of huggingface_hub, with the layout it has, on a machine without network."""
    from huggingface_hub import constants

    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(folder))
    return folder


def publish(hub: Path, folder: Path, commit: str = COMMIT, branch: str = "main") -> None:
    """Put a folder into the cache as a commit: blobs by hash, and links to them."""
    repository = hub / "models--org--model"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for path in folder.iterdir():
        blob = repository / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(blob)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / branch).write_text(commit)


def resolved(revision: str | None = None) -> ModelConfig:
    return ModelConfig(name="org/model", revision=revision)


def test_a_hub_name_is_its_commit_and_the_hubs_hashes(tmp_path: Path, hub: Path) -> None:
    publish(hub, write_model(tmp_path / "a"))
    name = model.identify(resolved())
    assert name.startswith(f"org/model@{COMMIT}#")
    assert model.pinned(resolved()).revision == COMMIT
    assert model.load_tokenizer_json(resolved()) == llama_json(legacy=True)
    shutil.rmtree(hub)
    publish(hub, write_model(tmp_path / "b", middle=1.0))
    assert model.identify(resolved()) != name


def test_a_moved_branch_does_not_move_what_was_pinned(tmp_path: Path, hub: Path) -> None:
    publish(hub, write_model(tmp_path / "a"))
    pinned, name = model.pinned(resolved()), model.identify(resolved())
    publish(hub, write_model(tmp_path / "b", middle=1.0), commit="f" * 40)
    assert model.pinned(resolved()).revision == "f" * 40
    assert model.pinned(pinned).revision == COMMIT
    assert model.identify(pinned) == name


def test_a_hub_name_that_nobody_knows_is_refused_in_words(hub: Path) -> None:
    with pytest.raises(ConfigError, match="hub cannot be asked for its commit"):
        model.identify(resolved())
    with pytest.raises(ConfigError, match="is not in this machine's cache"):
        model.load_tokenizer_json(resolved(COMMIT))


def test_a_run_pins_the_commit_for_its_replicas(tmp_path: Path, hub: Path) -> None:
    publish(hub, write_model(tmp_path / "a"))
    run = open_run(configuration(tmp_path, "org/model"))
    assert run.config.model.revision == COMMIT
    assert run.model_identity.startswith(f"org/model@{COMMIT}#")


# -- fingerprints ------------------------------------------------------------------------------------------------------


def configuration(tmp_path: Path, name: str, **more: str) -> Config:
    corpus = tmp_path / "corpus"
    corpus.mkdir(exist_ok=True)
    pq.write_table(pa.table({"doc_id": ["1"], "text": ["x"]}), corpus / "c.parquet")
    tree = {"corpus": {"path": str(corpus)}, "output": {"path": str(tmp_path / "out")}, "types": "person"}
    return validate_tree({**tree, "model": {"name": name, **more}})


def test_each_template_has_a_fingerprint_of_its_own(tmp_path: Path) -> None:
    folder = str(write_model(tmp_path / "a"))
    names = ("ie_as_qa", "ie_as_qa_train", "ie_as_qa_train_blanks", "ie_as_qa_train_wording")
    configs = [configuration(tmp_path, folder, template=name) for name in names]
    assert len({fingerprint(config, name_of(folder)) for config in configs}) == 4


def store_answers(config: Config, identity: str) -> str:
    old = earlier_fingerprint(config, identity)
    cells = Path(config.store_path) / old / "cells"
    cells.mkdir(parents=True)
    (cells / f"{0:012x}-00000-0000-{0:012x}.parquet").write_bytes(b"")
    return old


def test_earlier_answers_are_used_where_neither_weights_nor_ids_can_differ(tmp_path: Path, hub: Path) -> None:
    from uniner_dist.model.earlier import earlier_identity

    config = configuration(tmp_path, "demo")
    assert reusable_fingerprints(config) == ()
    old = store_answers(config, earlier_identity(config.model))
    assert reusable_fingerprints(config) == (old,)
    assert reusable_fingerprints(configuration(tmp_path, "demo", template="ie_as_qa_train")) == ()


def test_earlier_answers_of_a_sampled_folder_may_be_of_other_weights(tmp_path: Path) -> None:
    from uniner_dist.model.earlier import earlier_identity

    config = configuration(tmp_path, str(write_model(tmp_path / "a")))
    other = configuration(tmp_path, str(write_model(tmp_path / "b", middle=1.0)))
    assert earlier_identity(config.model) == earlier_identity(other.model), "as it was"
    store_answers(config, earlier_identity(config.model))
    assert reusable_fingerprints(other) == ()


def test_without_transformers_nobody_knows_the_earlier_tokenizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    folder = write_model(tmp_path / "a")
    monkeypatch.setattr(earlier, "version", version)
    assert earlier.earlier_tokenizer_json(ModelConfig(name=str(folder))) == llama_json(legacy=True)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_bytes(sentencepiece_model())
    assert earlier.earlier_tokenizer_json(ModelConfig(name=str(folder))) is None


# -- the card ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "non_commercial"),
    [
        ("Universal-NER/UniNER-7B-all", True),
        ("s3://models/UniNER-7B-type/v2", True),
        ("/home/me/.cache/huggingface/hub/models--Universal-NER--UniNER-7B-all/snapshots/0123abcd", True),
        ("/models/my-uniner/", True),
        ("/srv/uniner-dist/models/llama", False),
        (demo.model_path(), False),
        ("meta-llama/Llama-2-7b-hf", False),
    ],
)
def test_the_licence_is_that_of_the_model_not_of_the_folder_around_it(name: str, non_commercial: bool) -> None:
    assert ("not for commercial use" in model.licence(ModelConfig(name=name))) == non_commercial
