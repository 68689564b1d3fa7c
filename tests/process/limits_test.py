"""Clients that are slow, huge, rude or gone, and disks that are full."""

import os
import socket
import subprocess
import time

import pytest

from api import TUS, Api, begin_patch
from programs import FAMILY, PATIENCE, Registry, wait_until
from sockets import read_all


def connect(registry):
    return socket.create_connection(("127.0.0.1", registry.port), timeout=PATIENCE)


def threads_and_files(registry):
    return len(os.listdir(f"/proc/{registry.pid}/fd"))


def test_a_megabyte_of_headers(registry, admin):
    connection = connect(registry)
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
    connection.sendall(b"X-Filler: " + b"a" * 1_000_000 + b"\r\n\r\n")
    answer = read_all(connection)  # not a reset: the rest of what came is read and dropped
    assert answer.startswith(b"HTTP/1.1 431"), answer[:200]
    assert b"application/problem+json" in answer and b'"headers_too_large"' in answer
    assert admin.get("/healthz")


def test_a_hundred_thousand_small_headers(registry, admin):
    connection = connect(registry)
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 100_000 + b"\r\n")
    answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 431"), answer[:200]
    assert admin.get("/healthz")


@pytest.mark.parametrize("request_bytes", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 1000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\n\r\n", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
])
def test_nonsense_is_answered_and_closed(registry, admin, request_bytes):
    connection = connect(registry)
    connection.sendall(request_bytes)
    connection.shutdown(socket.SHUT_WR)
    answer = read_all(connection)
    assert answer == b"" or answer.split(b" ", 2)[1][:1] in (b"4", b"5"), answer[:200]
    assert admin.get("/healthz")


def test_slow_headers_are_cut_off(start):
    registry = start(Registry, "--header-timeout", "1s")
    connection = connect(registry)
    begin = time.monotonic()
    connection.sendall(b"GET /healthz HTTP/1.1\r\n")
    answer = read_all(connection)
    assert time.monotonic() - begin < PATIENCE / 2
    assert answer.startswith(b"HTTP/1.1 408"), answer[:200]


def test_a_stalled_body_is_cut_off_and_its_place_freed(start):
    registry = start(Registry, "--body-timeout", "1s")
    admin = Api(registry.url, registry.token)
    data = b"z" * 100_000
    url = admin.begin_upload({"a": data})["files"][0]["url"]
    connection = begin_patch(admin, url, 0, len(data))
    connection.sendall(data[:10])
    answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 408") and b'"body_timeout"' in answer, answer[:200]

    def free():
        offset = admin.call("HEAD", url, 200, headers={"Tus-Resumable": "1.0.0"}).headers["Upload-Offset"]
        answer = admin.call("PATCH", url, data=data[int(offset):], headers={**TUS, "Upload-Offset": offset})
        return answer.status_code == 204

    wait_until(free, "the stalled writer's place")


def test_clients_that_vanish_leave_nothing(registry, admin):
    admin.get("/healthz")
    before = threads_and_files(registry)
    for i in range(100):
        connection = connect(registry)
        head = f"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin.token}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{".encode()[:200 + i])
        connection.close()
    wait_until(lambda: threads_and_files(registry) <= before + 2, "closed connections")
    assert admin.get("/healthz")


def test_clients_that_stop_reading_a_download(registry, admin):
    admin.push_base("base", FAMILY / "base")
    before = threads_and_files(registry)
    connections = []
    for _ in range(20):
        connection = connect(registry)
        head = f"GET /v1/bases/base/files/model.safetensors HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin.token}\r\n\r\n"
        connection.sendall(head.encode())
        connections.append(connection)
    time.sleep(0.5)
    assert admin.get("/v1/bases/base/files/model.safetensors").content  # others are served meanwhile
    for connection in connections:
        connection.close()
    wait_until(lambda: threads_and_files(registry) <= before + 2, "closed connections")


def test_pipelined_and_keep_alive_requests(registry, admin):
    connection = connect(registry)
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    connection.sendall(one * 3 + last)
    assert read_all(connection).count(b"HTTP/1.1 200") == 4


def test_expect_100_continue(registry, admin):
    url = admin.begin_upload({"a": b"abc"})["files"][0]["url"]
    connection = connect(registry)
    path = "/" + url.split("/", 3)[3]
    connection.sendall((f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin.token}\r\n"
                        f"Content-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n").encode())
    assert connection.recv(1000).startswith(b"HTTP/1.1 100")
    connection.sendall(b"abc")
    assert b"HTTP/1.1 200" in read_all(connection)


# A full disk


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 96 MB; needs root."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(admin, uploads):
    """Uploads 8 MB of noise and notes the upload's id; the first status that is no success, or 201."""
    data = os.urandom(8 << 20)
    made = admin.call("POST", "/v1/uploads", json={"files": [{"path": "noise", "size": len(data)}]})
    if made.status_code != 201:
        return made.status_code
    upload = made.json()
    uploads.append(upload["id"])
    sent = admin.call("PUT", upload["files"][0]["url"], data=data)
    return 201 if sent.status_code == 200 else sent.status_code


def test_a_full_disk_is_507_and_leaves_nothing_half_stored(small_disk, start):
    registry = start(Registry, "--keep-free", "8MB", data=small_disk / "data")
    admin = Api(registry.url, registry.token)
    admin.push_base("base", FAMILY / "base")
    uploads = []
    statuses = [fill(admin, uploads) for _ in range(14)]  # 112 MB
    assert statuses[0] == 201 and statuses[-1] == 507, statuses
    assert set(statuses) == {201, 507}
    assert admin.get("/healthz")
    files = [admin.json(f"/v1/uploads/{upload}")["files"][0] for upload in uploads]
    assert all((file["offset"] == file["size"]) == (file["sha256"] is not None) for file in files)
    for upload in uploads:
        admin.delete(f"/v1/uploads/{upload}")
    ready = admin.publish("kjv/model", FAMILY / "kjv")  # healthy again
    assert len(admin.get("/v1/tenants/kjv/models/model/versions/1/delta").content) == ready["sizes"]["delta"]
