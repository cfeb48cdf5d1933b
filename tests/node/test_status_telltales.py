"""Nothing that a node logs, counts or shows names a patient: every field of the objects that it gets holds a name that is found nowhere else."""

import io
import json
import logging

import dicom_files
import fakes
import nodes
import pytest
from test_status_page import Page

from markerremover.configuration.node_tables import Loop, Status, Watch
from markerremover.configuration.reading import Configuration
from markerremover.node.service import Service, with_page
from markerremover.node.status import json_log

NAME = "ZWIEBELFISCH"
FIELDS = {
    "PatientName": f"{NAME}^ANNA", "PatientAddress": NAME, "OtherPatientNames": NAME, "ReferringPhysicianName": NAME, "OperatorsName": NAME,
    "InstitutionName": NAME, "StudyDescription": NAME, "SeriesDescription": NAME, "AccessionNumber": NAME, "PatientComments": NAME, "ImageComments": NAME,
    "StationName": NAME, "ProtocolName": NAME, "StudyID": NAME, "RequestedProcedureDescription": NAME,
}


@pytest.fixture
def stream():
    """The log of the node."""
    root, ours = logging.getLogger(), logging.getLogger("markerremover")
    before = list(root.handlers), root.level, ours.level
    found = io.StringIO()
    handler = json_log.log_to(found, logging.DEBUG)
    logging.getLogger("pynetdicom").setLevel(logging.DEBUG)
    yield found
    json_log.stop(handler)
    logging.getLogger("pynetdicom").setLevel(logging.NOTSET)
    root.handlers[:], root.level = before[0], before[1]
    ours.setLevel(before[2])


def test_no_log_no_metric_and_no_answer_of_the_page_holds_a_name(tmp_path, stream):
    inbox = tmp_path / NAME / "inbox"
    (inbox / NAME).mkdir(parents=True)
    configuration = Configuration(status=Status(metrics=True, upload_mb=1.0), watch=Watch(settle_s=0, poll_s=0.05), loop=Loop(check_s=0.05), given={"loop.held_share": 0.1})
    service = Service(with_page(nodes.settings(tmp_path), configuration), configuration, folder=inbox, open_cleaner=fakes.cleaner)
    service.start()
    page = Page(service).enter()
    cut = nodes.object_file(tmp_path, 4, **FIELDS).read_bytes()[:-3000]
    (inbox / NAME / f"{NAME}.png").write_bytes(fakes.png(fakes.radiograph(1)))
    (inbox / NAME / f"{NAME}-text.png").write_bytes(NAME.encode())
    (inbox / f"{NAME}-cut.dcm").write_bytes(cut)
    (inbox / f"{NAME}-link.png").symlink_to(tmp_path / f"{NAME}.png")
    dicom_files.save(inbox / NAME, fakes.radiograph(2)[None], bits=8, name=f"{NAME}.dcm", SOPInstanceUID="1.2.826.0.1.3680043.77.50", **FIELDS)
    port = service.engine.dicom_port
    assert nodes.store(port, nodes.object_file(tmp_path, 1, **FIELDS), nodes.held_file(tmp_path, 2), nodes.object_file(tmp_path, 3, seed=9, **FIELDS)) == [0, 0, 0]
    assert nodes.store(port, nodes.object_file(tmp_path, 3, seed=10, **FIELDS)) == [0]  # in conflict
    for data in (cut, NAME.encode(), nodes.object_file(tmp_path, 1, **FIELDS).read_bytes(), b"x" * 1_100_000):
        page.ask("/api/dropped", "POST", data)
    nodes.until(lambda: service.watched.files == 4)
    nodes.settled(service.engine)
    answers = [page.ask(path)[2].decode() for path in ("/", "/api/status", "/metrics", "/api/dropped/1")]
    (tmp_path / "sent").rename(tmp_path / "gone")  # a destination that cannot be reached
    nodes.store(port, nodes.object_file(tmp_path, 5, **FIELDS))
    nodes.until(lambda: service.engine.index.destinations()[0].last_error)
    answers += [page.ask("/api/status")[2].decode(), page.ask("/metrics")[2].decode()]
    service.stop()
    text = stream.getvalue()
    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) > 15 and {"held", "sent"} <= {line["message"].split(": ")[-1].split(" ")[0] for line in lines}
    status = json.loads(answers[1])
    assert status["counts"]["failed"] >= 3 and status["counts"]["held"] >= 2 and status["errors"]
    for found in (text, *answers):
        assert NAME not in found.upper() and "1.2.826.0.1.3680043.77" not in found
