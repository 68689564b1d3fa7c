"""A change reaches many nodes: what that costs the registry, and what a cache before it takes off."""

import asyncio
import re
import resource

import pytest
import requests

from api import Api
from fleet import Fleet
from nginx import NGINX, Cache
from programs import FAMILY, signum, wait_until

MODEL = "kjv/model"
# Requests for one change: watch, loading, manifest, delta (twice where it is resumed), applied, and one to spare.
PER_NODE = 7


@pytest.fixture(scope="module", autouse=True)
def many_files():
    """A thousand connections here, and as many in each program that is started meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def published(registry, admin):
    """Version 1 of kjv is live, version 2 is ready."""
    admin.push_base("base", FAMILY / "base")
    admin.publish(MODEL, FAMILY / "kjv")
    admin.publish(MODEL, FAMILY / "sqlite")
    return registry


@pytest.fixture
def cache(published, start):
    if not NGINX:
        pytest.skip("nginx is not installed (deploy/packages.txt)")
    return start(Cache, published, folder=published.folder / "nginx")


class Origin:
    """What the registry's /metrics count."""

    def __init__(self, admin):
        self.admin = admin

    def read(self):
        text = self.admin.get("/metrics").text
        sent = float(re.search(r'signum_http_bytes_total\{direction="out"\} (\S+)', text)[1])
        rows = re.findall(r'^signum_http_requests_total\{(.*)\} (\S+)$', text, re.MULTILINE)
        requests_by = {}
        for labels, count in rows:
            key = tuple(re.search(rf'{name}="([^"]*)"', labels)[1] for name in ("method", "route"))
            requests_by[key] = requests_by.get(key, 0) + float(count)
        return sent, requests_by

    def watchers(self):
        return float(re.search(r"^signum_watchers (\S+)", self.admin.get("/metrics").text, re.MULTILINE)[1])


def roll_out(admin, url, token, size, window):
    """Promotes version 2 under a waiting fleet: the fleet, and bytes and requests at the registry meanwhile."""
    origin, seen = Origin(admin), {}
    fleet = Fleet(url, token, "kjv", size, window)

    def before():
        wait_until(lambda: origin.watchers() == size, f"{size} waiting nodes")
        seen["before"] = origin.read()

    asyncio.run(fleet.roll_out(before, lambda: admin.promote(MODEL, 2)))
    (sent_before, before), (sent, after) = seen["before"], origin.read()
    grown = {key: count - before.get(key, 0) for key, count in after.items() if count > before.get(key, 0)}
    for key in (("GET", "/metrics"), ("PUT", "/v1/tenants/{tenant}/models/{model}/aliases/{alias}")):
        grown.pop(key, None)
    return fleet, sent - sent_before, grown


def versions(admin):
    return [admin.json(f"/v1/tenants/kjv/models/model/versions/{v}") for v in (1, 2)]


def check_rolled_out(fleet, admin, size):
    """Every node has verified both versions, asked little, and the registry knows it."""
    digests = [version["digest"] for version in versions(admin)]
    assert all(node.digests == digests for node in fleet.nodes)
    assert max(fleet.per_rollout) <= PER_NODE, max(fleet.per_rollout)
    nodes = [n for page in pages(admin) for n in page if n["node"].startswith("node-")]
    assert len(nodes) == size
    assert all((m["version"], m["state"], m["lag"]) == (2, "applied", False) for n in nodes for m in n["models"])


def pages(admin):
    after = ""
    while True:
        page = admin.json(f"/v1/nodes?limit=1000{after}")
        yield page["nodes"]
        if not page.get("next"):
            return
        after = f"&after={page['next']}"


def test_a_thousand_nodes_on_one_registry(published, admin, capsys):
    size, window = 1000, 4.0
    fleet, sent, grown = roll_out(admin, published.url, admin.create_token("node", "kjv"), size, window)
    check_rolled_out(fleet, admin, size)
    bytes_of_delta = versions(admin)[1]["sizes"]["delta"]
    assert sum(grown.values()) <= PER_NODE * size, grown
    assert grown[("GET", "/v1/watch")] <= size + 5
    assert grown[("PUT", "/v1/nodes/{node}")] <= 2 * size
    # Each node's delta, and for each less than 32 KiB of manifest, changes and answers to reports.
    assert size * bytes_of_delta <= sent <= size * (bytes_of_delta + 32_768)
    moments = sorted(moment - fleet.changed for moment in fleet.fetched)
    late = moments[int(0.5 * size)]
    assert 0.3 * window < late, f"half of the fleet fetched within {late} s of a window of {window} s"
    with capsys.disabled():
        print(f"\n{size} nodes: {sum(grown.values()) / size:.2f} requests and {sent / size / bytes_of_delta:.3f} "
              f"deltas a node at the origin; half had begun after {late:.2f} s of {window:.0f} s")


def test_a_cache_takes_the_bytes_off_the_registry(published, admin, cache, capsys):
    size = 250
    fleet, sent, grown = roll_out(admin, cache.url, admin.create_token("node", "kjv"), size, 0.5)
    check_rolled_out(fleet, admin, size)
    bytes_of_delta = versions(admin)[1]["sizes"]["delta"]
    manifest = len(admin.get("/v1/tenants/kjv/models/model/versions/2/manifest").content)
    # Each piece of the delta and of the manifest once; else changes and answers to reports, under 4 KiB a node.
    pieces = -(-bytes_of_delta // cache.SLICE) + -(-manifest // cache.SLICE)
    assert pieces > 3 and grown[("GET", "/v1/blobs/{digest}")] == pieces, grown
    assert bytes_of_delta <= sent <= 1.1 * bytes_of_delta + size * 4096
    # A HEAD for every GET of a node: who may read is the registry's to say each time.
    asked = grown[("HEAD", "/v1/blobs/{digest}")]
    assert 2 * size <= asked <= 3 * size
    with capsys.disabled():
        print(f"\n{size} nodes behind nginx: {sum(grown.values()) / size:.2f} requests a node at the origin, "
              f"{pieces} for all bytes; {sent / size:.0f} bytes a node of a delta of {bytes_of_delta}")
    assert "upstream" not in cache.errors(), cache.errors()


def test_the_cache_gives_nothing_to_those_who_may_not_read(published, admin, cache):
    token = admin.create_token("node", "kjv")
    listed = admin.json("/v1/tenants/kjv/live")["models"][0]
    path = "/v1/blobs/" + listed["digest"]
    through = Api(cache.url, token)
    assert through.json("/v1/tenants/kjv/live")["models"][0]["url"] == cache.url + path
    for expected in ("MISS", "HIT"):
        answer = through.get(path)
        assert answer.headers["X-Cache"] == expected and len(answer.content) == listed["size"]
    assert answer.headers["ETag"] == f'"{listed["digest"]}"'
    # In the cache by now, which must change nothing.
    without = requests.get(cache.url + path, timeout=20)
    assert without.status_code == 401 and "Bearer" in without.headers["WWW-Authenticate"]
    assert Api(cache.url, "wrong").get(path, 401).status_code == 401
    foreign = Api(cache.url, admin.create_token("node", "sqlite"))
    assert foreign.get(path, 404).json()["code"] == "unknown_object"
    for dodge in (path + "?x=1", "/v1/blobs/" + listed["digest"].upper(), "/v1/blobs/%73ha256" + path[16:],
                  "/v1//blobs/" + listed["digest"], "/v1/x/../blobs/" + listed["digest"], "/signum-may-read"):
        for caller in (requests, foreign.session):
            answer = caller.request("GET", cache.url + dodge, timeout=20)
            assert answer.status_code in (400, 401, 403, 404), (dodge, answer.status_code)
            assert len(answer.content) < 1000
    assert requests.post(cache.url + path, timeout=20).status_code == 404  # there is nothing to write here
    # Conditions and ranges are the cache's own to answer, after the registry agreed.
    assert through.get(path, 304, headers={"If-None-Match": etag_of(listed)}).content == b""
    middle = through.get(path, 206, headers={"Range": "bytes=1000-1999"})
    assert middle.content == through.get(path).content[1000:2000]
    assert through.get(path, 206, headers={"Range": "bytes=1000-1999", "If-Range": etag_of(listed)}).content == \
        middle.content
    assert through.get(path, 200, headers={"Range": "bytes=1000-1999", "If-Range": '"other"'}).status_code == 200
    (record,) = [t for t in admin.json("/v1/admin/tokens")["tokens"] if t["tenants"] == ["kjv"]]
    admin.delete(f"/v1/admin/tokens/{record['id']}", (200, 204))
    through.get(path, 401)
    assert not any(token.encode() in file.read_bytes() for file in cache.kept.rglob("*") if file.is_file())


def etag_of(listed):
    return f'"{listed["digest"]}"'


def test_a_registry_that_is_away_is_told_so(published, admin, cache):
    token = admin.create_token("node", "kjv")
    path = "/v1/blobs/" + admin.json("/v1/tenants/kjv/live")["models"][0]["digest"]
    Api(cache.url, token).get(path)
    published.kill()
    answer = Api(cache.url, token).get(path, 503)
    assert answer.headers["Retry-After"] == "1" and answer.json()["code"] == "registry_away"


def test_a_real_node_behind_the_cache(published, admin, cache, start_node):
    """Publishing, swapping and rolling back through nginx."""
    node = start_node(published, ["kjv"], "--fetch-window", "0.3", via=cache.url)

    def runs(version):
        models = requests.get(node.url + "/v1/residency", timeout=20).json()["models"]
        return [m["version"] for m in models] == [version]

    for version in (1, 2, 1):
        assert signum("promote", MODEL, version, registry=published).returncode == 0
        wait_until(lambda: runs(version), f"version {version} on the node: {node.log()[-1500:]}")
    assert any(file.stat().st_size > 100_000 for file in cache.kept.rglob("*") if file.is_file())
    assert node.stop() == 0
