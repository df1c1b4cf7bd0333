"""Identity of a model: every byte that decides an answer, wherever the files are. Never a path, never a sample.

Returns the identity that goes into the fingerprint, the commit that a hub name refers to, and what an engine can load.
A hub name is resolved to its commit once, by `pinned`; everything later asks for that commit.
"""

from __future__ import annotations

import hashlib

from uniner_dist import demo
from uniner_dist.config.schema import ModelConfig
from uniner_dist.core.hashing import digest
from uniner_dist.errors import ConfigError
from uniner_dist.model.form import QUANTIZATION_FILES, read_config
from uniner_dist.model.source import ModelSource, is_hub_name, open_source
from uniner_dist.model.tokenizer import load_tokenizer
from uniner_dist.model.weights import weight_files
from uniner_dist.storage.filesystem import is_local, open_fs

#: Files other than the weights that change the answers.
_SETTINGS = ("config.json", "generation_config.json", *QUANTIZATION_FILES)


def resolve(config: ModelConfig) -> str:
    """Return a folder of this machine, or a hub name, that an engine can load; remote folders are copied once per node.

    Args:
        config: the model; of a hub name the revision is not part of the result.

    Raises:
        ConfigError: there is no model at that location.
        StorageError: a remote folder cannot be read.
    """
    if config.name == "demo":
        return demo.model_path()
    if is_hub_name(config.name):
        return config.name
    fs, stripped = open_fs(config.name)
    if not is_local(fs):
        from uniner_dist.model.remote import copy_to_node

        return copy_to_node(config.name)
    open_source(config)  # raises for a wrong location
    return stripped


def pinned(config: ModelConfig) -> ModelConfig:
    """Return the same model with the commit of a hub name written out, so that nobody resolves it a second time.

    Args:
        config: the model; any other than one of the hub is returned as it is.

    Raises:
        ConfigError: the commit cannot be found out.
    """
    if not is_hub_name(config.name):
        return config
    from uniner_dist.model.hub import hub_commit

    return config.model_copy(update={"revision": hub_commit(config.name, config.revision)})


def identify(config: ModelConfig) -> str:
    """Return the identity string of a model: `<hub name>@<commit>#<digest>`, or `sha256:<digest>` of a folder.

    The digest covers all bytes of the weights (for hub models the hub's own file hashes, for remote folders the store's
    checksums), the settings next to them, and the tokenizer as it is used.

    Args:
        config: the model; with remote code that may be run, its `.py` files are part of the digest.

    Raises:
        ConfigError: there is no such model, or a file of it cannot be read.
        StorageError: a remote folder cannot be read.
    """
    source = open_source(config)
    content = _content_digest(source, config)
    if is_hub_name(config.name):
        return f"{config.name}@{pinned(config).revision}#{content}"
    return f"sha256:{content}"


def check_unchanged(config: ModelConfig, identity: str) -> None:
    """Check that a remote folder is unchanged since the run was started, before it is copied to a node.

    Args:
        config: the model; only a folder of a remote file system is looked at.
        identity: what `identify` returned when the run was started; an empty string checks nothing.

    Raises:
        ConfigError: it is not.
    """
    if not identity or config.name == "demo" or is_hub_name(config.name) or is_local(open_fs(config.name)[0]):
        return
    if identify(config) != identity:
        raise ConfigError(f"model {config.name}: its files changed since the run began; start the command again")


def context_length(config: ModelConfig) -> int:
    """Return how many tokens a prompt and its answer may take together.

    That is the configured number, or the model's own if it is smaller.

    Args:
        config: the model, with `max_model_len`; the model's own is `max_position_embeddings` of its `config.json`.

    Raises:
        ConfigError: there is no such model, or its `config.json` cannot be read.
    """
    own = read_config(open_source(config)).get("max_position_embeddings")
    return min(config.max_model_len, own) if isinstance(own, int) and own > 0 else config.max_model_len


def _content_digest(source: ModelSource, config: ModelConfig) -> str:
    names = source.sizes()
    weights = weight_files(names, source.read)
    settings = [name for name in _SETTINGS if name in names]
    if config.trust_remote_code:
        settings += sorted(name for name in names if name.endswith(".py"))
    parts: dict[str, object] = {
        "weights": source.checksums(weights),
        "settings": {name: hashlib.sha256(source.read(name)).hexdigest() for name in settings},
        "tokenizer": load_tokenizer(source, config).digest,
    }
    return digest(parts, 32)
