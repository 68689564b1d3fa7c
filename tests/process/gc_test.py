"""Garbage collection and retention policies of a running registry."""

import contextlib
import json
import random
import stat
import threading
import time

import pytest

from api import Api
from programs import FAMILY, Registry, signum, wait_until

QUICK = ("--gc-grace", "1s", "--gc-every", "off")


def disk(folder):
    """Bytes that a folder takes, as du counts; a file that goes meanwhile takes none."""
    taken = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            status = file.lstat()
            taken += 0 if stat.S_ISDIR(status.st_mode) else status.st_blocks * 512
    return taken


def collect(admin, **request):
    """A collection to its end; its result."""
    job = admin.post("/v1/admin/gc", request, 202).json()["job"]
    return finished(admin, job)["result"]


def finished(admin, job):
    resource = admin.wait_job(job)
    assert resource["state"] == "done", resource
    return resource


def collect_all(admin):
    """Two runs and the grace between them; bytes that went."""
    first = collect(admin)["removed"]["bytes"]
    time.sleep(1.1)
    return first + collect(admin)["removed"]["bytes"]


@pytest.fixture
def quick(start):
    return start(Registry, *QUICK)


@pytest.fixture
def quick_admin(quick):
    return Api(quick.url, quick.token)


def test_deleted_space_returns_to_the_disk(quick, quick_admin):
    admin = quick_admin
    admin.push_base("base", FAMILY / "base")
    admin.publish("acme/chat", FAMILY / "kjv")
    digest = admin.publish("acme/chat", FAMILY / "pysrc")["digest"]
    before = disk(quick.data)
    admin.delete("/v1/tenants/acme/models/chat/versions/2")
    told = collect(admin, dry_run=True)
    assert told["dry_run"] and told["removed"]["objects"] == 0
    assert told["waiting"]["bytes"] > 3_500_000, told["waiting"]
    assert any(item["object"] == digest and not item["goes"] and item["why"] for item in told["objects"])
    assert collect(admin)["removed"]["objects"] == 0, "nothing goes before its grace is over"
    time.sleep(1.1)
    told = collect(admin, dry_run=True)
    gone = collect(admin)
    assert gone["removed"] == told["removed"]
    assert disk(quick.data) < before - 3_000_000
    assert "signum_collected_bytes_total" in admin.get("/metrics").text
    # What is left is whole.
    for fidelity in ("exact", "onebit"):
        path = f"/v1/tenants/acme/models/chat/versions/1/checkpoint/model.safetensors?fidelity={fidelity}"
        answer = admin.get(path)
        assert len(answer.content) == int(answer.headers["Content-Length"])


def test_runs_by_itself(start):
    registry = start(Registry, "--gc-grace", "1s", "--gc-every", "1s")
    admin = Api(registry.url, registry.token)
    admin.push_base("base", FAMILY / "base")
    admin.publish("acme/chat", FAMILY / "kjv")
    admin.publish("acme/chat", FAMILY / "pysrc")
    before = disk(registry.data)
    admin.delete("/v1/tenants/acme/models/chat/versions/2")
    wait_until(lambda: disk(registry.data) < before - 3_000_000, "space to return")


def test_a_policy_lets_old_versions_go(quick, quick_admin):
    admin = quick_admin
    admin.push_base("base", FAMILY / "base")
    for name in ("kjv", "pysrc", "sqlite", "kjv"):
        admin.publish("acme/chat", FAMILY / name)
    settings = admin.json("/v1/admin/tenants/acme")
    assert settings["policy"] == {"keep_last": None, "max_age": None, "keep_aliases": True, "keep_exact": True}
    assert collect(admin, dry_run=True)["versions"] == []
    admin.put("/v1/admin/tenants/acme", {"policy": {"keep_last": 1, "keep_aliases": False}})
    told = collect(admin, dry_run=True)
    assert [item["version"] for item in told["versions"]] == ["acme/chat@2", "acme/chat@3"]
    assert any("out of policy" in item["why"] for item in told["objects"])
    assert len(admin.json("/v1/tenants/acme/models/chat/versions")["versions"]) == 4
    gone = collect(admin)
    assert gone["versions"] == told["versions"]
    # 1 is live, 4 is the last; both serve.
    left = [v["version"] for v in admin.json("/v1/tenants/acme/models/chat/versions")["versions"]]
    assert left == [1, 4]
    log = admin.json("/v1/audit/log?limit=1000")["entries"]
    expired = [(entry["who"], entry["target"]) for entry in log if entry["action"] == "version.expire"]
    assert expired == [("gc", "acme/chat@2"), ("gc", "acme/chat@3")]
    assert any(entry["action"] == "tenant.policy" for entry in log)
    assert collect(admin)["versions"] == []


def test_a_policy_drops_exact_uploads(quick, quick_admin):
    admin = quick_admin
    admin.push_base("base", FAMILY / "base")
    version = admin.publish("acme/chat", FAMILY / "kjv")
    admin.put("/v1/admin/tenants/acme", {"policy": {"keep_exact": False}})
    before = disk(quick.data)
    assert collect(admin)["exact_dropped"] == ["acme/chat@1"]
    collect_all(admin)
    assert disk(quick.data) < before - 2_500_000
    path = "/v1/tenants/acme/models/chat/versions/1"
    admin.problem("GET", f"{path}/checkpoint/model.safetensors?fidelity=exact", 404, "exact_not_kept")
    assert admin.get(f"{path}/checkpoint/model.safetensors").content
    assert admin.json(path)["digest"] == version["digest"]
    assert admin.json(path)["sizes"]["exact"] == 0


@pytest.mark.parametrize("policy", [{"keep_last": 0}, {"keep_last": -1}, {"max_age": "30d"}, {"max_age": 0},
                                    {"keep_exact": 1}, {"keep": 3}, 7])
def test_a_policy_that_is_none_is_refused(admin, policy):
    admin.problem("PUT", "/v1/admin/tenants/acme", 422, json={"policy": policy})
    assert admin.json("/v1/admin/tenants/acme")["policy"]["keep_last"] is None


def test_settings_are_compare_and_set(admin):
    first = admin.get("/v1/admin/tenants/acme").headers["ETag"]
    admin.put("/v1/admin/tenants/acme", {"policy": {"keep_last": 3}}, headers={"If-Match": first})
    admin.problem("PUT", "/v1/admin/tenants/acme", 412, json={"policy": {"keep_last": 4}}, headers={"If-Match": first})
    assert admin.json("/v1/admin/tenants/acme")["policy"]["keep_last"] == 3


def test_kill_9_anywhere_in_a_collection(start, tmp_path):
    """Rounds of: make garbage, collect, kill; what is live stays whole, and in the end nothing is left over."""
    chance = random.Random(20)
    registry = start(Registry, *QUICK)
    admin = Api(registry.url, registry.token)
    admin.push_base("base", FAMILY / "base")
    admin.publish("acme/chat", FAMILY / "kjv")
    collect_all(admin)
    clean = disk(registry.data)
    for _ in range(4):
        admin.publish("acme/chat", FAMILY / "pysrc")
        number = admin.json("/v1/tenants/acme/models/chat/versions")["versions"][-1]["version"]
        admin.delete(f"/v1/tenants/acme/models/chat/versions/{number}")
        collect(admin)
        time.sleep(1.1)
        admin.post("/v1/admin/gc", {}, 202)
        time.sleep(chance.uniform(0, 0.15))
        registry.kill()
        registry = start(Registry, *QUICK)
        admin = Api(registry.url, registry.token)
        wait_until(lambda: all(job["state"] == "done" for job in admin.json("/v1/jobs?limit=1000")["jobs"]),
                   "the collection to be done again")
        answer = admin.get("/v1/tenants/acme/models/chat/versions/1/checkpoint/model.safetensors?fidelity=exact")
        assert answer.content == (FAMILY / "kjv" / "model.safetensors").read_bytes()
    collect_all(admin)
    assert disk(registry.data) < clean + 1_500_000


def test_collections_beside_publishers(start):
    """No grace to speak of, a collection every moment: what is published meanwhile is whole."""
    registry = start(Registry, "--gc-grace", "1s", "--gc-every", "off", "--workers", "2")
    admin = Api(registry.url, registry.token)
    admin.push_base("base", FAMILY / "base")
    done = threading.Event()
    failures = []

    def keep_collecting():
        own = Api(registry.url, registry.token)
        try:
            while not done.is_set():
                collect(own)
        except BaseException as failure:  # told by the test
            failures.append(failure)

    collecting = threading.Thread(target=keep_collecting)
    collecting.start()
    try:
        for round_number in range(3):
            for name in ("kjv", "pysrc", "sqlite"):
                admin.publish(f"acme/{name}", FAMILY / name)
                path = f"/v1/tenants/acme/models/{name}/versions/{round_number + 1}"
                exact = admin.get(f"{path}/checkpoint/model.safetensors?fidelity=exact")
                assert exact.content == (FAMILY / name / "model.safetensors").read_bytes()
                if round_number > 0:  # made anew from what the collector is after
                    admin.promote(f"acme/{name}", round_number + 1)
                    admin.delete(f"/v1/tenants/acme/models/{name}/versions/{round_number}")
    finally:
        done.set()
        collecting.join()
    assert not failures, failures


def test_the_command_line(quick, quick_admin):
    quick_admin.push_base("base", FAMILY / "base")
    quick_admin.publish("acme/chat", FAMILY / "kjv")
    quick_admin.publish("acme/chat", FAMILY / "pysrc")
    assert signum("rm", "acme/chat@latest", registry=quick).stdout == "deleted acme/chat@2\n"
    told = signum("gc", "--dry-run", registry=quick)
    assert told.returncode == 0 and "no base and no version names it" in told.stdout, told.stderr
    assert signum("gc", registry=quick).returncode == 0
    time.sleep(1.1)
    done = signum("gc", registry=quick)
    assert done.returncode == 0 and "objects removed" in done.stdout, done.stderr
    assert "gc" in signum("jobs", registry=quick).stdout
    publisher = quick_admin.create_token("publisher", "acme")
    assert signum("gc", registry=quick, token=publisher).returncode == 4


def test_versions_are_removed_by_command_line(quick, quick_admin):
    quick_admin.push_base("base", FAMILY / "base")
    for fine_tune in ("kjv", "pysrc", "sqlite"):
        quick_admin.publish("acme/chat", FAMILY / fine_tune)

    def rm(*versions, expect=0, **options):
        done = signum("rm", *versions, "--json", registry=quick, **options)
        assert done.returncode == expect, done.stderr
        return json.loads(done.stdout)

    assert signum("promote", "acme/chat", "2", registry=quick).returncode == 0
    assert rm("acme/chat@live", expect=4)["error"]["code"] == "version_in_use"
    assert rm("acme/chat", expect=2)["error"]["code"] == "bad_name"
    assert rm("acme/chat@1", "acme/chat@9", expect=3)["error"]  # all are looked at before the first goes
    assert rm("acme/chat@1", expect=4, token=quick_admin.create_token("publisher", "other"))
    assert rm("acme/chat@1", "acme/chat@3")["deleted"] == ["acme/chat@1", "acme/chat@3"]
    versions = quick_admin.json("/v1/tenants/acme/models/chat/versions")["versions"]
    assert [version["version"] for version in versions] == [2]
