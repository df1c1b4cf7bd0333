"""Credentials on their way to other processes."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest

from uniner_dist.completions.replica import ReplicaSpec
from uniner_dist.storage.credentials import adopt, of_this_process

KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without credentials, whatever this one has."""
    known = ("AWS_", "AZURE_", "GOOGLE_", "FSSPEC_", "STORAGE_")
    for name in {name for name in os.environ if name.startswith(known)} | set(of_this_process()):
        monkeypatch.delenv(name)
    for name in KEYS:
        monkeypatch.setenv(name, "removed afterwards")
        monkeypatch.delenv(name)


def test_a_process_that_knows_nothing_adopts_everything() -> None:
    adopt(KEYS)
    assert of_this_process() == KEYS


def test_a_region_alone_is_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    adopt({**KEYS, "AWS_REGION": "us-east-1"})
    assert of_this_process().items() >= KEYS.items()


def test_a_bundle_of_certificates_is_no_credential_and_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/etc/ssl/certs/mine.crt")
    assert of_this_process() == {}
    adopt(KEYS)
    assert of_this_process() == KEYS
    assert os.environ["AWS_CA_BUNDLE"] == "/etc/ssl/certs/mine.crt"


def test_a_process_with_credentials_of_its_own_keeps_them_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    adopt({**KEYS, "AWS_SESSION_TOKEN": "of another key"})
    assert of_this_process() == {"AWS_ACCESS_KEY_ID": "mine"}
    assert "AWS_SESSION_TOKEN" not in os.environ


def test_fsspecs_own_variables_have_an_effect_where_they_are_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsspec.config, "conf", {})
    for name in ("FSSPEC_S3_KEY", "FSSPEC_S3_ANON", "FSSPEC_HDFS_USER"):
        monkeypatch.setenv(name, "removed afterwards")
        monkeypatch.delenv(name)
    adopt({"FSSPEC_S3_KEY": "id", "FSSPEC_S3_ANON": "false", "FSSPEC_HDFS_USER": "me"})
    assert fsspec.config.conf == {"s3": {"key": "id", "anon": False}, "hdfs": {"user": "me"}}
    assert of_this_process()["FSSPEC_S3_KEY"] == "id", "and it can travel on"


@pytest.mark.parametrize(
    ("mine", "theirs"), [("AWS_ACCESS_KEY_ID", "FSSPEC_S3_KEY"), ("FSSPEC_S3A_KEY", "AWS_ACCESS_KEY_ID")]
)
def test_fsspecs_own_variables_are_of_the_same_provider(
    monkeypatch: pytest.MonkeyPatch, mine: str, theirs: str
) -> None:
    monkeypatch.setattr(fsspec.config, "conf", {})
    monkeypatch.setenv(mine, "mine")
    adopt({theirs: "theirs"})
    assert of_this_process() == {mine: "mine"}
    assert fsspec.config.conf == {}


def test_a_replicas_specification_does_not_show_them() -> None:
    spec = ReplicaSpec(None, None, None, "f", "t", "{}", 1, credentials=KEYS)  # type: ignore[arg-type]
    assert "secret" not in repr(spec)


def test_a_key_file_travels_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key.json"
    key.write_text('{"type": "service_account"}')
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    values = of_this_process()
    assert values == {"GOOGLE_APPLICATION_CREDENTIALS": '{"type": "service_account"}'}
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    key.unlink()
    adopt(values)
    assert Path(os.environ["GOOGLE_APPLICATION_CREDENTIALS"]).read_text() == '{"type": "service_account"}'
    assert of_this_process() == values, "and it can travel on"


def test_the_login_of_a_service_principal_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    login = {"AZURE_CLIENT_ID": "id", "AZURE_CLIENT_SECRET": "secret", "AZURE_TENANT_ID": "tenant"}
    for name, value in login.items():
        monkeypatch.setenv(name, value)
    assert of_this_process() == login


def test_other_variables_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AZURE_DEVOPS_TOKEN", "GOOGLE_API_KEY", "FSSPEC_CONFIG_DIR"):
        monkeypatch.setenv(name, "x")
    assert of_this_process() == {}
