"""Mistakes of a newcomer: each is told once, in a line that begins with `error:` and names what was typed.

Nothing is started and nothing is written. What is typed is on the left, what is said on the right.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from uniner_dist import demo
from uniner_dist.cli.app import main

CORPUS = demo.corpus_path()
JOB = ["annotate", "--corpus", CORPUS, "--output", "out"]
PERSON = [*JOB, "--types", "person"]
#: Words of libraries that nobody should meet.
FOREIGN = re.compile(r"Traceback|pydantic|Errno|Input should|Exception|java\.|[a-z_]+Error\b")

MISTAKES: list[tuple[list[str], str]] = [
    (["anotate"], "no such command 'anotate'. Did you mean 'annotate', 'annotations'?; see uniner-dist -h"),
    ([*JOB, "--types", "person", "location"], "location: belongs to no option; lists have commas and no spaces"),
    ([*JOB, "--type", "person"], "no such option: --type (Possible options: --store, --types)"),
    ([*JOB], "types: is required (--types person,location)"),
    ([*JOB, "--types", ""], "--types: name at least one entity type"),
    ([*JOB, "--types", "person,person"], "--types: label 'person' occurs more than once"),
    ([*JOB, "--types", "types.txt"], "--types: 'types.txt' is the name of a file; write @types.txt"),
    ([*JOB, "--types", "@none.yaml"], "--types: @none.yaml: is not there"),
    ([*JOB, "--types", "@table.csv"], "--types: @table.csv: is a table; write one type a line into a text file"),
    ([*JOB, "--types", "@broken.yaml"], "--types: @broken.yaml: cannot be read: line 2, column 4: expected ',' or ']'"),
    (["annotate", "--corpus", "none", "--output", "out", "--types", "a"], "--corpus HERE/none: is not there"),
    (["annotate", "--corpus", "table.csv", "--output", "out", "--types", "a"], "--corpus HERE/table.csv: no Parquet"),
    ([*PERSON, "--id-column", "id"], "--id-column id: the corpus has no such column; it has: doc_id, text, domain"),
    ([*PERSON, "--text-column", "Text"], "--text-column Text: the corpus has no such column; did you mean 'text'?"),
    ([*PERSON, "--keep", "page"], "--keep page: the corpus has no such column"),
    ([*PERSON, "--partition-by", "page"], "--partition-by page: the corpus has no such column"),
    ([*PERSON[:4], "full", *PERSON[5:]], "--output full: already holds something else (x.txt, …); choose a new folder"),
    ([*PERSON[:4], f"{CORPUS}/out", *PERSON[5:]], f"--output {CORPUS}/out: lies inside --corpus {CORPUS}"),
    ([*PERSON, "--workdir", "full"], "--workdir full: already holds something else"),
    ([*PERSON, "--config", "none.yaml"], "--config none.yaml: is not there"),
    ([*PERSON, "--config", "broken.yaml"], "--config broken.yaml: cannot be read: line 2, column 4: expected"),
    ([*PERSON, "--set", "pool.replica=2"], "pool.replica: unknown option; did you mean 'replicas'?"),
    ([*PERSON, "--set", "pool.replicas=two"], "pool.replicas: 'two' is neither a whole number nor \"auto\""),
    ([*PERSON, "--set", "pool.replicas=0"], 'pool.replicas: must be at least 1, or "auto" (got 0)'),
    ([*PERSON, "--set", "replicas"], "--set replicas: write key=value, such as pool.replicas=2"),
    ([*PERSON, "--set", "engine.gpu_memory_utilization=90"], "engine.gpu_memory_utilization: must be at most 1 (got"),
    ([*PERSON, "--set", "model.dtype=bf16"], "model.dtype: 'bf16' is not"),
    ([*PERSON, "--set", "model.template=alpaca"], "model: unknown template 'alpaca'; known: "),
    ([*PERSON, "--max-prompts", "many"], "invalid value for '--max-prompts': it must be a whole number"),
    ([*PERSON, "--max-gpu-hours", "-1"], "--max-gpu-hours: must be at least 0 (got -1.0)"),
    ([*PERSON, "--model", "none"], "--model none: no config.json there, as there is no such folder"),
    (["export", "--annotations", "caf\udce9", "--output", "x"], r"'caf\udce9': is not UTF-8; rename what it names"),
    (["status"], "missing option '--workdir'; see uniner-dist status -h"),
    (["status", "--workdir", "none"], "--workdir none: is not there"),
    (
        ["completions", "--workdir", "none"],
        "--workdir HERE/none: there are no runs; `uniner-dist annotate` or `prompts`",
    ),
    (["evaluate", "--annotations", "none", "--gold", "none"], "--gold none: is not there"),
    (["evaluate", "--annotations", CORPUS, "--gold", demo.gold_path()], f"--annotations {CORPUS}: has no column"),
    (["export", "--annotations", "none", "--output", "e", "--format", "conll"], "--annotations none: is not there"),
    (["export", "--annotations", CORPUS, "--output", "e", "--format", "x"], "--format x: unknown; one of conll, spacy"),
    (["diff", "--before", "none", "--after", CORPUS], "--before none: is not there"),
    (["provenance", "--annotations", CORPUS], f"--annotations {CORPUS}: no annotations of ours there"),
    (["forget", "--workdir", "full", "--id", "a"], "--workdir HERE/full: there are no runs"),
    (["report", "--workdir", "full"], "--workdir HERE/full: there are no runs"),
    (
        [*JOB, "--types", "person:location"],
        "--types: 'person:location': types are separated by commas, and a label",
    ),
    ([*JOB, "--types", "person|location"], "--types: 'person|location': types are separated by commas"),
    ([*JOB, "--types", "@keys.yaml"], "--types: @keys.yaml: unknown key 'type'; did you mean 'types'?"),
    ([*JOB, "--types", "@items.yaml"], "--types: @items.yaml: {'lable': 'PER', 'ask': 'person'}: unknown key 'lable';"),
    ([*PERSON, "--config", "corpus.yaml"], "corpus: 'a.parquet' is not a mapping of options; write corpus.path by its"),
    ([*PERSON, "--set", "model=demo"], "model: 'demo' is not a mapping of options; write model.name or the"),
    ([*PERSON, "--set", "replicas=2"], "replicas: unknown option; did you mean 'pool.replicas'?"),
    ([*PERSON, "--set", "corpus.text=body"], "corpus.text: unknown option; did you mean 'text_column'?"),
    ([*PERSON, "--set", "spark.master=locall"], "spark.master: 'locall' is none of \"local[*]\" (this machine), "),
    (
        [*PERSON[:4], "s3:/bucket/a", *PERSON[5:]],
        "--output s3:/bucket/a: is the path of a folder called 's3:'; write",
    ),
    ([*PERSON[:4], "ftp://a/b", *PERSON[5:]], "--output ftp://a/b: storage of the kind 'ftp' is not taken; known: "),
    ([*PERSON[:4], "table.csv", *PERSON[5:]], "--output table.csv: is a file; name a folder"),
    ([*PERSON[:4], CORPUS, *PERSON[5:]], f"--output {CORPUS}: is --corpus itself; choose another place"),
    ([*PERSON, "--workdir", "out"], "--workdir out: is --output itself; choose another place"),
    ([*PERSON, "--workdir", CORPUS], f"--workdir {CORPUS}: is --corpus itself; choose another place"),
    (["evaluate", "--annotations", CORPUS, "--gold", CORPUS], f"--gold {CORPUS}: is what --annotations names"),
    (["evaluate", "--annotations", "a", "--gold", "b", "--json", "full"], "--json full: is a folder; name a file"),
    (
        ["diff", "--before", CORPUS, "--after", CORPUS],
        f"--before {CORPUS}: has no column entity_type, outcome",
    ),
    (["export", "--annotations", CORPUS, "--output", "e", "--format", "hf", "--corpus", "no"], "--corpus no: is not"),
    (["provenance", "--annotations", "none"], "--annotations none: is not there"),
    (["forget", "--workdir", "runs.work", "--ids", "none.txt"], "--ids none.txt: is not there"),
    (["forget", "--workdir", "runs.work", "--ids", "empty.txt"], "--ids empty.txt: names no document; write one id"),
    (["prune", "--workdir", "runs.work", "--older-than-days", "-1"], "--older-than-days -1: must be at least 0"),
    (["compact"], "--workdir or --store: give one of them"),
    (["compact", "--store", "full", "--grace-hours", "-1"], "--grace-hours -1: must be at least 0"),
    (["status", "--workdir", "runs"], "--workdir runs: there are no runs; did you mean runs.work?"),
    (
        ["benchmark", "--data", "full", "--output", "b", "--templates", "x"],
        "--templates x: unknown prompt template 'x'",
    ),
    (
        [*JOB, "--types", "person", "--types", "location"],
        "--types: is given 2 times; give it once, as in --types person,",
    ),
    (["annotate", "--corpus", "a", "--corpus=b", "--output", "out"], "--corpus: is given 2 times; give it once; see"),
    ([*JOB, "--types", "“person”,“location”"], "--types: '“person”': write names without quotation marks, as in"),
    ([*JOB, "--types", 'person,"company, Inc."'], "--types: '\"company': write names without quotation marks, as in"),
    ([*JOB, "--types", "PER='person'"], "--types: \"PER='person'\": write names without quotation marks"),
    ([*JOB, "--types", "@wide.txt"], "--types: @wide.txt: cannot be read: it is UTF-16; save it as UTF-8"),
    ([*JOB, "--types", "@latin.txt"], "--types: @latin.txt: cannot be read: it is not UTF-8 (at byte 4)"),
    ([*JOB, "--types", "@remark.txt"], "--types: @remark.txt: 'person # people': a comment is a line of its own"),
    ([*JOB, "--types", "@full"], "--types: @full: cannot be read: it is a folder; name a file"),
    (["annotate", "-corpus", CORPUS], "no such option: -corpus; did you mean --corpus?; see uniner-dist annotate -h"),
    (["annotate", "—corpus", CORPUS], "—corpus: begins with a printed dash; write --corpus; see uniner-dist annotate"),
    (["annotate", "-o", "out"], "no such option: -o; did you mean --output?; see uniner-dist annotate -h"),
    (["--corpus", CORPUS], "--corpus: comes after a command, as in uniner-dist annotate --corpus; see uniner-dist -h"),
    ([*PERSON, "--set", "pool.replicas", "2"], "--set pool.replicas: write key=value, such as pool.replicas=2; see"),
    ([*PERSON, "--set", "=2"], "--set =2: write key=value, such as pool.replicas=2"),
    ([*PERSON, "--set", "pool.replicas="], 'pool.replicas: has no value; give a whole number or "auto"'),
    ([*PERSON, "--set", "model.max_tokens=5000"], "model: max_tokens is 5000, and must be smaller than max_model_len"),
    ([*PERSON, "--config", "full"], "--config full: cannot be read: it is a folder; name a file"),
    (
        [*PERSON, "--config", "table.csv"],
        "--config table.csv: must be a mapping of options, such as pool: {replicas: 2}, not",
    ),
    ([*PERSON, "--store", "full"], "--store full: already holds something else (x.txt, …); choose a new folder"),
    (
        [*PERSON, "--model", "UniNER-7B-all"],
        "--model UniNER-7B-all: no config.json there, as there is no such folder; did",
    ),
    (
        ["annotate", "--corpus", "https://a/b", "--output", "o", "--types", "a"],
        "--corpus https://a/b: storage of the kind",
    ),
    (["forget", "--workdir", "runs.work", "--id", " "], "--id: is blank, and no document has a blank id"),
    (["status", "--workdir", "table.csv"], "--workdir table.csv: is a file; name a folder"),
    (["status", "--workdir", ""], "--workdir: must not be empty"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x.txt").write_text("x")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "broken.yaml").write_text("types: [person\nfoo")
    (tmp_path / "keys.yaml").write_text("type: [person]\n")
    (tmp_path / "items.yaml").write_text("- {lable: PER, ask: person}\n")
    (tmp_path / "corpus.yaml").write_text("corpus: a.parquet\n")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "wide.txt").write_bytes("person\nlocation\n".encode("utf-16"))
    (tmp_path / "latin.txt").write_bytes("café\n".encode("latin-1"))
    (tmp_path / "remark.txt").write_text("# who\nperson # people\n")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs.work/runs/0123456789ab").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(("typed", "said"), MISTAKES, ids=lambda value: " ".join(value)[-40:] if value else "")
def test_a_mistake_is_told_once_as_it_was_typed(
    typed: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.rglob("*"))
    assert main(typed) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "asking for" not in line]
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: " + said.replace("HERE", str(folder))), lines[0]
    assert not FOREIGN.search(lines[0].replace(said, "")), lines[0]
    assert sorted(folder.rglob("*")) == before


def test_a_variable_of_the_environment_is_named_where_it_set_the_value(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNINER_DIST_POOL__REPLICAS", "two")
    monkeypatch.setenv("UNINER_DIST_POL__REPLICAS", "2")
    assert main(PERSON) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "error: UNINER_DIST_POOL__REPLICAS: 'two' is neither a whole number nor \"auto\"" in lines
    assert "error: UNINER_DIST_POL__REPLICAS: pol: unknown option; did you mean 'pool'?" in lines
    monkeypatch.delenv("UNINER_DIST_POL__REPLICAS")
    assert main([*PERSON, "--set", "pool.replicas=one"]) == 2
    assert capsys.readouterr().err.startswith("error: pool.replicas: 'one' is neither")
