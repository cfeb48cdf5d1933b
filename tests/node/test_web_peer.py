"""STOW-RS: what an answer of a DICOMweb service means, and what is sent."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import nodes
import pytest

from markerremover.errors import UsageError
from markerremover.formats.dicom.file_meta import file_facts
from markerremover.node.destinations import Parcel, Unreachable
from markerremover.node.destinations.web import WebPeer
from markerremover.node.records import Delivery, WebDestination

FAILED = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0x0110]}}]}}


@pytest.fixture(scope="module")
def service():
    """A service that answers as it is told; `answer` is (status, body), `seen` the last request."""
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            server.seen = (self.path, dict(self.headers), self.rfile.read(int(self.headers["Content-Length"])))
            status, body = server.answer
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def sent(service, path, **how):
    peer = WebPeer(WebDestination("web", f"http://127.0.0.1:{service.server_port}/dicom-web/", **how))
    parcel = Parcel(Delivery(1, "web", "x", "y"), file_facts(path.read_bytes()))
    with peer.connected([parcel]) as send:
        return send(parcel, path)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return nodes.object_file(tmp_path_factory.mktemp("web"), 1)


def test_the_bytes_go_out_as_they_are_in_one_part(service, path):
    service.answer = (200, b"{}")
    assert sent(service, path) == ""
    where, headers, body = service.seen
    boundary = headers["Content-Type"].split("boundary=")[1]
    assert where == "/dicom-web/studies" and headers["Content-Type"].startswith('multipart/related; type="application/dicom"')
    assert body == f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()


@pytest.mark.parametrize(("answer", "error"), [
    ((200, b""), ""), ((202, b"{}"), ""), ((200, json.dumps(FAILED).encode()), "refused, failure reason 0x0110"),
    ((409, json.dumps(FAILED).encode()), "refused with HTTP status 409, failure reason 0x0110"), ((400, b"no"), "refused with HTTP status 400"),
    ((500, b""), "refused with HTTP status 500"), ((302, b""), "refused with HTTP status 302"), ((201, b""), "refused with HTTP status 201")])
def test_only_a_confirmation_counts_as_sent(service, path, answer, error):
    service.answer = answer
    assert sent(service, path) == error


@pytest.mark.parametrize("status", [401, 404, 429, 503])
def test_what_says_nothing_about_the_object_holds_up_the_destination(service, path, status):
    service.answer = (status, b"")
    with pytest.raises(Unreachable, match=str(status)):
        sent(service, path)


def test_no_service_holds_up_the_destination(path):
    peer = WebPeer(WebDestination("web", "http://127.0.0.1:1/dicom-web"))
    parcel = Parcel(Delivery(1, "web", "x", "y"), file_facts(path.read_bytes()))
    with pytest.raises(Unreachable, match="does not answer"), peer.connected([parcel]) as send:
        send(parcel, path)


def test_a_token_and_a_login_are_sent_and_no_proxy_is_used(service, path, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    (tmp_path / "token").write_text("abc\n")
    (tmp_path / "login").write_text("me:secret\n")
    service.answer = (200, b"{}")
    assert sent(service, path, token=tmp_path / "token") == "" and service.seen[1]["Authorization"] == "Bearer abc"
    assert sent(service, path, login=tmp_path / "login") == "" and service.seen[1]["Authorization"].startswith("Basic ")
    with pytest.raises(UsageError, match="exclude each other"):
        WebDestination("web", "http://x", token=tmp_path / "token", login=tmp_path / "login")
    with pytest.raises(UsageError, match="cannot be read"):
        WebPeer(WebDestination("web", "http://x", token=tmp_path / "none"))


def test_what_is_no_dicom_is_not_sent(service, tmp_path):
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    peer = WebPeer(WebDestination("web", "http://127.0.0.1:1"))
    with peer.connected([]) as send:
        assert "no DICOM object" in send(Parcel(Delivery(1, "web", "x", "y"), None), tmp_path / "x.png")
