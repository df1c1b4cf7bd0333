"""`uniner-dist doctor` on environments that are broken in one way each: what is wrong is named, with what to do."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from uniner_dist import demo
from uniner_dist.config.schema import ModelConfig
from uniner_dist.doctor.finding import Level
from uniner_dist.doctor.gpus import judge_gpus
from uniner_dist.doctor.models import check_model
from uniner_dist.doctor.secrets import redact
from uniner_dist.doctor.storage import Location, check_location, judge_clocks
from uniner_dist.doctor.versions import check_spark
from uniner_dist.runtime import nvidia, torch_build
from uniner_dist.runtime.nvidia import driver_problem, driver_version
from uniner_dist.runtime.torch_build import installed_version

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def doctor(*options: str, code: int, environment: dict[str, str] | None = None, hide: str = "") -> dict[str, Any]:
    """The findings of the command in an environment of its own, by subject."""
    hidden = "".join(f"sys.modules[{name!r}] = None; " for name in hide.split())
    command = f"import sys; {hidden}from uniner_dist.cli.app import main; sys.exit(main())"
    process = subprocess.run(
        [sys.executable, "-c", command, "doctor", "--json", *options],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert process.returncode == code, process.stdout + process.stderr
    report = json.loads(process.stdout)
    assert report["healthy"] is (code == 0)
    return {finding["subject"]: finding for finding in report["findings"]}


def test_a_machine_that_runs_the_tests_is_healthy(tmp_path: Path) -> None:
    found = doctor("--path", str(tmp_path / "new" / "folder"), code=0)
    assert found["Python"]["level"] == found["Java"]["level"] == found["ray"]["level"] == "ok"
    assert found["tokenizer"]["found"].startswith("loads")
    assert found[f"--path {tmp_path}/new/folder"]["level"] == "ok"
    assert list(tmp_path.iterdir()) == [], "a probe leaves nothing"


def test_a_machine_without_java_is_told_what_to_install(tmp_path: Path) -> None:
    found = doctor(code=2, environment={"PATH": str(tmp_path), "JAVA_HOME": ""})
    assert (found["Java"]["level"], found["Java"]["found"]) == ("problem", "not found")
    assert "openjdk-17-jre-headless" in found["Java"]["advice"]


def test_a_java_that_is_too_old_is_told(tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.22\" 2024-01-16' >&2\n")
    java.chmod(java.stat().st_mode | stat.S_IXUSR)
    found = doctor(code=2, environment={"JAVA_HOME": str(tmp_path)})
    assert (found["Java"]["level"], found["Java"]["found"]) == ("problem", "11, too old")


def test_a_torchvision_of_another_torch_is_a_warning_with_a_remedy(tmp_path: Path) -> None:
    folder = tmp_path / "torchvision-0.28.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n")
    found = doctor(code=0, environment={"PYTHONPATH": str(tmp_path)})["torchvision"]
    assert found["level"] == "warning"
    assert "is not the cpu build" in found["found"]
    assert found["advice"].endswith("pip uninstall -y torchvision")


def test_missing_engines_name_their_extras() -> None:
    found = doctor("--path", "s3://bucket/x", code=2, hide="s3fs")
    assert found["s3://"]["found"] == "s3fs is not installed"
    assert 'pip install "uniner-dist[s3]"' in found["s3://"]["advice"]


def test_a_spark_home_of_another_version_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "spark-core_2.13-3.5.9.jar").touch()
    found = doctor(code=2, environment={"SPARK_HOME": str(tmp_path)})["SPARK_HOME"]
    assert "is Spark 3.5, pyspark is 4." in found["found"]
    assert "both must be of one version" in found["advice"]


@pytest.mark.parametrize(
    ("jar", "installed", "level", "found"),
    [
        ("spark-core_2.13-4.1.2.jar", None, Level.OK, "Spark 4.1"),
        ("spark-core_2.12-3.5.0-amzn-0.jar", "3.5.1", Level.OK, "Spark 3.5"),
        ("spark-core_2.12-3.5.1.7.2.18.0-641.jar", "3.5.1", Level.OK, "Spark 3.5"),
        ("spark-core_2.12-3.5.0-amzn-0.jar", "4.1.0", Level.PROBLEM, "is Spark 3.5, pyspark is 4.1.0"),
        ("spark-sql_2.13-4.1.2.jar", None, Level.PROBLEM, "holds no Spark"),
    ],
)
def test_the_spark_of_spark_home_is_told_by_its_jar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jar: str, installed: str | None, level: Level, found: str
) -> None:
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / jar).touch()
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    monkeypatch.setattr(torch_build, "installed_version", lambda name: installed)
    [finding] = [finding for finding in check_spark() if finding.subject == "SPARK_HOME"]
    assert (finding.level, found in finding.found) == (level, True)


def test_files_of_a_training_are_no_weights(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "training_args.bin"):
        (tmp_path / name).touch()
    [_, finding] = check_model(ModelConfig(name=str(tmp_path)))
    assert (finding.level, finding.found) == (
        Level.PROBLEM,
        "without weights (*.safetensors or pytorch_model*.bin)",
    )


def test_half_a_model_is_told_by_its_missing_parts(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(Path(demo.model_path(), "config.json").read_text())
    (tmp_path / "model.safetensors").touch()
    found = doctor("--model", str(tmp_path), code=2)[str(tmp_path)]
    assert found["found"] == "without a tokenizer (tokenizer.json or tokenizer.model)"


@pytest.fixture
def deaf_server() -> Iterator[str]:
    """Address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_storage_that_never_answers_is_given_up_and_no_secret_is_shown(deaf_server: str) -> None:
    variables = {"AWS_ENDPOINT_URL": deaf_server, "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"}
    found = doctor("--path", "s3://bucket/x", code=0, environment={**variables, "AWS_SECRET_ACCESS_KEY": SECRET})[
        "--path s3://bucket/x"
    ]
    assert found["level"] == "warning"
    assert found["found"].startswith("no answer within")
    assert SECRET not in json.dumps(found)


def test_storage_and_clusters_that_are_not_there_are_problems(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"corpus: {{path: {tmp_path}/none}}\nray: {{address: '127.0.0.1:1'}}\n")
    found = doctor("--config", str(tmp_path / "config.yaml"), code=2)
    assert found[f"--corpus {tmp_path}/none"]["found"] == "is not there"
    assert "Connection refused" in found["ray.address"]["found"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"key {SECRET} refused", "key … refused"),
        ("https://user:hunter22@host/x", "https://…:…@host/x"),
        ("abfs://c/x?sv=2024&sig=abc%2Fdef&se=2027", "abfs://c/x?sv=2024&sig=…&se=2027"),
        ("AccountName=me;AccountKey=abcdefgh==;x", "AccountName=me;AccountKey=…;x"),
        ("token hf_abcdefghijkl, id AKIAIOSFODNN7EXAMPLE", "token …, id …"),
        ("nothing to hide in s3://bucket/a/b", "nothing to hide in s3://bucket/a/b"),
    ],
)
def test_secrets_are_taken_out_of_any_line(text: str, shown: str) -> None:
    assert redact(text, {"AWS_SECRET_ACCESS_KEY": SECRET, "HOME": "/a/b"}) == shown


@pytest.mark.parametrize(
    ("driver", "cuda", "words"),
    [
        ("535.161.08", "13.0", "the NVIDIA driver 535.161.08 is too old for CUDA 13.0; install driver 580 or newer"),
        ("580.65.06", "13.0", None),
        ("535.161.08", "12.8", None),
        (None, "13.0", "there is no NVIDIA driver on this machine"),
        ("580.65.06", None, "the installed torch is a CPU build"),
    ],
)
def test_a_driver_is_judged_by_the_cuda_of_the_installed_torch(
    driver: str | None, cuda: str | None, words: str | None
) -> None:
    problem = driver_problem(driver, cuda)
    assert (problem is None) if words is None else (problem or "").startswith(words)


def test_the_drivers_version_is_read_from_the_kernels_file(tmp_path: Path) -> None:
    file = tmp_path / "version"
    file.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release Build  (dvs-builder@U22)\n"
        "GCC version:  gcc version 13.3.0\n"
    )
    assert driver_version(file) == "575.57.08"
    assert driver_version(tmp_path / "none") is None


def test_the_driver_of_windows_which_wsl_does_not_describe_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "dxg"
    monkeypatch.setattr(nvidia, "_WINDOWS_GPUS", device)
    monkeypatch.setattr(nvidia, "driver_version", lambda: None)
    monkeypatch.setattr(nvidia, "torch_cuda", lambda: "13.0")
    assert nvidia.gpu_problem() == "there is no NVIDIA driver on this machine"
    device.touch()
    assert nvidia.gpu_problem() is None
    monkeypatch.setattr(nvidia, "torch_cuda", lambda: None)
    assert "CPU build" in str(nvidia.gpu_problem())


def test_gpus_that_a_replica_wants_and_a_machine_lacks_are_a_problem() -> None:
    assert [finding.level for finding in judge_gpus(1, 0, "13.0", None)] == [Level.PROBLEM]
    assert [finding.level for finding in judge_gpus(0, 0, None, None)] == [Level.OK]
    assert Level.PROBLEM in {finding.level for finding in judge_gpus(2, 1, "13.0", "580.1")}


@pytest.mark.skipif(installed_version("torch") is None, reason="needs torch")
def test_the_driver_of_amds_gpus_is_not_checked() -> None:
    assert {finding.level for finding in judge_gpus(1, 1, None, None, "7.0")} == {Level.OK}
    assert Level.PROBLEM in {finding.level for finding in judge_gpus(1, 1, None, None)}


def test_a_table_of_a_catalog_is_no_path() -> None:
    [corpus] = check_location(Location("--corpus", "table:catalog.schema.name", False))
    [output] = check_location(Location("--output", "table:catalog.schema.name", True))
    assert (corpus.level, output.level) == (Level.OK, Level.PROBLEM)
    assert output.found == "is the name of a table"


def test_clocks_that_differ_so_much_that_leases_are_taken_are_told() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert judge_clocks(now, now + 3) == ("clocks agree within 15 s", None)
    found, advice = judge_clocks(now, now - 90)
    assert found == "the storage's clock is 90 s behind this machine's"
    assert advice is not None
