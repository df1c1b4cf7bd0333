"""Faults that are put into the code on purpose, one at a time, and whether a test notices them.

`python -m benchmarks.mutants` changes the code in a copy, in which the tests of its room are run; one that fails kills
the mutant. *Named* mutants are faults that somebody once made or feared. *Drawn* ones are made by rules (another
comparison, a constant that is one more, a condition turned round, a statement left out), as many of each file as asked,
at random from a seed.
"""

from __future__ import annotations

import argparse
import ast
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: A test run that takes longer hangs, which is noticed too.
_LONGEST_S = 600.0


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        name: what is wrong then.
        file: relative to the package.
        content: of the whole file.
        tests: what is run.
    """

    name: str
    file: str
    content: str
    tests: tuple[str, ...]


_BY_TWO_RENAMES = """\
    os.rename(other, f"{other}.old")
    os.rename(one, other)
    os.rename(f"{other}.old", one)
    return True
    renameat2 = getattr("""
_REMOVED_FIRST = """\
    for name in sorted(present.intersection(change.remove)):
        fs.rm_file(join(path, name))
    for name in sorted(set(change.add) - present):
"""
_DEAD_AT_ONCE = """\
    if not _read_heartbeat(place, generation):
        return True
    first, begun ="""
_BEAT_FIRST = """\
    _ours.add(nonce)
    write_control(_path(place, generation, "beat"), Heartbeat(beats=0, nonce=nonce))
    lease = None
"""
#: (name, file, code, other code, tests).
_NAMED: tuple[tuple[str, str, str, str, str], ...] = (
    (
        *("old files go before new ones come", "storage/commit.py"),
        *("    for name in sorted(set(change.add) - present):\n", _REMOVED_FIRST, "tests/unit/test_commit.py"),
    ),
    (
        *("folders are exchanged by two renames", "storage/commit.py"),
        *("    renameat2 = getattr(", _BY_TWO_RENAMES, "tests/unit/test_commit.py"),
    ),
    (
        *("a file gets its name before it is on disk", "storage/local_writes.py"),
        *("            stream.flush()\n            os.fsync(stream.fileno())\n", "", "tests/unit/test_storage.py"),
    ),
    (
        *("a check does not renew the beat first", "storage/lease.py"),
        *("            self._write_heartbeat()\n        if self.lost or", "            pass\n        if self.lost or"),
        "tests/unit/test_lease.py",
    ),
    (
        *("a beat before the claim", "storage/lease.py"),
        *("    _ours.add(nonce)\n    lease = None\n", _BEAT_FIRST, "tests/unit/test_lease.py"),
    ),
    (
        *("a claim without a beat is dead", "storage/lease.py"),
        *("    first, begun =", _DEAD_AT_ONCE, "tests/unit/test_lease.py"),
    ),
    (
        *("verified shards ignore their rows", "storage/shards.py"),
        *(', "rows": str(prompts[shard])}', "}", "tests/unit/test_storage.py"),
    ),
    (
        *("an earlier weaker match is kept", "core/merge.py"),
        *("kept = new if MATCHES.index(new.match) < MATCHES.index(known.match) else known", "kept = known"),
        "tests/unit/test_passages.py",
    ),
    (
        *("_BARE_SLACK = 0", "core/split.py"),
        *("_BARE_SLACK: Final = 8", "_BARE_SLACK: Final = 0", "tests/unit/test_passages.py"),
    ),
    (
        *("_tokens_around never doubles", "core/split.py"),
        *(
            "        if in_front > 2 * overlap_tokens or not origin or not length:\n            return",
            "        return",
        ),
        "tests/unit/test_passages.py",
    ),
)
#: File of the package → its tests, for drawn mutants.
_TESTS: dict[str, tuple[str, ...]] = {
    "core/merge.py": ("tests/unit/test_passages.py",),
    "core/outcomes.py": ("tests/unit/test_parse.py", "tests/unit/test_passages.py"),
    "core/hashing.py": ("tests/unit/test_store.py", "tests/unit/test_run.py"),
    "storage/attempts.py": ("tests/unit/test_attempts.py",),
    "storage/commit.py": ("tests/unit/test_commit.py", "tests/unit/test_journal.py"),
    "storage/conditional.py": ("tests/unit/test_probe.py", "tests/storage/test_conditional.py"),
    "storage/erased.py": ("tests/unit/test_erased.py",),
    "storage/lease.py": ("tests/unit/test_lease.py",),
    "storage/local_writes.py": ("tests/unit/test_storage.py", "tests/unit/test_probe.py"),
    "storage/shards.py": ("tests/unit/test_storage.py", "tests/unit/test_attempts.py", "tests/unit/test_repeating.py"),
    "storage/stage_files.py": ("tests/unit/test_attempts.py",),
}


def named() -> Iterator[Mutant]:
    """The named mutants."""
    for name, file, old, new, tests in _NAMED:
        content = (ROOT / "uniner_dist" / file).read_text()
        if content.count(old) != 1:
            raise ValueError(f"{name}: the code that it changes is not in {file}, or more than once")
        yield Mutant(name, file, content.replace(old, new), (tests,))


def drawn(file: str, count: int, seed: int) -> list[Mutant]:
    """So many of the mutants that the rules make of a file."""
    text = (ROOT / "uniner_dist" / file).read_text()
    places = [node for node in ast.walk(ast.parse(text)) if _other(node) is not None]
    chosen = random.Random(f"{seed} {file}").sample(range(len(places)), min(count, len(places)))
    return [_mutant(file, text, place) for place in sorted(chosen)]


def _mutant(file: str, text: str, place: int) -> Mutant:
    tree = ast.parse(text)
    node = [node for node in ast.walk(tree) if _other(node) is not None][place]
    before = ast.unparse(node)
    other = _other(node)
    assert other is not None
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is node:
                setattr(parent, name, other)
            elif isinstance(value, list) and any(one is node for one in value):
                value[:] = [other if one is node else one for one in value]
    shown = f"{before.splitlines()[0][:60]} → {ast.unparse(ast.fix_missing_locations(other)).splitlines()[0][:60]}"
    line = getattr(node, "lineno", 0)
    return Mutant(f"line {line}: {shown}", file, ast.unparse(ast.fix_missing_locations(tree)), _TESTS[file])


_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


def _other(node: ast.AST) -> ast.expr | ast.stmt | None:
    """What a node becomes by the rules; None where none is about it."""
    match node:
        case ast.Compare(left, [comparison], [right]):
            return ast.copy_location(ast.Compare(left, [_COMPARISONS[type(comparison)]()], [right]), node)
        case ast.BoolOp(ast.And() | ast.Or() as kind, values):
            return ast.copy_location(ast.BoolOp(ast.Or() if isinstance(kind, ast.And) else ast.And(), values), node)
        case ast.UnaryOp(ast.Not(), operand):
            return operand
        case ast.Constant(bool() as value):
            return ast.copy_location(ast.Constant(not value), node)
        case ast.Constant(int() as value):
            return ast.copy_location(ast.Constant(value + 1), node)
        case ast.BinOp(left, ast.Add() | ast.Sub() as sign, right):
            return ast.copy_location(
                ast.BinOp(left, ast.Sub() if isinstance(sign, ast.Add) else ast.Add(), right), node
            )
        case ast.Expr(ast.Call()) | ast.AugAssign():
            return ast.copy_location(ast.Pass(), node)
    return None


def is_killed(mutant: Mutant) -> bool:
    """Whether a test of the mutant's room fails."""
    with tempfile.TemporaryDirectory(prefix="uniner-mutant-") as folder:
        for name in ("uniner_dist", "tests", "docs", "conf", "benchmarks", "jobs"):
            shutil.copytree(ROOT / name, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__", "*.json.gz"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, folder)
        (Path(folder) / "uniner_dist" / mutant.file).write_text(mutant.content)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "--timeout",
            "120",
            *mutant.tests,
        ]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=_LONGEST_S, check=False)
        except subprocess.TimeoutExpired:
            return True
    return done.returncode == 1


def render(results: Sequence[tuple[Mutant, bool]], seconds: float) -> str:
    """The table, Markdown; survivors by name."""
    lines = ["| file | mutants | killed |", "| --- | ---: | ---: |"]
    for file in dict.fromkeys(mutant.file for mutant, _ in results):
        own = [killed for mutant, killed in results if mutant.file == file]
        lines.append(f"| {file} | {len(own)} | {sum(own)} |")
    total, killed = len(results), sum(killed for _, killed in results)
    lines.append(f"\n{total} mutants, {killed} killed, {seconds:,.0f} s. Survivors:\n")
    lines += [f"- `{mutant.file}` {mutant.name}" for mutant, killed in results if not killed] or ["none"]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drawn", type=int, default=0, help="drawn mutants of each file; default: only the named ones")
    parser.add_argument("--files", nargs="*", default=list(_TESTS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="named mutants with this in their name")
    options = parser.parse_args()
    mutants = [one for one in named() if options.only in one.name] if not options.drawn else []
    for file in options.files if options.drawn else ():
        mutants += drawn(file, options.drawn, options.seed)
    begun, results = time.monotonic(), []
    for mutant in mutants:
        results.append((mutant, is_killed(mutant)))
        print(f"{'killed' if results[-1][1] else 'SURVIVED'}: {mutant.file} {mutant.name}", file=sys.stderr, flush=True)
    print(render(results, time.monotonic() - begun))
    return int(not options.drawn and not all(killed for _, killed in results))


if __name__ == "__main__":
    sys.exit(main())
