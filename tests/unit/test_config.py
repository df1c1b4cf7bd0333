"""Configuration: one tree, every problem at once, conf/ tells the truth."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from uniner_dist.config.loading import load_config, validate_tree
from uniner_dist.config.schema import Config, EntityType, Section
from uniner_dist.errors import ConfigError

CONF = Path(__file__).parents[2] / "conf"
REQUIRED = {"corpus": {"path": "/c"}, "output": {"path": "/o"}, "types": "person"}


def test_types_may_be_names_pairs_or_mappings() -> None:
    for types in (
        "PER=person, place",
        ["PER=person", "place"],
        [{"PER": "person"}, {"label": "place", "ask": "place"}],
        {"PER": "person", "place": "place"},
    ):
        config = validate_tree({**REQUIRED, "types": types})
        assert config.types == (EntityType(label="PER", ask="person"), EntityType(label="place", ask="place"))


def test_a_definition_with_commas_and_signs_comes_through_yaml() -> None:
    phrase = "a person identified by name, title = rank, or {pseudonym}"
    config = validate_tree({**REQUIRED, "types": [{"PER": phrase}]})
    assert config.types[0].ask == phrase


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["pool.replica=2", "pool.gpus_per_replica=-1", "modle.name=x"], {"corpus.path": "/c"})
    text = str(caught.value)
    assert "pool.replica: unknown option; did you mean 'replicas'?" in text
    assert "pool.gpus_per_replica" in text
    assert "modle: unknown option; did you mean 'model'?" in text
    assert "output: is required (--output" in text
    assert "types: is required" in text
    assert caught.value.exit_code == 2


def test_values_that_are_no_yaml_and_options_without_a_value_are_named_beside_the_rest() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["pool.replicas=[1", "nope", "pool.max_kills=0"], {"corpus.path": "/c"})
    text = str(caught.value)
    assert "--set pool.replicas=[1: the value is not YAML" in text
    assert "--set nope: write key=value" in text
    assert "pool.max_kills" in text
    assert "types: is required" in text


@pytest.mark.parametrize("option", ["pool.replicas=0", "pool.replicas=-1", "ray.num_cpus=0", "engine.max_num_seqs=0"])
def test_a_pool_of_nothing_is_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=r"at least 1|greater than or equal to 1"):
        load_config(None, [option], {"corpus.path": "/c", "output.path": "/o", "types": "person"})


def test_options_win_over_overrides_and_overrides_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({**REQUIRED, "model": {"name": "a"}, "pool": {"replicas": 3}}))
    config = load_config(file, ["model.name=b", "pool.replicas=4"], {"model.name": "c", "workdir": None})
    assert config.model.name == "c"
    assert config.pool.replicas == 4
    assert config.workdir_path == "/o.work"


def test_labels_may_not_repeat_and_columns_may_not_collide() -> None:
    with pytest.raises(ConfigError, match="label 'person' stands more than once"):
        validate_tree({**REQUIRED, "types": "person,person"})
    with pytest.raises(ConfigError, match="'entities' has the name of a column of the annotations"):
        validate_tree({**REQUIRED, "corpus": {"path": "/c", "id_column": "entities"}})
    with pytest.raises(ConfigError, match="cannot be both"):
        validate_tree({**REQUIRED, "corpus": {"path": "/c", "id_column": "x", "text_column": "x"}})


def test_an_unreadable_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"--config /nowhere/x.yaml: cannot be read"):
        load_config("/nowhere/x.yaml")


def test_local_yaml_is_the_defaults_and_documents_every_option() -> None:
    config = load_config(CONF / "local.yaml", (), {"corpus.path": "/c", "output.path": "/o", "types": "person"})
    assert config == validate_tree(REQUIRED)
    lines = (CONF / "local.yaml").read_text().splitlines()
    for section, model in [(None, Config), *_sections(Config)]:
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                continue
            stripped = [line.strip() for line in lines]
            at = [i for i, line in enumerate(stripped) if line.lstrip("# ").startswith(f"{name}:")]
            assert at, f"conf/local.yaml lacks {section}.{name}"
            assert any(stripped[i - 1] == f"# {field.description}" for i in at), f"{section}.{name}: comment differs"


def test_cluster_yaml_is_valid() -> None:
    config = load_config(CONF / "cluster.yaml", (), {"corpus.path": "/c", "output.path": "/o", "types": "person"})
    assert config.model.name == "Universal-NER/UniNER-7B-all"
    assert config.pool.gpus_per_replica == 1


def _sections(model: type[Section]) -> list[tuple[str, type[Section]]]:
    kinds = ((name, field.annotation) for name, field in model.model_fields.items())
    return [(name, kind) for name, kind in kinds if isinstance(kind, type) and issubclass(kind, Section)]
