"""Configuration: one tree, every problem at once, conf/ tells the truth."""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path

import fsspec
import pytest
import yaml
from botocore.exceptions import NoCredentialsError  # type: ignore[import-untyped]
from fsspec.registry import _registry

from uniner_dist.cli.commands.configuration import file_schema
from uniner_dist.config.loading import load_config, validate_tree
from uniner_dist.config.schema import Config, EntityType, Section, SparkConfig
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


def types_of(value: object, *overrides: str, file: Path | None = None) -> list[tuple[str, str]]:
    options = {"corpus.path": "/c", "output.path": "/o", "types": value}
    return [(one.label, one.ask) for one in load_config(file, overrides, options).types]


def test_words_of_yaml_are_never_coerced_into_values(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "types:\n  NO: Norway\n  on: off\n  1.10: 0x1F\n  2024-01-01: 1e3\n  yes: 12\n"
        "corpus: {id_column: no, text_column: 007}\npool: {replicas: 2}\n"
        "engine: {extra: {a: 1, b: '1', c: true}}\noutput: {language: no}\n"
    )
    config = load_config(file, ["corpus.keep_columns=on"], {"corpus.path": "/c", "output.path": "/o"})
    assert [(one.label, one.ask) for one in config.types] == [
        ("NO", "Norway"),
        ("on", "off"),
        ("1.10", "0x1F"),
        ("2024-01-01", "1e3"),
        ("yes", "12"),
    ]
    assert (config.corpus.id_column, config.corpus.text_column) == ("no", "007")
    assert (config.corpus.keep_columns, config.output.language) == (("on",), ("no",))
    assert config.pool.replicas == 2
    assert config.engine.extra == {"a": 1, "b": "1", "c": True}
    assert types_of(None, "types=no") == [("no", "no")]
    assert types_of(None, "types={1: 2}") == [("1", "2")]


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("types:\n  PER: person\n  PER: people\n")
    with pytest.raises(ConfigError, match="the key 'PER' occurs twice"):
        types_of(None, file=file)


def test_parentheses_do_not_split_types() -> None:
    found = types_of("organization (company, institution), PER=a person (real [dead, alive], or not)")
    assert found == [
        ("organization (company, institution)", "organization (company, institution)"),
        ("PER", "a person (real [dead, alive], or not)"),
    ]


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("conf/types.yaml", "write @conf/types.yaml to read entity types from it"),
        ("person;location", "separated by commas"),
        ("conf/types", "a type that is called so is written with its phrase, as in conf/types=phrase"),
        ([{"name": "person"}], "would ask for 'person' and call it 'name'; write - person"),
        ("PER=person;LOC=location", "separated by commas"),
        ("a (b, c", "a parenthesis is not closed"),
        ("[person, location]", "write names without brackets"),
        ([True], "True is a bool, not a name"),
        ({1999: "a year"}, "1999 is a int, not a name"),
        ([{"label": "PER", "asks": "person"}], "did you mean 'ask'"),
        ({"label": "PER", "question": "person"}, "a type has label and ask"),
        ([{"PER": "person", "LOC": "location"}], "write each type as an item of its own"),
        (" = person", "may be blank"),
        ("@/nowhere.yaml", "@/nowhere.yaml: is not there"),
        (12, "names no entity types"),
    ],
)
def test_types_that_are_none_are_refused_with_a_hint(value: object, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        types_of(value)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    "content",
    ["types:\n  NO: Norway\n  yes: consent\n", "NO: Norway\nyes: consent", "- NO=Norway\n- yes: consent\n"],
)
def test_a_file_of_types_is_read_behind_an_at_sign(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.yaml").write_text(content)
    assert types_of(f"@{tmp_path}/t.yaml") == [("NO", "Norway"), ("yes", "consent")]
    (tmp_path / "t.txt").write_text("person\nplace (city, country)\n")
    assert types_of(f"@{tmp_path}/t.txt")[1] == ("place (city, country)", "place (city, country)")


def test_a_file_of_types_that_names_another_names_none(tmp_path: Path) -> None:
    file = tmp_path / "itself.yaml"
    for content in (f'" @{file}"', f'types: "\\n@{file}"', f'"@{file}"'):
        file.write_text(content)
        with pytest.raises(ConfigError, match=r"itself\.yaml: names no entity types"):
            types_of(f"@{file}")


def test_only_quotation_marks_around_a_whole_name_are_refused() -> None:
    assert types_of("\"tech\" companies,'tis,rock 'n' roll,5\" pipes,X='n' roll") == [
        ('"tech" companies', '"tech" companies'),
        ("'tis", "'tis"),
        ("rock 'n' roll", "rock 'n' roll"),
        ('5" pipes', '5" pipes'),
        ("X", "'n' roll"),
    ]
    for quoted in ('"a"', "“a”", "„a“", "«a»", "'a'", '"a', "A=“a”", "`a`"):
        with pytest.raises(ConfigError, match="write names without quotation marks"):
            types_of(quoted)


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


def test_values_that_are_no_yaml_are_named_with_all_other_problems() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["pool.replicas=[1", "nope", "pool.max_kills=0"], {"corpus.path": "/c"})
    text = str(caught.value)
    assert "--set pool.replicas=[1: the value is not YAML" in text
    assert "--set nope: write key=value" in text
    assert "pool.max_kills" in text
    assert "types: is required" in text


def test_a_scalar_that_is_no_value_of_yaml_is_text() -> None:
    options = {"corpus.path": "/c", "output.path": "/o", "types": "person"}
    extra = ["engine.extra={a: =, b: 2024-02-30, c: 0x_, d: 1_000, e: yes, f: 1.5, g: ~, h: 2024-02-29}"]
    assert load_config(None, extra, options).engine.extra == {
        "a": "=", "b": "2024-02-30", "c": "0x_", "d": 1000, "e": True, "f": 1.5, "g": None, "h": date(2024, 2, 29),
    }  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["corpus.as_of=2024-02-30", "pool.max_kills=0", "pool.replicas=!!int two"], options)
    text = str(caught.value)
    assert "corpus.as_of: '2024-02-30' is not a valid datetime" in text
    assert "pool.max_kills: must be at least 1" in text
    assert "--set pool.replicas=!!int two: the value is not YAML (a value does not fit its tag: " in text


@pytest.mark.parametrize("version", ["2024-01-31", "on", "1.10", "007", "12"])
def test_the_name_of_a_version_is_taken_as_it_is_written(version: str) -> None:
    options = {"corpus.path": "/c", "output.path": "/o", "types": "person"}
    assert load_config(None, [f"corpus.version={version}"], options).corpus.version == version
    assert load_config(None, ["corpus.version=~"], options).corpus.version is None


@pytest.mark.parametrize(
    ("installed", "words"),
    [(False, 's3fs is not installed.*pip install "uniner-dist\\[s3\\]"'), (True, "Unable to locate credentials")],
)
def test_a_file_on_storage_that_cannot_be_opened_is_told_in_words(
    installed: bool, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installed:

        def refuse(*_: object, **__: object) -> None:
            raise NoCredentialsError

        monkeypatch.setattr(fsspec, "open", refuse)
    else:
        monkeypatch.delitem(_registry, "s3", raising=False)
        monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ConfigError, match=rf"^--config s3://b/c\.yaml: cannot be read: {words}"):
        load_config("s3://b/c.yaml")
    with pytest.raises(ConfigError, match=rf"types: @s3://b/t\.yaml: cannot be read: {words}"):
        types_of("@s3://b/t.yaml")


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
    with pytest.raises(ConfigError, match="label 'person' occurs more than once"):
        validate_tree({**REQUIRED, "types": "person,person"})
    with pytest.raises(ConfigError, match="'entities' has the name of a column of the annotations"):
        validate_tree({**REQUIRED, "corpus": {"path": "/c", "id_column": "entities"}})
    with pytest.raises(ConfigError, match="cannot be both"):
        validate_tree({**REQUIRED, "corpus": {"path": "/c", "id_column": "x", "text_column": "x"}})


def test_an_unreadable_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"--config /nowhere/x.yaml: is not there"):
        load_config("/nowhere/x.yaml")


def test_local_yaml_is_the_defaults_and_documents_every_option() -> None:
    config = load_config(CONF / "local.yaml", (), {"corpus.path": "/c", "output.path": "/o", "types": "person"})
    assert config == validate_tree(REQUIRED)
    lines = (CONF / "local.yaml").read_text().splitlines()
    sections: list[tuple[str | None, type[Section]]] = [(None, Config), *_sections(Config)]
    for section, model in sections:
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


def test_of_several_files_the_later_wins_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "types.yaml").write_text("types: [person]\npool: {replicas: 2, max_in_flight: 8}\n")
    (tmp_path / "cluster.yaml").write_text("types: [date]\npool: {replicas: 5}\n")
    paths = {"corpus.path": "/c", "output.path": "/o"}
    config = load_config([tmp_path / "types.yaml", tmp_path / "cluster.yaml"], (), paths)
    assert [entity_type.label for entity_type in config.types] == ["date"]
    assert (config.pool.replicas, config.pool.max_in_flight) == (5, 8)


def test_variables_of_the_environment_are_over_files_and_under_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job.yaml").write_text("types: [person]\npool: {replicas: 2}\nworkdir: /of-the-file\n")
    monkeypatch.setenv("UNINER_DIST_POOL__REPLICAS", "3")
    monkeypatch.setenv("UNINER_DIST_WORKDIR", "/of-the-environment")
    monkeypatch.setenv("UNINER_DIST_CACHE", "/a/cache")  # not an option of the configuration
    paths = {"corpus.path": "/c", "output.path": "/o"}
    config = load_config(tmp_path / "job.yaml", (), paths)
    assert (config.pool.replicas, config.workdir_path) == (3, "/of-the-environment")
    assert load_config(None, ["pool.replicas=4", "types=[x]"], paths).pool.replicas == 4
    monkeypatch.setenv("UNINER_DIST_POOL__REPLICA", "3")
    with pytest.raises(ConfigError, match=r"UNINER_DIST_POOL__REPLICA: unknown option; did you mean 'replicas'"):
        load_config(tmp_path / "job.yaml", (), paths)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("pool.replicas=two", "pool.replicas: 'two' is neither a whole number nor \"auto\""),
        ("pool.gpus_per_replica=-1", "pool.gpus_per_replica: must be at least 0 (got -1)"),
        ("run.max_failed_fraction=2", "run.max_failed_fraction: must be at most 1 (got 2)"),
        ("model.dtype=int8", 'model.dtype: \'int8\' is not "auto", "float32", "bfloat16" or "float16"'),
        ("engine.in_process=maybe", "engine.in_process: 'maybe' is not true or false"),
        ("prompts.shard_tokens=1.5", "prompts.shard_tokens: 1.5 is not a whole number"),
        ("pool=5", "pool: 5 is not a mapping of options; write pool.replicas or the like"),
        ("corpus.text_column=", "corpus.text_column: has no value; give text"),
        ("spark.conf={a: 1}", "spark.conf.a: 1 is not text"),
    ],
)
def test_a_wrong_value_is_explained_in_the_words_of_whoever_wrote_it(override: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(None, [override], {"corpus.path": "/c", "output.path": "/o", "types": "person"})
    assert error.value.problems == [words]


def test_the_schema_that_configuration_files_link_holds_for_them() -> None:
    stored = json.loads((CONF / "schema.json").read_text())
    assert stored == file_schema(), "uniner-dist config schema > conf/schema.json"
    check = pytest.importorskip("jsonschema").Draft202012Validator(stored)
    for name in ("local.yaml", "cluster.yaml", "types-everyday.yaml"):
        text = (CONF / name).read_text()
        assert text.startswith("# yaml-language-server: $schema=schema.json\n")
        assert list(check.iter_errors(yaml.safe_load(text))) == []
    wrong = list(check.iter_errors({"pool": {"replica": 2}, "engine": {"gpu_memory_utilization": 90}}))
    assert [error.validator for error in wrong] == ["additionalProperties", "maximum"]


@pytest.mark.parametrize(
    "master", ["local", "local[2,3]", "yarn", "spark://a:7077,b:7077", "k8s://https://h:443", "armada://h"]
)
def test_every_cluster_that_spark_may_know_is_a_master(master: str) -> None:
    assert SparkConfig(master=master).master == master
