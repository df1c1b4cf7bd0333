"""Everything that the product reads is known here: a new reader of a control file has to be fuzzed, or this fails.

Control files are read through `storage.control_files`, so the models that callers name are the kinds of files; each has
to be among the kinds of `test_control_files`. Whatever opens a file in another way is listed with what it reads.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import uniner_dist
from tests.unit.test_control_files import KINDS, House, build, template  # noqa: F401  (fixtures)
from uniner_dist.storage.control_files import ControlFile

ROOT = Path(uniner_dist.__file__).parent
#: Readers that check a file against the model that they are given → position of the model.
CHECKED = {"read_control": 1, "parse_control": 2}
RAW = {"read_bytes", "read_text", "read_version", "read_json", "cat_file", "open", "fdopen"}

FUZZED = "a control file that is fuzzed: "
ROWS = "Parquet rows, footers and texts: every value in them is data"
USER = "what the user names: configuration, types, ids, gold, a table"
MODEL = "a file of the model, which decides every answer by design"
LOCAL = "of this machine or this package, not shared"
OWN = "the bytes themselves: compared, hashed or copied, never understood"
#: Room → function that opens files → what it reads.
READERS: dict[str, dict[str, str]] = {
    "annotations/rewrite.py": {"_rewrite": ROWS},
    "annotations/triage_check.py": {"count": ROWS},
    "cli/maintenance.py": {"_read_ids": USER},
    "cluster/on_spark.py": {"ray_on_spark": LOCAL},
    "completions/engine/scripted.py": {"add": LOCAL, "_is_first": LOCAL},
    "completions/replica/messages.py": {"_log_tail": LOCAL},
    "config/text_files.py": {"read_text_file": USER},
    "demo/__init__.py": {"entity_types": LOCAL},
    "doctor/models.py": {"_folder": MODEL},
    "doctor/storage.py": {"_probe": OWN},
    "evaluation/importing.py": {"_write": OWN},
    "evaluation/rows.py": {"_footer": ROWS, "batches": ROWS},
    "export/ownership.py": {
        "_documents": FUZZED + "documents of an export",
        "_listed": FUZZED + "list of an export",
        "changed_files": OWN,
    },
    "formats/huggingface/reading.py": {"_read": USER, "_described_names": USER},
    "formats/kinds.py": {"_parquet_format": USER, "_sniff": USER},
    "formats/sources.py": {"read_documents": USER, "_read_brat_files": USER, "read_text": USER},
    "gate/sample.py": {"update_sample": FUZZED + "sample"},
    "maintenance/erase_output.py": {"_plan": ROWS},
    "maintenance/erase_rows.py": {"_passage_ids": ROWS},
    "maintenance/erase_store.py": {"erase_from_store": ROWS},
    "maintenance/same_documents.py": {"look": ROWS},
    "model/cache.py": {"read_cached": LOCAL, "write_cached": LOCAL, "locked": LOCAL},
    "model/file_hashes.py": {"_sha256": MODEL},
    "model/hub.py": {"_commit_in_cache": MODEL, "read": MODEL, "piece": MODEL},
    "model/remote.py": {"piece": MODEL},
    "model/source.py": {"read": MODEL, "piece": MODEL},
    "pipeline/first_texts.py": {"first_texts": ROWS},
    "pipeline/renewal.py": {"_unanswered": ROWS, "_are_known": ROWS},
    "prompts/stage.py": {"write_prompts": OWN},
    "run/triage.py": {"read_classifier": "weights, which are those of the hash that the bound names"},
    "runtime/compat/vllm_sources.py": {"known_quantizations": LOCAL},
    "runtime/nvidia.py": {"driver_version": LOCAL, "_built_for": LOCAL},
    "spark/catalog.py": {"_may_have": LOCAL},
    "spark/datasets.py": {"_read_schema": ROWS},
    "spark/gateway.py": {"_forward": LOCAL},
    "storage/attempts.py": {"_is_whole": ROWS},
    "storage/checksums.py": {"is_stale": USER},
    "storage/column_facts.py": {"read": ROWS},
    "storage/conditional.py": {"read_version": OWN, "swap": OWN},
    "storage/control_files/reading.py": {"read_control": OWN, "read_hashes": FUZZED + "erased"},
    "storage/credentials.py": {"of_this_process": LOCAL},
    "storage/file_reader.py": {"_by_pyarrow": ROWS},
    "storage/filesystem.py": {"read_bytes": OWN, "_tail": OWN, "read_json": OWN, "_create": OWN, "copy_file": OWN},
    "storage/marker_file.py": {"columns_of": ROWS},
    "storage/footers.py": {"_local_tail": ROWS, "_remote_tail": ROWS, "open_file": ROWS},
    "storage/lease.py": {"_read_heartbeat": FUZZED + "beat"},
    "storage/listing.py": {"begins": ROWS},
    "storage/liveness.py": {"this_machine": LOCAL, "began_at": LOCAL},
    "storage/local_writes.py": {"_write_local_once": OWN, "_copy_to_new": OWN},
    "storage/marker.py": {"read_marker_version": FUZZED + "marker", "swap_marker": OWN},
    "storage/parquet_rows.py": {"read": ROWS, "has_values": ROWS, "erase": ROWS, "drop_values": ROWS},
    "storage/probe.py": {"_conditions": OWN, "_basics": OWN},
    "storage/renames.py": {"replace_by_rename": OWN},
    "storage/shards.py": {
        "read_prompts": ROWS,
        "read_shards": FUZZED + "shards",
        "read_completions": ROWS,
        "read_stamp": ROWS,
    },
    "storage/table_formats.py": {"is_iceberg": USER},
    "storage/tables/iceberg.py": {"open_iceberg_file": USER},
    "storage/tables/iceberg_commit.py": {"_name_newest": OWN},
    "storage/tables/open.py": {"_iceberg_metadata": USER},
    "storage/tables/output_table.py": {"read": ROWS},
}


def _calls() -> Iterator[tuple[str, str, ast.Call, str]]:
    """Every call in the product: room, innermost function around it, the call, the name that is called."""
    for path in sorted(ROOT.rglob("*.py")):
        room = path.relative_to(ROOT).as_posix()
        for function, call in _within(ast.parse(path.read_text()), ""):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            yield room, function, call, name


def _within(node: ast.AST, function: str) -> Iterator[tuple[str, ast.Call]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield function, child
        named = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        yield from _within(child, named)


def test_every_place_that_opens_files_is_known_here() -> None:
    found: dict[str, set[str]] = {}
    for room, function, _, name in _calls():
        if name in RAW:
            found.setdefault(room, set()).add(function)
    assert found == {room: set(functions) for room, functions in READERS.items()}
    words = {reads for functions in READERS.values() for reads in functions.values()}
    assert {one.removeprefix(FUZZED) for one in words if one.startswith(FUZZED)} <= KINDS.keys()


def test_nothing_is_read_as_json_without_a_model() -> None:
    assert not [room for room, _, _, name in _calls() if name == "read_json"]


def test_every_model_of_a_control_file_is_fuzzed(
    build: Callable[[], House],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed: set[str] = set()
    original = ControlFile.model_validate_json.__func__  # type: ignore[attr-defined]

    def noting(cls: Any, *arguments: Any, **options: Any) -> Any:
        parsed.add(cls.__name__)
        return original(cls, *arguments, **options)

    monkeypatch.setattr(ControlFile, "model_validate_json", classmethod(noting))
    for kind in KINDS.values():
        kind.use(build())
    named = {
        ast.unparse(call.args[CHECKED[name]])
        for room, _, call, name in _calls()
        if name in CHECKED and room != "storage/control_files/reading.py"
    }
    assert named == parsed
