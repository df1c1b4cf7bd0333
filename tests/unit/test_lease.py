"""Leases: one process at a time, told apart from the dead without comparing clocks, fenced by generations."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from uniner_dist.errors import RunHeldError
from uniner_dist.storage import lease as leases
from uniner_dist.storage.control_files import ControlFile, write_control
from uniner_dist.storage.filesystem import list_names, read_json, write_json
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.lease import Held, current_holder, fence, hold_lease, last_worked
from uniner_dist.storage.liveness import is_gone_here
from uniner_dist.storage.place_layout import OutputLayout, StoreLayout
from uniner_dist.storage.retries import StorageError

#: Holds the lease of run `r` in the folder that is given until somebody writes to its input.
_HOLDER = """
import sys
from uniner_dist.storage.layout import RunLayout
from uniner_dist.storage.lease import hold_lease
with hold_lease(RunLayout(sys.argv[1], "r")) as lease:
    print(lease.generation, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beats and patience of fractions of a second."""
    monkeypatch.setattr(leases, "BEAT_S", 0.05)
    monkeypatch.setattr(leases, "STALE_S", 1.0)
    monkeypatch.setattr(leases, "_LOOK_S", 0.02)


@pytest.fixture
def run(tmp_path: Path) -> RunLayout:
    return RunLayout(str(tmp_path), "r")


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lease of the run."""
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "1"
        yield process
        process.kill()


def _pretend_elsewhere(run: RunLayout, generation: int = 1) -> None:
    """Let a claim be one of another machine, of whose processes nothing is known here."""
    path = f"{run.lease_folder}/{generation:06d}.json"
    write_json(path, read_json(path) | {"machine": "another", "host": "elsewhere"})


@pytest.mark.parametrize("kind", ["run", "output", "store", "memory"])
def test_a_second_start_is_refused_and_told_who_holds_it(kind: str, tmp_path: Path) -> None:
    base = str(tmp_path)
    places: dict[str, Held] = {
        "run": RunLayout(base, "r"),
        "output": OutputLayout(f"{base}/o"),
        "store": StoreLayout(base, "f"),
    }
    place = places.get(kind, RunLayout(f"memory://{tmp_path.name}", "r"))
    with hold_lease(place):
        assert f"process {os.getpid()}" in (current_holder(place) or "")
        with pytest.raises(RunHeldError, match=f"process {os.getpid()} on"), hold_lease(place):
            pass
    assert current_holder(place) is None
    with hold_lease(place) as lease:
        assert lease.generation == 2


def test_another_process_is_refused_at_once_and_dead_followed_at_once(
    run: RunLayout, other_process: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "STALE_S", 3600.0)
    with pytest.raises(RunHeldError, match=f"process {other_process.pid} on"), hold_lease(run):
        pass
    other_process.kill()
    other_process.wait()
    with hold_lease(run) as lease:
        assert lease.generation == 2


def test_a_suspended_process_is_followed_and_may_not_go_on(
    run: RunLayout, other_process: subprocess.Popen[str]
) -> None:
    other_process.send_signal(signal.SIGSTOP)
    while psutil.Process(other_process.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)
    with hold_lease(run) as lease:
        assert lease.generation == 2
        other_process.send_signal(signal.SIGCONT)
        assert other_process.stdin is not None
        other_process.stdin.close()
        other_process.wait(timeout=1200)
        lease.check()
    assert "000001.end.json" in list_names(run.lease_folder)


def test_one_elsewhere_whose_beat_changes_is_alive(run: RunLayout) -> None:
    with hold_lease(run) as lease:
        _pretend_elsewhere(run)
        with pytest.raises(RunHeldError, match="on elsewhere"), hold_lease(run):
            pass
        lease.check()


def test_one_elsewhere_without_a_new_beat_is_dead_whatever_the_time(run: RunLayout) -> None:
    """A clock that is an hour ahead or behind makes no difference: only the watcher's own patience counts."""
    for hours in (-1, 0, 1):
        claim = {"host": "elsewhere", "pid": 1, "since": time.time() + 3600 * hours, "machine": "another"}
        write_json(f"{run.lease_folder}/000001.json", claim)
        write_json(f"{run.lease_folder}/000001.beat.json", {"at": time.time() + 3600 * hours})
        with hold_lease(run) as lease:
            assert lease.generation == 2
        for name in list_names(run.lease_folder):
            os.unlink(f"{run.lease_folder}/{name}")


def test_the_first_beat_behind_a_claim_is_a_sign_of_life(run: RunLayout) -> None:
    """The claim comes first: nobody may take over between it and the first beat."""
    claim = {"host": "elsewhere", "pid": 1, "since": 0, "machine": "another", "nonce": "n"}
    write_json(f"{run.lease_folder}/000001.json", claim)
    beat = threading.Timer(0.3, lambda: write_json(f"{run.lease_folder}/000001.beat.json", {"beats": 1, "nonce": "n"}))
    beat.start()
    with pytest.raises(RunHeldError, match="on elsewhere"), hold_lease(run):
        pass
    beat.join()
    assert "000002.json" not in list_names(run.lease_folder)


def test_who_is_not_the_first_to_claim_leaves_no_beat(run: RunLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat of somebody who never held the lease would be a sign of life of whoever does."""
    monkeypatch.setattr(leases, "BEAT_S", 3600.0)
    real: Any = vars(leases)["write_control"]

    def write(path: str, value: ControlFile, exclusive: bool = False) -> bool:
        if path.endswith("/000001.json"):  # somebody else was faster by a moment
            write_json(path, {"host": "elsewhere", "pid": 1, "since": 0, "machine": "another"})
            write_json(path.replace(".json", ".end.json"), {})
        return bool(real(path, value, exclusive))

    monkeypatch.setattr(leases, "write_control", write)
    with hold_lease(run, wait_s=60) as lease:
        assert lease.generation == 2
        assert [name for name in list_names(run.lease_folder) if ".beat." in name] == []


def test_a_beat_without_a_claim_holds_nobody_up(run: RunLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "STALE_S", 3600.0)
    write_json(f"{run.lease_folder}/000001.beat.json", {"beats": 1})
    with hold_lease(run) as lease:
        assert lease.generation == 1


def test_a_claim_that_cannot_be_read_is_watched_like_any_other(run: RunLayout) -> None:
    os.makedirs(run.lease_folder)
    Path(run.lease_folder, "000001.json").write_text("{ torn")
    with hold_lease(run) as lease:
        assert lease.generation == 2


def test_a_process_id_of_another_container_says_nothing(run: RunLayout) -> None:
    """Two containers of one machine may bear the same host name."""
    with hold_lease(run):
        claim = Path(run.lease_folder, "000001.json")
        stranger = json.loads(claim.read_text()) | {"pid": 2**22 + 1}
        claim.write_text(json.dumps(stranger))
        assert current_holder(run) is None, "this machine knows that the process is gone"
        claim.write_text(json.dumps(stranger | {"machine": "another namespace"}))
        with pytest.raises(RunHeldError), hold_lease(run):
            pass


def test_a_process_id_that_was_given_anew_is_not_the_holder(run: RunLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "STALE_S", 3600.0)
    with hold_lease(run):
        claim = Path(run.lease_folder, "000001.json")
        written = json.loads(claim.read_text())
        claim.write_text(json.dumps(written | {"pid": os.getppid(), "ticks": 1}))
        with hold_lease(run) as later:
            assert later.generation == 2
        earlier = {name: value for name, value in written.items() if name != "ticks"} | {"started": 1.0}
        Path(run.lease_folder, "000003.json").write_text(json.dumps(earlier | {"pid": os.getppid()}))
        with hold_lease(run) as later:
            assert later.generation == 4


@pytest.mark.parametrize("what", ["its clock is set", "other users' processes are hidden"])
def test_a_living_process_of_this_machine_is_not_followed(
    what: str, run: RunLayout, other_process: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel reckons back when a process began from a clock, which may be set while the process works."""

    def hidden(pid: int) -> psutil.Process:
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr(leases, "STALE_S", 3600.0 if what == "its clock is set" else 0.3)
    if what == "its clock is set":
        claim = Path(run.lease_folder, "000001.json")
        claim.write_text(json.dumps(json.loads(claim.read_text()) | {"started": 1.0}))
    else:
        monkeypatch.setattr(psutil, "Process", hidden)
        assert not is_gone_here(leases._read_claim(run, 1), ())
        monkeypatch.undo()
    with pytest.raises(RunHeldError, match=f"process {other_process.pid} on"), hold_lease(run):
        pass


def test_a_watcher_that_was_suspended_looks_once_more(run: RunLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    """It slept behind a look, for longer than a holder may be silent, and the holder has beaten meanwhile."""
    write_json(f"{run.lease_folder}/000001.json", {"host": "elsewhere", "pid": 1, "since": 0, "machine": "another"})
    passed, beats = [0.0], iter([b"1", b"1"])

    class Clock:
        sleep = staticmethod(lambda seconds: None)
        monotonic = staticmethod(lambda: passed[0])

    def read_beat(place: Held, generation: int) -> bytes:
        beat = next(beats, b"2")
        passed[0] += 0.0 if beat == b"2" else 50.0
        return beat

    monkeypatch.setattr(leases, "STALE_S", 60.0)
    monkeypatch.setattr(leases, "time", Clock)
    monkeypatch.setattr(leases, "_read_heartbeat", read_beat)
    assert not leases._is_dead(run, 1)


@pytest.mark.parametrize("lost", ["the claim's answer", "the end"])
def test_who_lives_on_ends_a_lease_as_soon_as_storage_works(
    lost: str, run: RunLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To others on its machine this process is alive, so that nobody would follow it."""
    real: Any = vars(leases)["write_control"]
    failing = [True]

    def fails(path: str, value: ControlFile, exclusive: bool = False) -> bool:
        if exclusive and lost == "the claim's answer":
            real(path, value, exclusive)
            raise StorageError(path)
        if path.endswith("end.json") and failing[0]:
            raise StorageError(path)
        return bool(real(path, value, exclusive))

    monkeypatch.setattr(leases, "write_control", fails)
    if lost == "the end":
        with hold_lease(run):
            pass
    else:
        with pytest.raises(StorageError), hold_lease(run):
            pass
    assert "000001.end.json" not in list_names(run.lease_folder)
    failing[0] = False
    while "000001.end.json" not in list_names(run.lease_folder):
        time.sleep(0.01)


def test_who_was_followed_learns_it_at_the_next_check_and_by_its_own_heart(
    run: RunLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()
    with hold_lease(run, on_lost=told.set) as old:
        write_json(f"{run.lease_folder}/000002.json", {"host": "elsewhere", "pid": 1, "since": 0})
        with pytest.raises(RunHeldError, match="was taken over by process 1 on elsewhere"):
            old.check()
        assert old.lost
    with hold_lease(RunLayout(run.workdir, "s"), on_lost=told.set) as old:
        write_json(f"{run.workdir}/runs/s/holders/000002.json", {"host": "elsewhere", "pid": 1, "since": 0})
        assert told.wait(timeout=1200)
        assert old.lost


def test_a_check_renews_the_beat_before_it_is_relied_on(run: RunLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    with hold_lease(run) as lease:
        monkeypatch.setattr(leases, "BEAT_S", -1.0)
        before = leases._read_heartbeat(run, 1)
        lease.check()
        assert leases._read_heartbeat(run, 1) != before


def test_fencing_follows_the_dead_and_leaves_nobody_in_charge(run: RunLayout) -> None:
    fence(run)
    assert list_names(run.lease_folder) == [], "nobody was ever here"
    write_json(f"{run.lease_folder}/000001.json", {"host": "elsewhere", "pid": 1, "since": 0, "machine": "another"})
    fence(run)
    assert current_holder(run) is None
    assert {"000002.json", "000002.end.json"} <= set(list_names(run.lease_folder))
    with hold_lease(run), pytest.raises(RunHeldError):
        fence(run)


def test_upkeep_is_no_sign_that_anybody_works_on_a_run(run: RunLayout) -> None:
    with hold_lease(run):
        pass
    worked = last_worked(run)
    assert worked > 0
    with hold_lease(run, upkeep=True):
        pass
    assert last_worked(run) == worked


def test_generations_go_on_when_old_claims_are_removed(run: RunLayout) -> None:
    for generation in range(1, 13):
        with hold_lease(run) as lease:
            assert lease.generation == generation
    names = list_names(run.lease_folder)
    assert "000001.json" not in names
    assert "000012.json" in names


def test_a_claim_with_a_number_that_is_free_again_does_not_count(run: RunLayout) -> None:
    """Who has listed the lease long ago creates a number that was removed meanwhile."""
    with hold_lease(run):
        pass
    seen = leases._look(run)
    for _ in range(12):
        with hold_lease(run):
            pass
    os.unlink(f"{run.lease_folder}/000002.json") if Path(run.lease_folder, "000002.json").exists() else None
    assert leases._claim(run, seen, lambda: None, upkeep=False) is None


def test_of_two_that_take_over_at_once_one_wins(run: RunLayout) -> None:
    results: list[str] = []
    barrier, leave = threading.Barrier(6), threading.Barrier(6)

    def attempt() -> None:
        barrier.wait()
        try:
            with hold_lease(run):
                results.append("held")
                leave.wait(timeout=1200)
        except RunHeldError:
            results.append("refused")
            leave.wait(timeout=1200)

    threads = [threading.Thread(target=attempt) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["held"] + ["refused"] * 5


def test_a_claim_behind_which_storage_failed_holds_nobody_up(run: RunLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process, such as a notebook's, goes on living; it must not take itself for the holder."""
    write = write_control

    def fails_after(path: str, value: ControlFile, exclusive: bool = False) -> bool:
        write(path, value, exclusive)
        raise StorageError("the answer was lost")

    monkeypatch.setattr(leases, "write_control", fails_after)
    with pytest.raises(StorageError), hold_lease(run):
        pass
    monkeypatch.setattr(leases, "write_control", write)
    with hold_lease(run) as lease:
        assert lease.generation == 2


@pytest.mark.parametrize("number", [999_999_999_999, 10**18 - 1, 10**9, 10**9 - 1])
def test_a_claim_put_under_the_last_number_holds_nothing_for_ever(run: RunLayout, number: int) -> None:
    with hold_lease(run):
        pass
    Path(f"{run.lease_folder}/{number:06d}.json").write_text("{}")
    numbers = []
    for _ in range(leases._KEPT + 2):  # so often that claims from before would be forgotten
        with hold_lease(run) as lease:
            numbers.append(lease.generation)
            lease.check()
            with pytest.raises(RunHeldError), hold_lease(run):
                pass
    first = 2 if number > 10**9 else number + 1
    assert numbers == list(range(first, first + len(numbers)))
