"""The review server over real HTTP: who may come in, what it serves, and what it never does. Hostile requests first."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import fakes
import pytest
import reviewing

from markerremover.review import connections, server

pytest.importorskip("starlette", reason="the extra `review` is not installed")
pytest.importorskip("uvicorn", reason="the extra `review` is not installed")


class Review:
    """`markerremover review` in a process of its own."""

    started: list[Review] = []

    def __init__(self, audit: Path, *flags: str) -> None:
        command = [sys.executable, "-m", "markerremover", "review", str(audit), "--name", "Dr. R", "--no-open", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.started.append(self)
        first = self.process.stdout.readline()
        assert "http://127.0.0.1:" in first, first + self.process.communicate()[0]
        self.address = re.search(r"http://\S+", first).group()
        self.port = urlsplit(self.address).port
        self.token = self.address.partition("token=")[2]
        self.cookie = ""

    def ask(self, path: str, method: str = "GET", body=None, **headers: str | None):
        """(status, headers, bytes); a header of None is left out."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        sent = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie}
        if method != "GET":
            sent |= {"Origin": f"http://127.0.0.1:{self.port}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        for name, value in sent.items():
            if value:
                connection.putheader(name, value)
        if method != "GET":
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        answer = connection.getresponse()
        found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def enter(self) -> None:
        status, headers, _ = self.ask(f"/enter?token={self.token}")
        assert status == 200
        self.cookie = headers["set-cookie"].partition(";")[0]

    def end(self, how: int = signal.SIGINT) -> str:
        self.process.send_signal(how)
        return self.process.communicate(timeout=300)[0]


@pytest.fixture(scope="module")
def review(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    fakes.put(folder / "secret.png", fakes.png(fakes.radiograph(99)))
    found = Review(reviewing.run(folder))
    yield found
    if found.process.poll() is None:
        found.end()


@pytest.fixture(scope="module")
def inside(review):
    review.enter()
    return review


def test_without_the_cookie_there_is_nothing(review):
    for path in ("/", "/static/review.js", "/api/files", "/api/files/0", "/api/files/0/before.png", "/nothing"):
        assert review.ask(path, Cookie=None)[0] == 403, path
        assert review.ask(path, Cookie=f"{server.cookie_name(review.port)}=guess")[0] == 403, path
    assert review.ask("/api/files/0/decisions", "POST", {"event": "accept"}, Cookie=None)[0] == 403


def test_the_token_works_once_and_a_wrong_one_never(review):
    for wrong in ("", "x", review.token[:-1], review.token + "a", "%ff"):
        assert review.ask(f"/enter?token={wrong}")[0] == 403
    status, headers, page = review.ask(f"/enter?token={review.token}")
    assert status == 200 and b'url=/"' in page and review.token not in page.decode()
    assert "httponly" in headers["set-cookie"].lower() and "samesite=strict" in headers["set-cookie"].lower()
    assert review.token not in headers["set-cookie"]
    review.cookie = headers["set-cookie"].partition(";")[0]
    assert review.ask("/")[0] == 200
    again = review.ask(f"/enter?token={review.token}")
    assert again[0] == 403 and "set-cookie" not in again[1]
    review.enter = lambda: None


STRANGE = {
    "another host": {"Host": "evil.example"}, "host without port": {"Host": "127.0.0.1"},
    "another port": {"Host": "127.0.0.1:1"}, "no host": {"Host": None},
    "host by rebinding": {"Host": "localhost.evil.example:{port}"},
    "another origin": {"Origin": "http://evil.example"}, "null origin": {"Origin": "null"},
    "https origin": {"Origin": "https://127.0.0.1:{port}"}, "origin on another port": {"Origin": "http://127.0.0.1:1"},
    "from another site": {"Sec_Fetch_Site": "cross-site"}, "from the same site but another port": {"Sec_Fetch_Site": "same-site"},
}


@pytest.mark.parametrize("headers", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("path", ["/", "/api/files/0", "/enter?token=x"])
def test_what_does_not_come_from_the_page_is_refused_even_with_the_cookie(inside, path, headers):
    headers = {name: value and value.format(port=inside.port) for name, value in headers.items()}
    assert inside.ask(path, **headers)[0] in (400, 403)
    assert inside.ask("/api/files/0/decisions", "POST", {"event": "accept"}, **headers)[0] in (400, 403)


def test_another_page_may_lead_a_browser_to_the_door_and_no_further(inside):
    led = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert inside.ask("/enter?token=x", **led)[2].startswith(b"This address has been used")
    assert inside.ask("/", **led)[2].startswith(b"Refused") and inside.ask("/enter?token=x",
        **led | {"Sec_Fetch_Dest": "iframe"})[2].startswith(b"Refused")


def test_a_decision_needs_an_origin_and_json(inside):
    seen = json.loads(inside.ask("/api/files/0")[2])["seen"]
    said = {"event": "accept", "seen": seen}
    before = json.loads(inside.ask("/api/files")[2])["progress"]
    assert inside.ask("/api/files/0/decisions", "POST", said, Origin=None)[0] == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
        assert inside.ask("/api/files/0/decisions", "POST", said, Content_Type=kind)[0] == 415
    assert inside.ask("/api/files/0/decisions", "POST", b"{" + b" " * 5000)[0] == 413
    for body in (b"", b"{", b"[]", b"\xff", b'"x"', b"[" * 4000, b'{"event":' * 450, b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}", b"9" * 4090):
        assert inside.ask("/api/files/0/decisions", "POST", body)[0] == 400
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert inside.ask("/api/files/0/decisions", method, said)[0] in (400, 405), method
    assert json.loads(inside.ask("/api/files")[2])["progress"] == before


def test_booleans_and_strange_kinds_are_no_numbers_and_no_words(inside):
    before = json.loads(inside.ask("/api/files/0")[2])
    said = {"event": "draw", "frame": 0, "xyxy": [1, 2, 9, 9], "kind": "marker", "seen": before["seen"]}
    assert inside.ask("/api/files/0/after.png")[0] == 200
    for changed in ({"frame": False}, {"frame": 0.0}, {"frame": None}, {"xyxy": [True, 2, 9, 9]}, {"xyxy": [1, 2, 9, 9, 9]}, {"xyxy": [1, 2, 9]},
                    {"xyxy": {"0": 1}}, {"kind": True}, {"kind": ["marker"]}, {"kind": {}}, {"event": True}, {"event": ["draw"]}, {"event": {}},
                    {"event": "erase", "of": True}, {"event": "erase", "of": [1]}, {"event": "erase", "of": {}}, {"seen": True}, {"seen": {}},
                    {"event": "set", "to": True}, {"event": "set", "to": ["keep"]}):
        status, _, body = inside.ask("/api/files/0/decisions", "POST", said | changed)
        assert status == 409 and "error" in json.loads(body), changed
    for raw in (b"Infinity", b"NaN", b"1e999"):
        body = json.dumps(said).encode().replace(b"[1,", b"[" + raw + b",")
        assert inside.ask("/api/files/0/decisions", "POST", body)[0] == 409
    assert json.loads(inside.ask("/api/files/0")[2]) == before


def closed(connection: socket.socket) -> bytes:
    """What a server says until it closes a connection: only that it does is waited for, on a slow machine for long."""
    connection.settimeout(300)
    said = b""
    with connection:
        try:
            while part := connection.recv(4096):
                said += part
        except ConnectionResetError:
            pass
    return said


HALF = {
    "nothing": "", "half a line": "GET / HT", "half of the headers": "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n",
    "half a second request": "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\nGET / HT",
    "a body that does not come": "POST /api/files/0/decisions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 4000\r\n\r\n{{",
}


def test_a_request_that_does_not_come_to_its_end_is_given_up_with_and_without_the_cookie(inside):
    headers = f"Cookie: {inside.cookie}\r\nOrigin: http://127.0.0.1:{inside.port}\r\nContent-Type: application/json\r\n"
    texts = [text.format(port=inside.port) for text in HALF.values()]
    texts.append(texts[-1].replace("Content-Length", headers + "Content-Length"))
    connections = [socket.create_connection(("127.0.0.1", inside.port)) for _ in texts]
    for connection, text in zip(connections, texts):
        connection.sendall(text.encode())
    said = [closed(connection) for connection in connections]
    assert said[:3] == [b""] * 3 and b" 403 " in said[3] and b" 403 " in said[4] and b" 408 " in said[5]
    assert inside.ask("/")[0] == 200


def test_half_open_connections_keep_nobody_out(inside):
    held = [socket.create_connection(("127.0.0.1", inside.port)) for _ in range(3 * connections.MOST)]
    for connection in held:
        try:
            connection.sendall(b"GET / HT")
        except ConnectionError:
            pass
    assert inside.ask("/")[0] == 200
    table = Path(f"/proc/{inside.process.pid}/fd")
    if table.exists():
        sockets = sum(os.path.lexists(fd) and os.readlink(fd).startswith("socket:") for fd in table.iterdir())
        assert sockets <= connections.MOST + 10
    for connection in held:
        connection.close()


PATHS = [
    "/../secret.png", "/static/../index.html", "/static/..%2f..%2fcli.py",
    "/static/%2e%2e/session.py", "/static/index.html", "/static/", "/static",
    "/api/files/-1", "/api/files/99", "/api/files/0x1", "/api/files/..%2f..%2fsecret",
    "/api/files/0/../../secret.png", "/api/files/0/secret.png",
    "/api/files/0/before", "/api/files/0/..%2fbefore.png", "//evil.example/",
    "/manifest.jsonl", "/review/decisions.jsonl", "/key", "/%00", "/in/a/1.png",
    "/api/files/0/before.png?frame=1", "/api/files/0/before.png?frame=-1",
    "/api/files/0/before.png?frame=99999999999", "/api/files/0/before.png?frame=%D9%A1",
    "/api/files/0/before.png?width=nan", "/api/files/0/before.png?width=1e9",
    "/api/files/0/before.png?centre=x", "/api/files/" + "9" * 5000,
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out_of_the_audit(inside, path):
    status, _, body = inside.ask(path)
    assert status in (400, 404, 405, 409) and not body.startswith(b"\x89PNG") and b"Traceback" not in body


def test_every_answer_forbids_what_a_page_need_not_do(inside):
    for path, cookie in (("/", inside.cookie), ("/api/files/0/after.png", inside.cookie), ("/nothing", inside.cookie), ("/", None)):
        headers = inside.ask(path, Cookie=cookie)[1]
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy and "*" not in policy
        assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff" and "server" not in headers
        assert "access-control-allow-origin" not in headers


def test_the_page_holds_no_address_and_no_inline_script(inside):
    page, script, style = (inside.ask(path)[2].decode() for path in ("/", "/static/review.js", "/static/review.css"))
    assert not re.search(r"(https?:)?//[a-z]", page) and " style=" not in page and not re.search(r"<script>|\son\w+=", page)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", script) and "innerHTML" not in script and "eval(" not in script
    assert "url(" not in style and "@import" not in style


def test_pictures_and_facts_of_a_file(inside):
    listed = json.loads(inside.ask("/api/files")[2])
    number = [f["file"] for f in listed["files"]].index("a/1.png")
    file = json.loads(inside.ask(f"/api/files/{number}")[2])
    assert file["file"] == "a/1.png" and file["boxes"][0]["score"] == 0.9 and listed["reviewer"] == "Dr. R"
    for view in ("before", "after", "difference"):
        status, headers, body = inside.ask(f"/api/files/{number}/{view}.png?equalised=1&width=0.5")
        assert status == 200 and headers["content-type"] == "image/png" and body.startswith(b"\x89PNG")


def test_an_image_whose_original_is_gone_says_so_and_the_server_goes_on(tmp_path):
    audit = reviewing.run(tmp_path, count=2)
    (tmp_path / "in" / "a" / "1.png").unlink()
    review = Review(audit)
    try:
        review.enter()
        number = [f["file"] for f in json.loads(review.ask("/api/files")[2])["files"]].index("a/1.png")
        status, _, body = review.ask(f"/api/files/{number}/before.png")
        assert status == 404 and "original" in json.loads(body)["error"] and str(tmp_path) not in body.decode()
        assert review.ask(f"/api/files/{1 - number}/before.png")[0] == 200
    finally:
        printed = review.end()
    assert "0 of 2 files looked at" in printed and "Traceback" not in printed


def test_strange_names_are_shown_and_corrected_like_any_other(tmp_path):
    import os

    deep = "/".join(["d" * 60] * 4)
    names = ["<img src=x onerror=alert(1)>.png", "line\nbreak.png", os.fsdecode(b"caf\xe9.png"), f"{deep}/x.png"]
    for i, name in enumerate(names):
        fakes.put(tmp_path / "in" / name, fakes.png(reviewing.picture(i, True)))
    audit = reviewing.run(tmp_path, count=0)
    review = Review(audit)
    try:
        review.enter()
        for number in range(len(names)):
            file = json.loads(review.ask(f"/api/files/{number}")[2])
            assert file["file"] in names and review.ask(f"/api/files/{number}/after.png")[0] == 200
            for said in (reviewing.draw(), reviewing.ACCEPT):
                assert review.ask(f"/api/files/{number}/decisions", "POST", said | {"seen": file["seen"]})[0] == 200
    finally:
        review.end()
    done = reviewing.redo(audit)
    assert done["redone"] == done["labels"] == len(names)
    assert not any(fakes.read(tmp_path / "out" / name)[62:74, 72:98].any() for name in names)


def test_after_a_kill_every_decision_that_was_answered_is_there(tmp_path):
    audit = reviewing.run(tmp_path)
    review = Review(audit)
    review.enter()
    for number in range(3):
        said = {"event": "accept", "seen": json.loads(review.ask(f"/api/files/{number}")[2])["seen"]}
        unseen = review.ask(f"/api/files/{number}/decisions", "POST", said)
        assert unseen[0] == 409 and b"not been shown" in unseen[2]
        assert review.ask(f"/api/files/{number}/after.png")[0] == 200
        assert review.ask(f"/api/files/{number}/decisions", "POST", said)[0] == 200
    review.end(signal.SIGKILL)
    assert len(reviewing.events(audit)) == 3
    again = Review(audit, "--sample", "3")
    again.enter()
    assert again.token != review.token and again.ask("/", Cookie=review.cookie)[0] == 403
    progress = json.loads(again.ask("/api/files")[2])["progress"]
    assert progress["of"] == 3 and "of 3 files looked at" in again.end()


def test_wrong_use_is_said_in_a_line(tmp_path, capsys):
    from markerremover.cli import main

    assert main.main(["review", str(tmp_path), "--no-open"]) == 2 and "no audit of a run" in capsys.readouterr().err
    audit = reviewing.run(tmp_path, count=1)
    review = Review(audit)
    try:
        other = reviewing.run(tmp_path / "other", count=1)
        assert main.main(["review", str(other), "--no-open", "--port", str(review.port), "--name", "x"]) == 2
        assert "--port" in capsys.readouterr().err
        assert main.main(["review", str(audit), "--no-open"]) == 2 and "another review" in capsys.readouterr().err
    finally:
        review.end()


def test_it_listens_on_loopback_only(inside):
    table = Path("/proc/net/tcp")
    if not table.exists():
        pytest.skip("no /proc/net/tcp to look into")
    lines = [line.split() for line in table.read_text().splitlines()[1:]]
    listening = {fields[1].split(":")[0] for fields in lines if fields[3] == "0A" and int(fields[1].split(":")[1], 16) == inside.port}
    assert listening == {"0100007F"}


def test_the_address_does_not_wait_for_the_decoders(tmp_path):
    audit = reviewing.run(tmp_path, count=2)
    code = ("import sys; from pathlib import Path; from markerremover.cli import main as cli, review; from markerremover.review import server, session; "
            "opened = session.Session(Path(sys.argv[1]), 'R'); opened.overview(); "
            "loaded = {'pydicom', 'tifffile', 'cv2', 'scipy'} & set(sys.modules); "
            "server.Pictures(opened).warm(); print(sorted(loaded), 'markerremover.formats.images' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code, str(audit)], capture_output=True, text=True)
    assert done.stdout.strip() == "[] True", done.stdout + done.stderr
