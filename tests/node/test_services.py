"""The DICOM services: who may send what, which status answers what, and what reaches an archive."""

import socket
import struct
from dataclasses import replace

import nodes
import pydicom
import pytest
from pynetdicom import AE

from markerremover.errors import UsageError
from markerremover.node.incoming import FULL_SPOOL
from markerremover.node.listening import CLASSES, VERIFICATION
from markerremover.node.records import DicomDestination, FolderDestination, Listening

CT = "1.2.840.10008.5.1.4.1.1.2"
JPEG_2000, EXPLICIT = "1.2.840.10008.1.2.4.90", nodes.EXPLICIT


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("services")
    with nodes.receiving(folder / "archive") as (port, received):
        to = DicomDestination("archive", "127.0.0.1", port, "ARCHIVE")
        with nodes.running(nodes.settings(folder, to, callers=("SENDER",), limits=replace(nodes.LIMITS, object_bytes=200_000))) as engine:
            yield engine, folder, received


def test_verification(node):
    with nodes.sending(node[0].dicom_port, contexts=((VERIFICATION, [EXPLICIT]),)) as association:
        assert association.send_c_echo().Status == 0


@pytest.mark.parametrize(("titles", "accepted"), [({}, True), ({"calling": "OTHER"}, False), ({"called": "OTHER"}, False)])
def test_only_allowed_titles_get_an_association(node, titles, accepted):
    with nodes.sending(node[0].dicom_port, **titles) as association:
        assert association.is_established == accepted and association.is_rejected != accepted


def test_an_object_is_in_the_index_when_it_is_answered_and_reaches_the_archive_cleaned(node, tmp_path):
    engine, folder, received = node
    before = engine.counts().accepted
    assert nodes.store(engine.dicom_port, nodes.object_file(tmp_path, 1), nodes.object_file(tmp_path, 2)) == [0, 0]
    assert engine.counts().accepted == before + 2
    nodes.until(lambda: engine.counts().sent == 2)
    assert len(received) == 2
    for uid in received:
        path = folder / "archive" / f"{uid}.dcm"
        dataset = pydicom.dcmread(path)
        assert nodes.white(path) == 0 and dataset.PatientID != "QZ-400-17" and dataset.BurnedInAnnotation == "NO"
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID == uid


def test_a_duplicate_is_answered_with_success_and_not_sent_again(node, tmp_path):
    engine, _, received = node
    path = nodes.object_file(tmp_path, 3)
    assert nodes.store(engine.dicom_port, path, path) == [0, 0]
    nodes.settled(engine)
    count = len(received)
    assert nodes.store(engine.dicom_port, path) == [0]
    nodes.settled(engine)
    assert len(received) == count


def test_the_same_object_by_dicom_and_as_a_file_is_one(node, tmp_path):
    engine, *_ = node
    path = nodes.object_file(tmp_path, 4)
    assert nodes.store(engine.dicom_port, path) == [0]
    assert engine.accept(path, "watch").kind == "duplicate"


def test_a_conflicting_object_is_answered_with_success_and_held(node, tmp_path):
    engine, *_ = node
    assert nodes.store(engine.dicom_port, nodes.object_file(tmp_path, 5), nodes.object_file(tmp_path / "other", 5, seed=6)) == [0, 0]
    counts = nodes.settled(engine)
    assert counts.held == 1


def test_too_large_is_out_of_resources_and_the_association_goes_on(node, tmp_path):
    engine, *_ = node
    large = nodes.dicom_files.save(tmp_path, nodes.fakes.radiograph(7, shape=(600, 600))[None], bits=8, name="l.dcm", SOPInstanceUID="1.2.3.7")
    before = engine.counts().accepted
    assert nodes.store(engine.dicom_port, large, nodes.object_file(tmp_path, 8)) == [0xA700, 0]
    assert engine.counts().accepted == before + 1
    nodes.settled(engine)


def test_a_full_spool_is_out_of_resources(node, tmp_path, monkeypatch):
    engine, *_ = node
    monkeypatch.setattr(engine.incoming, "_limits", replace(nodes.LIMITS, spool_bytes=1))
    assert nodes.store(engine.dicom_port, nodes.object_file(tmp_path, 9)) == [0xA700]
    assert any(FULL_SPOOL in problem.text for problem in engine.index.recent_errors())


def test_a_spool_that_cannot_be_written_is_out_of_resources_and_leaves_nothing(node, tmp_path, monkeypatch):
    engine, *_ = node

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("markerremover.node.spool.os.replace", fail)
    assert nodes.store(engine.dicom_port, nodes.object_file(tmp_path, 10)) == [0xA700]
    assert nodes.sizes(engine.spool.folder / "incoming") == []


def test_other_classes_and_syntaxes_get_no_presentation_context(node):
    with nodes.sending(node[0].dicom_port, contexts=((CT, [EXPLICIT]), (nodes.DX, ["1.2.840.10008.1.2.4.100"]), (nodes.DX, [JPEG_2000]))) as association:
        accepted = {(c.abstract_syntax, c.transfer_syntax[0]) for c in association.accepted_contexts}
        assert accepted == {(nodes.DX, JPEG_2000)}


def test_every_class_is_one_of_the_standards_and_accepted(node):
    contexts = tuple((sop_class, [EXPLICIT]) for sop_class in CLASSES)
    with nodes.sending(node[0].dicom_port, contexts=contexts) as association:
        assert {c.abstract_syntax for c in association.accepted_contexts} == set(CLASSES)
    assert all(pydicom.uid.UID(sop_class).name == name for sop_class, name in CLASSES.items())


def test_an_object_cut_off_by_the_end_of_its_association_is_not_kept(node, tmp_path):
    """The bytes of an association, without the last of the object."""
    engine, *_ = node
    before = engine.counts()
    with nodes.sending(engine.dicom_port) as association:
        original = association.dul.socket.send
        sent = 0

        def cut(data):
            nonlocal sent
            sent += len(data)
            if sent > 6000:
                association.dul.socket.socket.shutdown(socket.SHUT_RDWR)
            original(data)

        association.dul.socket.send = cut
        association.dimse_timeout = 1
        association.send_c_store(nodes.object_file(tmp_path, 11))
    nodes.until(lambda: len(engine.index.objects("received")) == 0)
    assert engine.counts().accepted == before.accepted and nodes.sizes(engine.spool.folder / "incoming") == []


def test_noise_on_the_port_does_no_harm(node):
    engine, *_ = node
    for noise in (b"GET / HTTP/1.0\r\n\r\n", struct.pack(">BBI", 1, 0, 1 << 31), b"\x04\x00\x00\x00\x00\x08" + b"\0" * 8):
        with socket.create_connection(("127.0.0.1", engine.dicom_port)) as connection:
            connection.sendall(noise)
    with nodes.sending(engine.dicom_port, contexts=((VERIFICATION, [EXPLICIT]),)) as association:
        assert association.send_c_echo().Status == 0


def test_an_archive_that_refuses_gets_the_object_again_later(tmp_path):
    answers = [0xA900, 0xA700, 0x0000]
    with nodes.receiving(tmp_path / "archive", status=lambda event: answers.pop(0)) as (port, received):
        settings = nodes.settings(tmp_path, DicomDestination("archive", "127.0.0.1", port, "ARCHIVE"))
        with nodes.running(replace(settings, listening=None)) as engine:
            engine.accept(nodes.object_file(tmp_path / "in", 1), "test")
            assert nodes.settled(engine).sent == 1
            texts = [problem.text for problem in engine.index.recent_errors()]
    assert texts == ["it is out of resources (status 0xa700)", "refused with status 0xa900"] and len(received) == 1


def test_an_archive_that_is_down_and_then_up_gets_everything(tmp_path):
    with nodes.receiving(tmp_path / "archive") as (port, _):
        pass
    settings = nodes.settings(tmp_path, DicomDestination("archive", "127.0.0.1", port, "ARCHIVE"))
    with nodes.running(replace(settings, listening=None)) as engine:
        for number in range(3):
            engine.accept(nodes.object_file(tmp_path / "in", number), "test")
        nodes.until(lambda: any(state.last_error for state in engine.index.destinations()))
        assert engine.counts().sent == 0
        with nodes.receiving(tmp_path / "archive", port=port) as (_, received):
            assert nodes.settled(engine).sent == 3
    assert len(set(received)) == len(received) == 3


def test_what_an_archive_does_not_accept_waits_with_the_reason(tmp_path):
    entity = AE("ARCHIVE")
    entity.add_supported_context(CT)
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        to = DicomDestination("archive", "127.0.0.1", server.socket.getsockname()[1], "ARCHIVE")
        with nodes.running(replace(nodes.settings(tmp_path, to), listening=None)) as engine:
            engine.accept(nodes.object_file(tmp_path / "in", 1), "test")
            state = nodes.until(lambda: next((s for s in engine.index.destinations() if s.last_error), None))
            assert state.pending == 1 and state.last_error == f"it does not accept SOP class {nodes.DX} in transfer syntax {EXPLICIT}"
    finally:
        server.shutdown()


def test_an_address_that_others_reach_needs_a_list_of_callers():
    with pytest.raises(UsageError, match="name the calling AE titles"):
        Listening(host="0.0.0.0")
    assert Listening(host="0.0.0.0", callers=("CT1",)).callers == ("CT1",)


@pytest.mark.parametrize("title", ["", "A" * 17, "A\\B", "Ä"])
def test_a_title_is_one_of_the_standard(title):
    with pytest.raises(UsageError, match="AE title"):
        Listening(ae_title=title)


def test_a_port_in_use_is_said(node, tmp_path):
    settings = nodes.settings(tmp_path, FolderDestination("f", tmp_path / "sent"))
    with pytest.raises(UsageError, match="cannot listen"):
        with nodes.running(replace(settings, listening=Listening(port=node[0].dicom_port))):
            pass


def test_a_caller_from_an_address_that_is_not_allowed_gets_no_answer(tmp_path):
    with nodes.running(nodes.settings(tmp_path, addresses=("192.0.2.1",))) as engine:
        with nodes.sending(engine.dicom_port) as association:
            assert not association.is_established
