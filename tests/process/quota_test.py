"""Quotas, rates and read-only mode, with the real programs."""

import concurrent.futures
import json
import time

import pytest

from api import Api, begin_patch
from programs import FAMILY, Registry, run, signum, wait_until


def publisher(registry, admin, tenant="acme"):
    return Api(registry.url, admin.create_token("publisher", tenant))


def declare(api, size):
    return api.call("POST", "/v1/uploads", json={"files": [{"path": "a", "size": size}]})


def tenant(registry, *arguments, expect=0):
    done = signum("tenant", *arguments, "--json", registry=registry)
    assert done.returncode == expect, done.stderr
    return json.loads(done.stdout)


def test_a_quota_by_command_line_survives_kill_9(start, registry, admin):
    shown = tenant(registry, "set", "acme", "--max-bytes", "1KiB", "--max-versions", "5", "--requests", "200", "--burst", "300")
    assert shown["quota"] == {"max_bytes": 1024, "max_versions": 5, "max_jobs": None, "requests_per_second": 200, "burst": 300}
    tenant(registry, "set", "acme", "--max-versions", "default", "--max-jobs", "2")
    admin.push_base("base", FAMILY / "base")
    api = publisher(registry, admin)
    assert declare(api, 1000).status_code == 201
    registry.kill()
    again = start(Registry, "--quota-versions", "9")
    shown = tenant(again, "show", "acme")
    assert shown["quota"] == {"max_bytes": 1024, "max_versions": None, "max_jobs": 2, "requests_per_second": 200, "burst": 300}
    assert shown["in_force"]["max_versions"] == 9
    assert shown["usage"] == {"bytes": 1000, "versions": 0, "jobs": 0}
    table = signum("tenant", "show", "acme", registry=again).stdout
    assert "1000 (1000 B)" in table and "server" in table, table
    api = Api(again.url, api.token)
    problem = api.problem("POST", "/v1/uploads", 507, "quota_exceeded", json={"files": [{"path": "a", "size": 25}]})
    assert "1000 of 1024 bytes" in problem["detail"]
    done = signum("push", "acme/model", FAMILY / "kjv", "--base", "base", registry=again, token=api.token)
    assert done.returncode == 1 and "quota_exceeded" in done.stderr
    tenant(again, "set", "acme", "--max-bytes", "default")
    assert declare(api, 25).status_code == 201


def test_a_policy_by_command_line(registry, admin):
    shown = tenant(registry, "set", "acme", "--keep-last", "3", "--max-age", "30d", "--keep-exact", "no", "--max-jobs", "7")
    assert shown["policy"] == {"keep_last": 3, "max_age": 30 * 86400, "keep_aliases": True, "keep_exact": False}
    assert shown["quota"]["max_jobs"] == 7
    shown = tenant(registry, "set", "acme", "--max-age", "none", "--keep-aliases", "no")
    assert shown["policy"] == {"keep_last": 3, "max_age": None, "keep_aliases": False, "keep_exact": False}
    assert shown["quota"]["max_jobs"] == 7
    tenant(registry, "set", "acme", "--max-age", "36h")
    table = signum("tenant", "show", "acme", registry=registry).stdout
    assert "36 h" in table and "keep-exact    false" in table, table
    tenant(registry, "set", "acme", "--keep-last", "0", expect=4)  # what a rule may be, the server knows


def test_parallel_declarations_cannot_pass_it_together(registry, admin):
    tenant(registry, "set", "acme", "--max-bytes", "1000")
    token = admin.create_token("publisher", "acme")
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: declare(Api(registry.url, token), 90).status_code, range(64)))
    assert statuses.count(201) == 11 and statuses.count(507) == 53


def test_jobs_and_versions_of_a_real_publisher(start):
    registry = start(Registry, "--quota-versions", "2", "--quota-jobs", "1")
    admin = Api(registry.url, registry.token)
    admin.push_base("base", FAMILY / "base")
    api = publisher(registry, admin)
    path = "/v1/tenants/acme/models/model/versions"
    bodies = [{"upload": api.upload_folder(FAMILY / name), "base": "base", "method": "none"} for name in ("kjv", "pysrc", "sqlite")]
    admin.put("/v1/admin/tenants/acme", {"quota": {"max_jobs": 0}})
    refused = api.call("POST", path, 429, json=bodies[0])
    assert refused.json()["code"] == "too_many_jobs" and int(refused.headers["Retry-After"]) >= 1
    admin.put("/v1/admin/tenants/acme", {"quota": {}})
    for body in bodies[:2]:
        wait_until(lambda: api.call("POST", path, (202, 429), json=body).status_code == 202, "a place for a job")
    wait_until(lambda: all(v["state"] == "ready" for v in api.json(path)["versions"]), "both versions")
    api.problem("POST", path, 507, "quota_exceeded", json=bodies[2])
    usage = admin.json("/v1/admin/tenants/acme")["usage"]
    sizes = [v["sizes"] for v in api.json(path)["versions"]]
    staged = sum(f.stat().st_size for f in (FAMILY / "sqlite").iterdir() if f.is_file())
    assert usage == {"bytes": sum(s["upload"] + s["delta"] for s in sizes) + staged, "versions": 2, "jobs": 0}


def test_a_rate_is_kept_and_its_retry_after_is_right(registry, admin):
    tenant(registry, "set", "acme", "--requests", "5", "--burst", "10")
    api = publisher(registry, admin)
    begin = time.monotonic()
    passed = refused = 0
    while time.monotonic() - begin < 3:
        answer = api.call("GET", "/v1/tenants/acme/live", (200, 429))
        passed += answer.status_code == 200
        refused += answer.status_code == 429
        assert answer.status_code == 200 or answer.headers["Retry-After"] == "1"
    assert refused and passed <= 10 + 5 * (time.monotonic() - begin) + 1, (passed, refused)
    time.sleep(1)
    assert api.get("/v1/tenants/acme/live")
    for _ in range(30):
        admin.get("/v1/tenants/acme/live")
    counted = f'signum_refusals_total{{reason="rate_limited"}} {refused}\n'
    assert counted in admin.get("/metrics").text


def test_the_flag_makes_it_read_only_until_an_admin_says_otherwise(start, published):
    published.stop()
    registry = start(Registry, "--read-only", folder=published.folder)
    admin = Api(registry.url, registry.token)
    assert admin.json("/readyz") == {"status": "read_only"}
    assert signum("mode", registry=registry).stdout == "read-only\n"
    answer = admin.call("POST", "/v1/uploads", 503, json={"files": [{"path": "a", "size": 1}]})
    assert answer.json()["code"] == "read_only" and answer.headers["Retry-After"] == "30"
    assert signum("pull", "kjv/model", "-o", registry.folder / "pulled", registry=registry).returncode == 0
    assert signum("mode", "read-write", registry=registry).stdout == "read-write\n"
    upload = admin.begin_upload({"a": b"0123456789"})["files"][0]["url"]
    connection = begin_patch(admin, upload, 0, 10)
    assert signum("mode", "read-only", registry=registry).returncode == 0
    connection.sendall(b"0123456789")  # what was let in before goes to its end
    assert connection.recv(4096).startswith(b"HTTP/1.1 204")
    admin.problem("DELETE", "/v1/tenants/kjv/models/model/versions/1", 503, "read_only")


@pytest.mark.parametrize("arguments", [["set", "acme", "--max-bytes", "-5"], ["set", "acme", "--requests", "0"],
                                       ["set", "acme", "--max-jobs", "two"], ["set", "acme", "--burst", "18446744073709551616"],
                                       ["set", "acme", "--keep-last", "-1"], ["set", "acme", "--max-age", "30 moons"], ["set", "acme", "--max-age=-5s"],
                                       ["set", "acme", "--keep-exact", "perhaps"], ["set", "acme"]])
def test_limits_that_are_none_are_usage(registry, arguments):
    assert signum("tenant", *arguments, registry=registry).returncode == 2
    assert set(tenant(registry, "show", "acme")["quota"].values()) == {None}


def test_curl_is_told_before_it_sends(registry, admin, tmp_path):
    """An upload over the quota is refused at its declaration: there is no URL that would take its bytes."""
    tenant(registry, "set", "acme", "--max-bytes", "1000")
    api = publisher(registry, admin)
    done = run("curl", "-s", "-i", "-H", f"Authorization: Bearer {api.token}", f"{registry.url}/v1/uploads",
               "--json", '{"files": [{"path": "big", "size": 1000000000}]}')
    assert done.stdout.startswith("HTTP/1.1 507") and '"quota_exceeded"' in done.stdout
    assert not any((registry.data / "uploads").iterdir())
