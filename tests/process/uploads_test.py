"""Resumable uploads, with stock clients: curl, tuspy and plain sockets."""

import os
import subprocess
import threading
import urllib.parse

import pytest
from tusclient import client as tus_client

from api import TUS, Api, begin_patch, sha256
from programs import BIN, FAMILY, PATIENCE, Registry, run, wait_until

BLOB = os.urandom(3_000_000)


def tus_head(admin, url):
    return admin.call("HEAD", url, 200, headers={"Tus-Resumable": "1.0.0"}).headers


def staged_bytes(registry):
    """Bytes of upload files on the registry's disk."""
    uploads = registry.data / "uploads"
    return sum(f.stat().st_size for f in uploads.rglob("*") if f.is_file()) if uploads.exists() else 0


def curl(*arguments, token):
    return run("curl", "-sS", "--fail-with-body", "-H", f"Authorization: Bearer {token}", *arguments)


def test_curl_puts_a_whole_checkpoint(registry, admin):
    folder = FAMILY / "base"
    contents = {f.name: f.read_bytes() for f in folder.iterdir()}
    upload = admin.begin_upload(contents)
    assert not upload["complete"]
    for file in upload["files"]:
        done = curl("-T", folder / file["path"], file["url"], token=registry.token)
        assert done.returncode == 0, done.stdout + done.stderr
    upload = admin.json(f"/v1/uploads/{upload['id']}")
    assert upload["complete"]
    assert {f["path"]: f["sha256"] for f in upload["files"]} == {p: sha256(d) for p, d in contents.items()}


def test_curl_resumes_with_patch(registry, admin, tmp_path):
    url = admin.begin_upload({"a.bin": BLOB})["files"][0]["url"]
    for part, (begin, end) in enumerate([(0, 1_000_001), (1_000_001, len(BLOB))]):
        piece = tmp_path / f"part{part}"
        piece.write_bytes(BLOB[begin:end])
        done = curl("-X", "PATCH", "--data-binary", f"@{piece}", "-H", f"Upload-Offset: {begin}",
                    "-H", "Tus-Resumable: 1.0.0", "-H", "Content-Type: application/offset+octet-stream",
                    "-D", tmp_path / "headers", url, token=registry.token)
        assert done.returncode == 0, done.stdout
        headers = (tmp_path / "headers").read_text().lower()
        assert f"upload-offset: {end}" in headers and "tus-resumable: 1.0.0" in headers
    assert tus_head(admin, url)["Upload-Offset"] == str(len(BLOB))


def test_tuspy_resumes_after_an_interruption(registry, admin, tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(BLOB)
    url = admin.begin_upload({"a.bin": BLOB})["files"][0]["url"]
    stock = tus_client.TusClient(url, headers={"Authorization": f"Bearer {registry.token}"})
    first = stock.uploader(str(path), url=url, chunk_size=700_000)
    first.upload(stop_at=1_400_000)
    assert tus_head(admin, url)["Upload-Offset"] == "1400000"
    again = stock.uploader(str(path), url=url, chunk_size=700_000)  # asks for the offset itself
    assert again.offset == 1_400_000
    again.upload()
    file = admin.json(url.rsplit("/files/", 1)[0])["files"][0]
    assert file["offset"] == len(BLOB) and file["sha256"] == sha256(BLOB)


def test_tuspy_goes_on_after_a_restart_of_the_server(start, tmp_path):
    registry = start(Registry)
    admin = Api(registry.url, registry.token)
    path = tmp_path / "a.bin"
    path.write_bytes(BLOB)
    url = admin.begin_upload({"a.bin": BLOB})["files"][0]["url"]
    headers = {"Authorization": f"Bearer {registry.token}"}
    tus_client.TusClient(url, headers=headers).uploader(str(path), url=url, chunk_size=800_000).upload(stop_at=800_000)
    assert registry.stop() == 0
    registry = start(Registry)
    url = registry.url + urllib.parse.urlsplit(url).path
    uploader = tus_client.TusClient(url, headers=headers).uploader(str(path), url=url, chunk_size=800_000)
    assert uploader.offset == 800_000
    uploader.upload()
    assert tus_head(Api(registry.url, registry.token), url)["Upload-Offset"] == str(len(BLOB))


def test_options_says_what_tus_it_speaks(admin):
    headers = admin.call("OPTIONS", "/v1/uploads", 204).headers
    assert headers["Tus-Version"] == "1.0.0" and headers["Tus-Resumable"] == "1.0.0"
    assert "termination" in headers["Tus-Extension"]


def test_refused_pieces_change_nothing(admin):
    url = admin.begin_upload({"a.bin": BLOB})["files"][0]["url"]

    def patch(offset, data, **headers):
        return {"data": data, "headers": {**TUS, "Upload-Offset": str(offset), **headers}}

    admin.problem("PATCH", url, 409, "wrong_offset", **patch(5, b"xyz"))
    admin.problem("PATCH", url, 415, **patch(0, b"xyz", **{"Content-Type": "text/plain"}))
    admin.problem("PATCH", url, 413, **patch(0, BLOB + b"x"))
    for nonsense in ("-1", "x", "1e3", "99999999999999999999"):
        admin.problem("PATCH", url, 400, **patch(nonsense, b"xyz"))
    other_tus = {"Tus-Resumable": "0.2.2"}
    for refused in (admin.call("PATCH", url, 412, **patch(0, b"xyz", **other_tus)),
                    admin.call("HEAD", url, 412, headers=other_tus), admin.call("DELETE", url, 412, headers=other_tus)):
        assert refused.headers["Tus-Version"] == "1.0.0"
    for status, options in ((409, patch(5, b"xyz")), (415, patch(0, b"x", **{"Content-Type": "text/plain"}))):
        assert admin.call("PATCH", url, status, **options).headers["Tus-Resumable"] == "1.0.0"
    assert tus_head(admin, url)["Upload-Offset"] == "0"
    admin.call("PATCH", url, 204, **patch(0, BLOB))
    admin.problem("PATCH", url, 413, **patch(len(BLOB), b"x"))
    assert tus_head(admin, url)["Upload-Offset"] == str(len(BLOB))


def test_a_wrong_digest_is_refused_and_can_be_sent_again(admin):
    url = admin.begin_upload({"a.bin": BLOB})["files"][0]["url"]
    wrong = BLOB[:-1] + bytes([BLOB[-1] ^ 1])
    problem = admin.problem("PUT", url, 422, "digest_mismatch", data=wrong)
    assert "a.bin" in problem["detail"] and sha256(BLOB) in problem["detail"]
    assert tus_head(admin, url)["Upload-Offset"] == "0"
    assert admin.call("PUT", url, 200, data=BLOB).json()["sha256"] == sha256(BLOB)


def test_two_writers_on_one_upload(admin):
    url = admin.begin_upload({"a.bin": BLOB})["files"][0]["url"]
    first = begin_patch(admin, url, 0, len(BLOB))
    first.sendall(BLOB[:100_000])

    second = admin.call("PATCH", url, 409, data=b"zzz", headers={**TUS, "Upload-Offset": "0"})
    assert second.json()["code"] == "upload_busy"
    first.sendall(BLOB[100_000:])
    assert first.recv(4096).startswith(b"HTTP/1.1 204")
    first.close()
    done = admin.json(url.rsplit("/files/", 1)[0])["files"][0]
    assert done["sha256"] == sha256(BLOB)


def test_a_client_that_vanishes_keeps_what_was_acknowledged(admin):
    url = admin.begin_upload({"a.bin": BLOB})["files"][0]["url"]
    admin.call("PATCH", url, 204, data=BLOB[:500_000], headers={**TUS, "Upload-Offset": "0"})
    connection = begin_patch(admin, url, 500_000, len(BLOB) - 500_000)
    connection.sendall(BLOB[500_000:1_200_000])
    connection.close()

    def resumed():
        offset = int(tus_head(admin, url)["Upload-Offset"])
        assert 500_000 <= offset <= 1_200_000
        answer = admin.call("PATCH", url, data=BLOB[offset:], headers={**TUS, "Upload-Offset": str(offset)})
        return answer.status_code == 204

    wait_until(resumed, "the vanished writer's place")
    assert admin.json(url.rsplit("/files/", 1)[0])["files"][0]["sha256"] == sha256(BLOB)


def test_given_up_uploads_free_their_disk(registry, admin):
    upload = admin.begin_upload({"a.bin": BLOB})
    admin.call("PUT", upload["files"][0]["url"], 200, data=BLOB)
    assert staged_bytes(registry) >= len(BLOB)
    admin.delete(f"/v1/uploads/{upload['id']}")
    admin.problem("GET", f"/v1/uploads/{upload['id']}", 404, "unknown_upload")
    wait_until(lambda: staged_bytes(registry) == 0, "the freed disk")


def test_abandoned_uploads_expire(start):
    registry = start(Registry, "--upload-expiry", "1s")
    admin = Api(registry.url, registry.token)
    upload = admin.begin_upload({"a.bin": BLOB})
    url = upload["files"][0]["url"]
    answer = admin.call("PATCH", url, (204, 404), data=BLOB[:1_000_000], headers={**TUS, "Upload-Offset": "0"})
    if answer.status_code == 204:
        assert answer.headers["Upload-Expires"]
    wait_until(lambda: staged_bytes(registry) == 0, "the expired upload's disk")
    admin.problem("GET", f"/v1/uploads/{upload['id']}", 404, "unknown_upload")
    assert admin.get("/healthz")


BAD_PATHS = ["../x", "a/../../x", "/etc/passwd", "", ".", "a//b", "a/./b", "a\\b", "a\x00b", "x" * 256]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_paths_that_leave_the_checkpoint_are_refused(admin, registry, path):
    body = {"files": [{"path": path, "size": 1}]}
    admin.problem("POST", "/v1/uploads", (400, 422)[0], json=body)
    assert not list(registry.folder.parent.glob("x"))


def test_declarations_that_make_no_sense(admin):
    for files in (None, [], "x", [{"path": "a"}], [{"path": "a", "size": -1}], [{"path": "a", "size": 1.5}],
                  [{"path": "a", "size": "1"}], [{"path": "a", "size": 2**64}],
                  [{"path": "a", "size": 1, "sha256": "md5:00"}],
                  [{"path": "a", "size": 1}, {"path": "a", "size": 1}],
                  [{"path": "a", "size": 1}, {"path": "a/b", "size": 1}]):
        answer = admin.call("POST", "/v1/uploads", (400, 413, 422), json={"files": files})
        assert answer.headers["Content-Type"].startswith("application/problem+json"), files
    admin.problem("POST", "/v1/uploads", 400, data=b"{", headers={"Content-Type": "application/json"})


def test_a_big_upload_never_sits_in_memory(registry, admin, tmp_path):
    big = tmp_path / "big.bin"
    size = 512 << 20
    with open(big, "wb") as file:
        file.truncate(size)
    upload = admin.post("/v1/uploads", {"files": [{"path": "big.bin", "size": size}]}, 201).json()

    peak = 0
    done = threading.Event()

    def watch():
        nonlocal peak
        while not done.wait(0.05):
            peak = max(peak, anonymous_memory(registry.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = curl("-T", big, upload["files"][0]["url"], token=registry.token)
    finally:
        done.set()
        watcher.join()
    assert result.returncode == 0, result.stdout
    assert 0 < peak < 256 << 20


def anonymous_memory(pid):
    """RssAnon of a process, in bytes."""
    for line in open(f"/proc/{pid}/status", encoding="ascii"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def test_two_files_with_digests_by_the_command_line(registry, tmp_path):
    """`signum push-base` uses the same interface; a second push of the name is a conflict."""
    done = run(BIN / "signum", "push-base", "base", FAMILY / "base", "--json",
               env={"SIGNUM_REGISTRY": registry.url, "SIGNUM_TOKEN": registry.token})
    assert done.returncode == 0, done.stderr
    again = subprocess.run([BIN / "signum", "--registry", registry.url, "--token", registry.token,
                            "push-base", "base", FAMILY / "base"], capture_output=True, timeout=PATIENCE)
    assert again.returncode == 4, again.stderr
