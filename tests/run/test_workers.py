from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import CancelledError
from dataclasses import replace

import cv2
import fakes
import pytest

from markerremover.errors import UsageError
from markerremover.formats import read_apart
from markerremover.run import batch, one_file, workers
from markerremover.run.workers import Job, Place
from markerremover.system import capacity


@pytest.fixture(autouse=True)
def no_process_of_other_tests():
    """Ends the one that reads files, which lives as long as this process."""
    read_apart.end()


def test_threads_are_shared_out_and_never_zero(monkeypatch, tmp_path):
    monkeypatch.setattr(capacity, "GROUPS", tmp_path)  # none
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert [workers.threads_each(n) for n in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]
    assert workers.Processes(8, fakes.cleaner, 2)._threads == 4, "two files are done by two processes"


def place_and_jobs(tmp_path, bad, **options):
    """A run's folders, and six images of which `bad` begin with a pixel of 7."""
    for name in ("tmp", "crops"):
        (tmp_path / "audit" / name).mkdir(parents=True)
    (tmp_path / "out").mkdir()
    jobs = []
    for i in range(6):
        image = fakes.radiograph(i)
        image[0, 0] = 7 if i in bad else 20
        jobs.append(Job(fakes.put(tmp_path / "in" / f"{i}.png", fakes.png(image)), f"{i}.png"))
    return Place(tmp_path / "out", tmp_path / "audit", replace(fakes.NO_KEEP, **options)), jobs


def cleaned(jobs, place, open_cleaner):
    """The outcomes of `workers.Processes`, as they finish."""
    with workers.Processes(place.options.workers, open_cleaner) as crew:
        yield from crew.clean(jobs, place)


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_file_that_hangs_is_failed_at_the_time_limit_and_the_others_go_on(tmp_path, count):
    bad = (1, 4)[:count]  # each is waited for
    place, jobs = place_and_jobs(tmp_path, bad, workers=count, time_limit=15.0)  # the others take 10 ms; on a busy machine longer
    outcomes = {o.relative: o for o in cleaned(jobs, place, fakes.hanging_cleaner)}
    assert {name: o.status for name, o in outcomes.items()} == {f"{i}.png": "failed" if i in bad else "cleaned" for i in range(6)}
    assert outcomes["1.png"].reason == "took longer than the time limit of 15 s"
    assert set(fakes.files(tmp_path / "out")) == {name for name, o in outcomes.items() if o.status == "cleaned"}
    assert not list((tmp_path / "audit" / "tmp").iterdir())


def test_where_no_process_ever_starts_every_job_has_an_outcome_all_the_same(tmp_path):
    place, jobs = place_and_jobs(tmp_path, (), workers=2)
    assert [o.reason for o in cleaned(jobs[:3], place, fakes.stillborn_cleaner)] == [workers.DIED] * 3
    assert fakes.files(tmp_path / "out") == {}


def test_weights_that_are_replaced_during_a_run_clean_no_file_of_it(tmp_path):
    place, jobs = place_and_jobs(tmp_path, ())
    with workers.Processes(1, fakes.cleaner_of_this_process) as crew:
        first = crew.equipment().sha256
        assert [o.status for o in crew.clean(jobs[:1], place)] == ["cleaned"]
        os.kill(int(first), signal.SIGKILL)  # another process opens what is there now
        outcomes = list(crew.clean(jobs[1:], place))
    assert {(o.status, o.reason) for o in outcomes} == {("failed", "the weights were replaced during the run")} and len(outcomes) == 5
    assert set(fakes.files(tmp_path / "out")) == {"0.png"}


def alone(jobs, place, cleaner):
    """The outcomes of `workers.Alone`, as they finish."""
    with workers.Alone(lambda threads: cleaner) as crew:
        yield from crew.clean(jobs, place)


def meeting(count):
    """A localizer that answers only when `count` threads have asked."""
    barrier = threading.Barrier(count)

    def find(frame, threshold=None):
        barrier.wait(600)
        return fakes.find_white(frame)

    return find


def test_one_process_cleans_as_many_files_at_once_as_its_cleaner_allows(tmp_path):
    place, jobs = place_and_jobs(tmp_path, ())
    outcomes = list(alone(jobs, place, replace(fakes.cleaner(detector=meeting(2)), at_once=2)))
    assert sorted((o.relative, o.status) for o in outcomes) == [(f"{i}.png", "cleaned") for i in range(6)]
    assert fakes.files(tmp_path / "out").keys() == {f"{i}.png" for i in range(6)} and not list((place.audit / "tmp").iterdir())


def test_opencv_has_one_thread_in_a_process_that_cleans_and_the_callers_again_after():
    """More of them wait for each other in loops: a sixth of the time of a run."""
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(3)
        with pytest.raises(RuntimeError), workers.Alone(lambda threads: fakes.cleaner()):
            assert cv2.getNumThreads() == 1
            raise RuntimeError
        assert cv2.getNumThreads() == 3
        with workers.Processes(1, fakes.cleaner_that_tells_opencv_threads) as crew:
            assert crew.equipment().sha256 == "1"
    finally:
        cv2.setNumThreads(before)


def test_one_file_at_a_time_unless_the_cleaner_says_otherwise(tmp_path):
    place, jobs = place_and_jobs(tmp_path, ())
    at_work = []

    def find(frame, threshold=None):
        at_work.append(1)
        assert len(at_work) == 1
        time.sleep(0.01)
        at_work.pop()
        return fakes.find_white(frame)

    assert [(o.relative, o.status) for o in alone(jobs, place, fakes.cleaner(detector=find))] == [(f"{i}.png", "cleaned") for i in range(6)], "in order"


def test_a_file_that_goes_wrong_takes_no_other_along_that_is_cleaned_beside_it(tmp_path):
    place, jobs = place_and_jobs(tmp_path, (1, 4))

    def find(frame, threshold=None):
        if frame[0, 0] == 7:
            raise MemoryError
        return fakes.find_white(frame)

    outcomes = {o.relative: o for o in alone(jobs, place, replace(fakes.cleaner(detector=find), at_once=2))}
    assert {name: o.status for name, o in outcomes.items()} == {f"{i}.png": "failed" if i in (1, 4) else "cleaned" for i in range(6)}
    assert outcomes["4.png"].reason.startswith("unexpected MemoryError at ")
    assert set(fakes.files(tmp_path / "out")) == {name for name, o in outcomes.items() if o.status == "cleaned"}


def test_a_run_that_is_broken_off_waits_for_the_files_that_are_begun_and_begins_no_other(tmp_path):
    place, jobs = place_and_jobs(tmp_path, ())
    begun = []

    def find(frame, threshold=None):
        begun.append(1)
        time.sleep(0.2)
        return fakes.find_white(frame)

    outcomes = alone(jobs, place, replace(fakes.cleaner(detector=find), at_once=2))
    next(outcomes)
    outcomes.close()
    left = len(begun), sorted(fakes.files(tmp_path / "out"))
    assert len(left[1]) <= 4 and not list((place.audit / "tmp").iterdir())
    time.sleep(0.5)
    assert (len(begun), sorted(fakes.files(tmp_path / "out"))) == left


def test_a_file_whose_process_was_killed_from_outside_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setenv("MARKERREMOVER_TEST_MARK", str(tmp_path / "mark"))
    place, jobs = place_and_jobs(tmp_path, (2,), workers=2)
    outcomes = {o.relative: o.status for o in cleaned(jobs, place, fakes.once_deadly_cleaner)}
    assert outcomes == {f"{i}.png": "cleaned" for i in range(6)} and (tmp_path / "mark").exists()


def test_what_a_killed_process_had_begun_to_write_goes(tmp_path):
    place, jobs = place_and_jobs(tmp_path, ())
    begun = one_file.temporary_file(place.audit, "3.png")
    begun.write_bytes(b"half")
    assert workers._failed(jobs[3], place, "x").status == "failed" and not begun.exists()


def test_processes_end_when_the_run_is_broken_off(tmp_path):
    place, jobs = place_and_jobs(tmp_path, (4,), workers=2)
    outcomes = cleaned(jobs, place, fakes.hanging_cleaner)
    next(outcomes)
    outcomes.close()
    assert not multiprocessing.active_children()


def test_with_a_time_limit_one_worker_is_a_process_of_its_own(tmp_path):
    source = fakes.put(tmp_path / "in" / "a.png", fakes.png(fakes.radiograph(1)))
    options = replace(fakes.NO_KEEP, time_limit=600.0)
    summary = batch.remove([source], tmp_path / "out", options=options, open_cleaner=fakes.deadly_cleaner)
    assert summary["counts"]["cleaned"] == 1 and summary["options"]["time_limit"] == 600
    image = fakes.radiograph(1)
    image[0, 0] = 7  # on which it would take this very process along
    fakes.put(tmp_path / "in2" / "b.png", fakes.png(image))
    assert batch.remove([tmp_path / "in2"], tmp_path / "out2", options=options, open_cleaner=fakes.deadly_cleaner)["counts"]["failed"] == 1


@pytest.mark.parametrize("limit", [0.0, -1.0, float("inf"), float("nan")])
def test_a_time_limit_is_a_number_of_seconds(limit):
    with pytest.raises(UsageError, match="time_limit"):
        replace(fakes.NO_KEEP, time_limit=limit)


def test_one_by_one_a_file_that_kills_its_process_is_failed_and_the_next_one_is_cleaned(tmp_path):
    place, jobs = place_and_jobs(tmp_path, (1,))
    bench = workers.OneByOne(place, fakes.deadly_cleaner)
    try:
        assert [bench.clean(job).status for job in jobs[:3]] == ["cleaned", "failed", "cleaned"]
    finally:
        bench.close()
    assert set(fakes.files(tmp_path / "out")) == {"0.png", "2.png"} and not multiprocessing.active_children()


def test_one_by_one_tells_its_equipment_and_another_one_than_expected_fails(tmp_path):
    place, jobs = place_and_jobs(tmp_path, ())
    bench = workers.OneByOne(place, fakes.cleaner_of_this_process)
    try:
        found = bench.equipment()
        bench.expected = found._replace(sha256="other")
        assert found.sha256.isdigit() and bench.clean(jobs[0]).reason == "the weights were replaced during the run"
        bench.expected = found
        assert bench.clean(jobs[0]).status == "cleaned"
    finally:
        bench.close()


@pytest.mark.parametrize("delay_s", [0.0, 3.0], ids=["while the process starts", "while it cleans"])
def test_one_by_one_a_stop_from_another_thread_ends_what_is_in_progress(tmp_path, delay_s):
    place, jobs = place_and_jobs(tmp_path, (0,))
    bench = workers.OneByOne(place, fakes.hanging_cleaner)
    timer = threading.Timer(delay_s, bench.stop)
    timer.start()
    begun = time.monotonic()
    with pytest.raises((CancelledError, RuntimeError)):
        bench.clean(jobs[0])
    bench.close()
    timer.join()
    assert time.monotonic() - begun < 30 and not multiprocessing.active_children()


def test_one_by_one_where_no_process_ever_starts_every_file_is_failed(tmp_path):
    place, jobs = place_and_jobs(tmp_path, ())
    bench = workers.OneByOne(place, fakes.stillborn_cleaner)
    assert [bench.clean(job).reason for job in jobs[:2]] == [workers.DIED] * 2
    bench.close()


def test_every_job_has_an_outcome_also_when_two_of_many_kill_their_process(tmp_path):
    place, jobs = place_and_jobs(tmp_path, (1, 4), workers=2)
    outcomes = {o.relative: o for o in cleaned(jobs, place, fakes.deadly_cleaner)}
    assert {name: o.status for name, o in outcomes.items()} == {f"{i}.png": "failed" if i in (1, 4) else "cleaned" for i in range(6)}
    assert {o.reason for o in outcomes.values() if o.status == "failed"} == {workers.DIED}
    assert set(fakes.files(tmp_path / "out")) == {name for name, o in outcomes.items() if o.status == "cleaned"}
