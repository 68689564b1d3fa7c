"""Backups of a running registry, their restoring, and the audit log verified offline."""

import json
import shutil
import threading

import pytest

from api import Api
from gc_test import disk, finished
from programs import BIN, FAMILY, Registry, run, signum

VERSION = "/v1/tenants/acme/models/chat/versions/1"


def back_up(admin, **request):
    return finished(admin, admin.post("/v1/admin/backup", request, 202).json()["job"])["result"]


@pytest.fixture
def registry(start, tmp_path):
    return start(Registry, "--backup-dir", tmp_path / "backups")


def test_incremental_listed_and_restored(registry, admin, start, tmp_path):
    admin.push_base("base", FAMILY / "base")
    admin.publish("acme/chat", FAMILY / "kjv")
    want = admin.get(VERSION + "/delta").content
    first = back_up(admin)
    assert first["id"] == 1 and first["added_bytes"] == first["bytes"] > 10_000_000
    again = back_up(admin)
    assert again["id"] == 2 and again["added_bytes"] < 500_000 < again["bytes"]
    before = disk(tmp_path / "backups")
    admin.publish("acme/other", FAMILY / "pysrc")
    rotated = admin.post("/v1/admin/keys/rotate", {}, 201).json()
    third = back_up(admin)
    grown = disk(tmp_path / "backups") - before
    assert 3_000_000 < third["added_bytes"] < 6_000_000
    assert third["added_bytes"] <= grown < third["added_bytes"] + 300_000
    listed = admin.json("/v1/admin/backups")["backups"]
    assert [backup["id"] for backup in listed] == [1, 2, 3]
    assert listed[2]["bytes"] == third["bytes"]

    # Into a new folder, by the command line, and to an earlier moment.
    done = signum("restore", tmp_path / "backups", tmp_path / "restored")
    assert done.returncode == 0 and "restored backup 3" in done.stdout, done.stderr
    earlier = signum("restore", tmp_path / "backups", tmp_path / "earlier", "--at", "2")
    assert earlier.returncode == 0, earlier.stderr

    registry.stop()
    restored = start(Registry, data=tmp_path / "restored", folder=tmp_path / "second")
    assert restored.token == registry.token, "tokens are in the backup"
    api = Api(restored.url, restored.token)
    assert api.get(VERSION + "/delta").content == want
    exact = api.get(VERSION + "/checkpoint/model.safetensors?fidelity=exact").content
    assert exact == (FAMILY / "kjv/model.safetensors").read_bytes()
    assert api.json("/v1/tenants/acme/models/other/versions/1")["state"] == "ready"
    keys = api.json("/v1/keys")["keys"]
    signed_by = json.loads(api.get(VERSION + "/manifest").text)["signature"]["key"]
    assert [key["id"] for key in keys] == [rotated["id"], signed_by]
    api.publish("acme/chat", FAMILY / "sqlite")  # it goes on
    old = start(Registry, data=tmp_path / "earlier", folder=tmp_path / "third")
    Api(old.url, old.token).problem("GET", "/v1/tenants/acme/models/other/versions/1", 404)


def test_while_publishers_publish(registry, admin, start, tmp_path):
    admin.push_base("base", FAMILY / "base")
    failures = []

    def publish():
        own = Api(registry.url, registry.token)
        try:
            for name in ("kjv", "pysrc", "sqlite"):
                own.publish("acme/chat", FAMILY / name)
        except BaseException as failure:  # told by the test
            failures.append(failure)

    publishing = threading.Thread(target=publish)
    publishing.start()
    taken = []
    while publishing.is_alive():
        taken.append(back_up(admin)["id"])
    publishing.join()
    assert not failures and len(taken) >= 2
    for number in (taken[0], taken[-1]):
        done = signum("restore", tmp_path / "backups", tmp_path / f"at{number}", "--at", str(number))
        assert done.returncode == 0, done.stderr
    # A version that was being made has no upload any more: it fails, and says why.
    restored = start(Registry, data=tmp_path / f"at{taken[0]}", folder=tmp_path / "second")
    api = Api(restored.url, restored.token)
    for job in api.json("/v1/jobs?limit=1000")["jobs"]:
        if job["kind"] == "compress" and job["state"] not in ("done",):
            ended = api.wait_job(job["id"])
            assert ended["state"] in ("done", "failed"), ended
            if ended["state"] == "failed":
                assert ended["error"]["code"] == "unknown_upload", ended


def test_old_ones_go(registry, admin):
    admin.push_base("base", FAMILY / "base")
    for _ in range(3):
        back_up(admin)
    back_up(admin, keep=2)
    assert [b["id"] for b in admin.json("/v1/admin/backups")["backups"]] == [3, 4]


def test_where_backups_may_lie(registry, admin, start, tmp_path):
    assert back_up(admin, dir="nightly")["dir"] == str(tmp_path / "backups/nightly")
    assert back_up(admin, dir=str(tmp_path / "backups/weekly"))["id"] == 1
    assert [b["id"] for b in admin.json("/v1/admin/backups?dir=nightly")["backups"]] == [1]
    for outside in ("/tmp", "../elsewhere", str(tmp_path / "backups-too"), "a/../../b"):
        admin.problem("POST", "/v1/admin/backup", 403, "dir_not_allowed", json={"dir": outside})
    (tmp_path / "backups/link").symlink_to(tmp_path)
    admin.problem("POST", "/v1/admin/backup", 403, "dir_not_allowed", json={"dir": "link/x"})
    without = start(Registry, folder=tmp_path / "without")
    Api(without.url, without.token).problem("POST", "/v1/admin/backup", 409, "backups_disabled", json={})


def test_what_is_not_restored(registry, admin, tmp_path):
    admin.push_base("base", FAMILY / "base")
    done = signum("backup", tmp_path / "backups", registry=registry)
    assert done.returncode == 0 and "backup 1" in done.stdout, done.stderr
    refused = signum("restore", tmp_path / "backups", registry.data)
    assert refused.returncode == 1 and "not empty" in refused.stderr
    assert run(BIN / "signumd", "--data", tmp_path / "x", "--at", "1").returncode == 2
    damaged = tmp_path / "damaged"
    shutil.copytree(tmp_path / "backups", damaged)
    table = max((damaged / "files").glob("*.sst"), key=lambda f: f.stat().st_size)
    data = bytearray(table.read_bytes())
    data[len(data) // 2] ^= 1
    table.write_bytes(data)
    refused = signum("restore", damaged, tmp_path / "restored")
    assert refused.returncode == 5 and table.name in refused.stderr, refused.stderr
    assert not (tmp_path / "restored").exists()


def test_a_backup_is_nobody_elses(registry, admin, tmp_path):
    admin.push_base("base", FAMILY / "base")
    back_up(admin)
    assert (tmp_path / "backups").stat().st_mode & 0o777 == 0o700
    for file in (tmp_path / "backups/files").iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


def test_the_log_is_verified_offline(registry, admin, tmp_path):
    for number in range(5):
        admin.create_token("publisher", f"t{number}")
    exported = signum("log", "--json", registry=registry)
    log = tmp_path / "log.json"
    log.write_text(exported.stdout)
    good = run(BIN / "signum", "log", "verify", log)
    last = json.loads(exported.stdout)["entries"][-1]
    assert good.returncode == 0 and last["hash"] in good.stdout, good.stderr
    assert run(BIN / "signum", "log", "verify", "-", input=exported.stdout).returncode == 0
    document = json.loads(exported.stdout)
    document["entries"][2]["who"] = "nobody"
    log.write_text(json.dumps(document))
    bad = run(BIN / "signum", "log", "verify", log)
    assert bad.returncode == 5 and "entry 3 was changed" in bad.stderr, bad.stderr
    del document["entries"][2]
    log.write_text(json.dumps(document))
    bad = run(BIN / "signum", "log", "verify", log)
    assert bad.returncode == 5 and "entry 3 is missing" in bad.stderr, bad.stderr
    assert run(BIN / "signum", "log", "verify", tmp_path / "none").returncode == 3
    log.write_text("no log")
    assert run(BIN / "signum", "log", "verify", log).returncode == 5
