"""The status page over real HTTP: who may come in, what it serves, what may be dropped on it, and what it never gives out."""

import http.client
import io
import json
import logging
import stat
from dataclasses import replace
from urllib.parse import urlsplit

import cv2
import fakes
import nodes
import numpy as np
import pytest

from markerremover.configuration.node_tables import Status
from markerremover.configuration.reading import Configuration
from markerremover.errors import UsageError
from markerremover.node.records import FolderDestination
from markerremover.node.service import Service, with_page
from markerremover.node.status import dropped_files, json_log
from markerremover.node.status.review_process import ReviewProcess

STATUS = Status(metrics=True, upload_mb=1.0, upload_files=5)


class Page:
    """A browser's requests to the page of a running node."""

    def __init__(self, service):
        self.service, self.cookie = service, ""

    @property
    def port(self):
        return self.service.page.port

    def ask(self, path, method="GET", body=b"", **headers):
        """(status, headers, bytes); a header of None is left out."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie}
        if method != "GET":
            sent |= {"Origin": f"http://127.0.0.1:{self.port}", "Content-Type": "application/octet-stream", "Content-Length": str(len(body))}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            if value:
                connection.putheader(name, value)
        try:
            connection.endheaders(body)
        except (BrokenPipeError, ConnectionResetError):  # answered before everything was sent
            pass
        answer = connection.getresponse()
        found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def json(self, path, **how):
        return json.loads(self.ask(path, **how)[2])

    def token(self):
        address = self.service.page.entrances.path.read_text().strip()
        assert urlsplit(address).port == self.port
        return address.partition("token=")[2]

    def enter(self):
        status, headers, _ = self.ask(f"/enter?token={self.token()}")
        assert status == 200
        self.cookie = headers["set-cookie"].partition(";")[0]
        return self


def started(folder, status=STATUS):
    configuration = Configuration(status=status)
    service = Service(with_page(nodes.settings(folder), configuration), configuration, open_cleaner=fakes.cleaner)
    service.start()
    return service


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def service(folder):
    found = started(folder)
    yield found
    found.stop()


@pytest.fixture
def page(service):
    return Page(service).enter()


def drop(page, data):
    """Number of a dropped file."""
    status, _, body = page.ask("/api/dropped", "POST", data)
    assert status == 200, body
    return json.loads(body)["number"]


def done(page, number):
    return nodes.until(lambda: next((row for row in page.json("/api/status")["dropped"] if row["number"] == number and row["state"] not in ("received", "working")), None))


def test_without_the_cookie_there_is_nothing_but_the_metrics(service):
    page = Page(service)
    for path in ("/", "/static/status.js", "/api/status", "/api/dropped/1", "/nothing"):
        assert page.ask(path)[0] == 403, path
    for path in ("/api/dropped", "/api/review", "/api/apply", "/metrics"):
        assert page.ask(path, "POST")[0] == 403, path
    assert page.ask("/metrics")[0] == 200


def test_an_address_works_once_is_then_replaced_and_only_its_owner_can_read_it(service):
    first, second = Page(service), Page(service)
    token = first.token()
    first.enter()
    assert second.ask(f"/enter?token={token}")[0] == 403 and second.ask("/enter?token=x")[0] == 403 and second.ask("/enter")[0] == 403
    second.enter()
    assert first.ask("/api/status")[0] == second.ask("/api/status")[0] == 200
    assert stat.S_IMODE(service.page.entrances.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("headers", [
    {"Host": "node.example"}, {"Host": None}, {"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"},
], ids=str)
def test_what_does_not_come_from_the_page_is_refused_even_with_the_cookie_and_also_for_metrics(page, headers):
    for path in ("/api/status", "/metrics"):
        assert page.ask(path, **headers)[0] in (400, 403), path
    assert page.ask("/api/dropped", "POST", b"x", **headers)[0] in (400, 403)


def test_a_write_needs_an_origin_and_a_drop_its_type(page):
    assert page.ask("/api/dropped", "POST", b"x", Origin=None)[0] == 403 and page.ask("/api/apply", "POST", Origin=None)[0] == 403
    assert page.ask("/api/dropped", "POST", b"x", Content_Type="text/plain")[0] == 415


def test_every_answer_forbids_what_the_page_need_not_do(page):
    for path in ("/", "/static/status.css", "/api/status", "/nothing", "/metrics"):
        headers = page.ask(path)[1]
        assert "default-src 'none'" in headers["content-security-policy"] and headers["cache-control"] == "no-store" and "server" not in headers


def test_metrics_are_behind_the_cookie_unless_they_were_asked_for(tmp_path):
    service = started(tmp_path, Status(metrics=False))
    try:
        assert Page(service).ask("/metrics")[0] == 403 and Page(service).enter().ask("/metrics")[0] == 200
    finally:
        service.stop()
    assert not service.page.entrances.path.exists()


def test_without_a_page_nothing_listens_and_there_is_no_folder_for_dropped_files(tmp_path):
    service = started(tmp_path, Status(page=False))
    service.stop()
    assert service.page is None and not (tmp_path / "spool" / "dropped").exists() and not (tmp_path / "spool" / "status-address").exists()


def test_numbers_held_objects_errors_and_destinations_are_shown_and_agree_with_the_metrics(service, page, folder):
    engine = service.engine
    before = engine.counts()
    assert nodes.store(engine.dicom_port, nodes.object_file(folder / "in", 1), nodes.held_file(folder / "in", 2)) == [0, 0]
    nodes.settled(engine)
    status = page.json("/api/status")
    assert (status["counts"]["sent"], status["counts"]["held"]) == (before.sent + 1, before.held + 1) and status["counts"]["reconciles"] and status["ready"]
    assert status["held"][0]["state"] == "held" and "CT" in status["held"][0]["reason"] and status["rates"][0]["received"] >= 2
    assert [one["name"] for one in status["destinations"]] == ["folder", "status-page"]
    text = page.ask("/metrics")[2].decode()
    for line in (f'markerremover_node_objects{{state="held"}} {status["counts"]["held"]}.0', f'markerremover_node_accepted_total {status["counts"]["accepted"]}.0',
                 "markerremover_node_reconciles 1.0", 'markerremover_node_pending{destination="folder"} 0.0'):
        assert line in text, line


def test_a_dropped_file_is_cleaned_for_the_page_alone_and_its_result_can_be_fetched(service, page, folder):
    original = fakes.png(fakes.radiograph(5))
    number = drop(page, original)
    assert done(page, number) == {"number": number, "state": "sent", "reason": "", "result": ".png"}
    status, headers, data = page.ask(f"/api/dropped/{number}")
    assert status == 200 and headers["content-type"] == "image/png" and headers["content-disposition"] == "attachment"
    assert data != original and (cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) >= fakes.WHITE).sum() == 0
    assert not any(path.suffix == ".png" for path in (folder / "sent").rglob("*")), "it was forwarded"
    assert Page(service).ask(f"/api/dropped/{number}")[0] == 403


def test_a_file_that_was_dropped_is_none_that_an_archive_sent_and_neither_keeps_the_other_away(service, page, folder):
    path = nodes.object_file(folder / "in", 30)
    number = drop(page, path.read_bytes())
    assert done(page, number)["result"] and page.ask(f"/api/dropped/{number}")[1]["content-type"] == "application/dicom"
    count = len(list((folder / "sent").iterdir()))
    assert nodes.store(service.engine.dicom_port, path) == [0]
    nodes.settled(service.engine)
    assert len(list((folder / "sent").iterdir())) == count + 1
    assert done(page, drop(page, path.read_bytes()))["result"]


def test_of_a_held_or_failed_file_nothing_is_given_out_nor_of_an_object_that_was_not_dropped(service, page, folder):
    for number in (drop(page, nodes.held_file(folder / "in", 31).read_bytes()), drop(page, b"no image")):
        row = done(page, number)
        assert row["state"] in ("held", "failed") and row["reason"] and not row["result"] and page.ask(f"/api/dropped/{number}")[0] == 404
    assert nodes.store(service.engine.dicom_port, nodes.object_file(folder / "in", 32)) == [0]
    nodes.settled(service.engine)
    for number in (service.engine.index.objects("sent")[0].number, 10**9, "-1", "x", "..%2Findex.sqlite"):
        assert page.ask(f"/api/dropped/{number}")[0] == 404


def test_a_result_that_was_changed_or_replaced_by_a_link_to_an_original_is_not_given_out(service, page):
    number = drop(page, fakes.png(fakes.radiograph(6)))
    done(page, number)
    spool = service.engine.spool.folder
    path = spool / "dropped" / service.engine.index.get(number).given_name
    data = path.read_bytes()
    path.write_bytes(fakes.png(fakes.radiograph(6)))
    assert page.ask(f"/api/dropped/{number}")[0] == 404
    path.unlink(), (spool / "original.png").write_bytes(data), path.symlink_to(spool / "original.png")
    assert page.ask(f"/api/dropped/{number}")[0] == 404


def test_what_is_too_large_empty_or_too_much_is_refused_and_leaves_nothing(service, page, monkeypatch):
    before = service.engine.counts().accepted
    assert page.ask("/api/dropped", "POST", b"x" * 1_200_000)[0] == 413 and page.ask("/api/dropped", "POST", b"")[0] == 413
    monkeypatch.setattr(dropped_files.DroppedFiles, "waiting", lambda self: 5)
    assert "too many" in page.json("/api/dropped", method="POST", body=b"x")["error"]
    assert list((service.engine.spool.folder / "dropping").iterdir()) == [] and service.engine.counts().accepted == before


def test_results_of_dropped_files_are_deleted_after_their_time(service, page):
    number = drop(page, fakes.png(fakes.radiograph(8)))
    done(page, number)
    files = dropped_files.DroppedFiles(service.engine, replace(STATUS, keep_h=1))
    assert files.tidy() == 0 and page.ask(f"/api/dropped/{number}")[0] == 200
    assert dropped_files.DroppedFiles(service.engine, replace(STATUS, keep_h=-1.0)).tidy() >= 1 and page.ask(f"/api/dropped/{number}")[0] == 404


def test_the_review_page_opens_on_the_quarantine(service, page, folder):
    nodes.store(service.engine.dicom_port, nodes.held_file(folder / "in", 40))
    nodes.settled(service.engine)
    nodes.until(lambda: (service.engine.spool.audit / "summary.json").is_file())
    address = page.json("/api/review", method="POST")["address"]
    assert urlsplit(address).hostname == "127.0.0.1" and urlsplit(address).port != page.port
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(address).port, timeout=60)
    connection.request("GET", f"/enter?{urlsplit(address).query}", headers={"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"})
    assert connection.getresponse().status == 200
    connection.close()


def test_corrections_are_applied_by_one_process_at_a_time_and_how_it_ended_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(ReviewProcess, "_command", lambda self, *args: ["sh", "-c", "sleep 0.3; exit 1"])
    review = ReviewProcess(tmp_path, None, 0)
    assert review.applying() == ""
    review.apply()
    first = review._apply
    review.apply()
    assert review._apply is first and review.applying() == "working" and first.wait() == 1
    assert review.applying() == "the last `apply` ended with exit code 1"
    review.apply(), review.stop()
    assert review._apply is not first and review._apply.poll() is not None


def test_a_review_page_that_does_not_start_and_an_empty_quarantine_are_told(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="nothing to review"):
        ReviewProcess(tmp_path, None, 0).open()
    (tmp_path / "manifest.jsonl").write_text("{}\n")
    monkeypatch.setattr(ReviewProcess, "_command", lambda self, *args: ["sh", "-c", "echo no; exit 2"])
    with pytest.raises(UsageError, match="did not start"):
        ReviewProcess(tmp_path, None, 0).open()


def test_a_page_that_cannot_listen_leaves_nothing_running(service, tmp_path):
    with pytest.raises(UsageError, match="cannot be listened on"):
        started(tmp_path, Status(port=service.page.port))
    started(tmp_path).stop()  # the spool is free again


def test_logs_are_lines_of_json_and_those_of_libraries_are_withheld():
    stream = io.StringIO()
    root = logging.getLogger()
    before = list(root.handlers), root.level, logging.getLogger("markerremover").level
    handler = json_log.log_to(stream)
    try:
        logging.getLogger("markerremover.node.engine").info("object %d: %s", 7, "sent")
        logging.getLogger("some.library").error("PatientName SMITH^JOHN")
        try:
            raise ValueError("SMITH^JOHN")
        except ValueError:
            logging.getLogger("markerremover.node").exception("unexpected")
    finally:
        json_log.stop(handler)
        root.handlers[:], root.level = before[0], before[1]
        logging.getLogger("markerremover").setLevel(before[2])
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (lines[0]["message"], lines[0]["level"], lines[0]["module"]) == ("object 7: sent", "info", "node.engine")
    assert len(lines) == 3 and "SMITH" not in stream.getvalue() and lines[2]["exception"].startswith("ValueError at test_status_page.py:")


def test_a_reserved_destination_gets_only_what_came_its_way(tmp_path):
    settings = nodes.settings(tmp_path, FolderDestination("a", tmp_path / "a"), FolderDestination("b", tmp_path / "b"))
    settings = replace(settings, reserved={"here": ("b",)})
    assert settings.route("PACS") == ("a",) and settings.route("here") == ("b",)
