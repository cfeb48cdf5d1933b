from __future__ import annotations

from dataclasses import replace

import fakes
from markerremover import workers
from markerremover.workers import Job, Place


def test_threads_are_shared_out_and_never_zero(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert [workers.threads_each(n) for n in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]


def test_every_job_has_an_outcome_also_when_two_of_many_kill_their_process(tmp_path):
    for name in ("tmp", "crops"):
        (tmp_path / "audit" / name).mkdir(parents=True)
    (tmp_path / "out").mkdir()
    jobs = []
    for i in range(6):
        image = fakes.radiograph(i)
        image[0, 0] = 7 if i in (1, 4) else 20
        jobs.append(Job(fakes.put(tmp_path / "in" / f"{i}.png", fakes.png(image)), f"{i}.png"))
    place = Place(tmp_path / "out", tmp_path / "audit", replace(fakes.NO_KEEP, workers=2))
    outcomes = {o.relative: o.status for o in workers.in_processes(jobs, place, fakes.deadly_cleaner)}
    assert outcomes == {f"{i}.png": "failed" if i in (1, 4) else "cleaned" for i in range(6)}
    assert set(fakes.files(tmp_path / "out")) == {name for name, status in outcomes.items() if status == "cleaned"}
