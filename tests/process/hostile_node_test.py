"""A registry that means harm, against signum-node: it keeps what it serves, stays small and calm, and gets over it."""

import hashlib
import itertools
import json
import re
import socket
import time
import urllib.parse

import pytest
import requests

from lies import ANSWERS, JSON, PIECE, endless, whole
from node_test import resident, residency, runs, wait_runs
from programs import wait_until
from proxy import Proxy

MOST_MEMORY = 600 << 20  # at its highest, in a debug build: two answers of 64 MiB and what they are as JSON
MOST_CALLS = 150  # in CALM seconds: a feed that always brings something new is read 20 times a second
CALM = 3
HUGE = 2**64 - 1
MOCK = "sha256:" + "ab" * 32


def call_of(method, path, manifests):
    """Which of the node's calls a request is."""
    path = path.split("?")[0]
    if method == "PUT":
        return "report"
    if "/blobs/" in path or path.endswith("/delta"):
        return "manifest" if path.rsplit("/")[-1] in manifests else "delta"
    for name, pattern in {"live": "/live$", "watch": "/watch$", "keys": "/keys$", "base": "/bases/[^/]+$",
                          "base file": "/bases/.*/files/"}.items():
        if re.search(pattern, path):
            return name
    return path


class Liar(Proxy):
    """Passes on what the registry says, but for the calls in `lies`: {call: function of a handler}."""

    def __init__(self, upstream):
        self.lies, self.told, self.watches = {}, [], []
        super().__init__(upstream)

    def lie(self, lies):
        """From here on; what waits at the real feed is cut."""
        self.lies = lies
        for connection in self.watches:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.watches.clear()

    def forward(self, handler):
        call = call_of(handler.command, handler.path, self.manifests)
        if call == "watch":
            self.watches.append(handler.connection)  # first: whoever lies from now on finds it
        lie = self.lies.get(call)
        if lie is None:
            return super().forward(handler)
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.told.append(call)
        handler.close_connection = True
        try:
            lie(handler)
        except OSError:
            pass

    def real(self, handler):
        """What the registry would have said: status and JSON."""
        answer = requests.get(urllib.parse.urljoin(self.upstream.geturl(), handler.path), timeout=60,
                              headers={"Authorization": handler.headers["Authorization"]})
        return answer.json()


def raw(answer):
    return lambda handler: answer(handler.connection)


def says(body, status="200 OK", *headers):
    """A whole answer; `body` is bytes, or JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(data)}", *headers]
    return raw(whole("\r\n".join(lines).encode() + b"\r\n\r\n" + data))


def since_of(handler):
    return int(re.search(r"since=(\d+)", handler.path).group(1))


def feed(answer):
    """A watch answer made from the place that was asked for."""
    return lambda handler: says(answer(since_of(handler)))(handler)


GONE = says({"code": "feed_gone", "detail": "gone"}, "410 Gone")
ENTRY = {"tenant": "kjv", "model": "model", "kind": "live", "version": 9, "digest": MOCK, "size": 1000, "base": "base",
         "base_digest": MOCK, "manifest_digest": MOCK, "url": "/v1/blobs/" + MOCK, "manifest_url": "/v1/blobs/" + MOCK}


def change(**fields):
    return lambda since: {"seq": since + 1, "changes": [{"seq": since + 1, **ENTRY, **fields}]}


def swelling(size, piece=b"{},"):
    return b"[" + piece * (size // len(piece)) + b"0]"


def random_error(count=itertools.count()):
    return lambda handler: says({"code": f"reason_{next(count)}", "detail": "\U0001f4a3" * 400}, "500 Oops")(handler)


# Of every call alike: see also lies.py.
ALIKE = {
    **{name: raw(answer) for name, answer in ANSWERS.items()},
    "JSON that swells": says(swelling(60 << 20)),
    "texts that swell": says(swelling(60 << 20, b'"",')),
    "another type": says([{"seq": "7"}, None, 1e308, -1]),
    "nothing": says(b""),
    "an error without end": raw(endless(b"HTTP/1.1 503 Away\r\n\r\n", PIECE)),
    "errors with new reasons": random_error(),
    "an error of brackets": says(b"[" * 30_000_000, "500 Oops"),
    "another protocol": raw(whole(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + PIECE)),
    "no HTTP": raw(whole(PIECE)),
}

FEEDS = {
    "hurries": feed(lambda since: {"seq": since, "changes": []}),
    "is always gone": GONE,
    "goes back": feed(lambda since: {"seq": 0, "changes": []}),
    "leaps": feed(lambda since: {"seq": HUGE, "changes": []}),
    "has a change from the future": feed(lambda since: {"seq": since, "changes": [{"seq": HUGE, **ENTRY}]}),
    "has numbers out of range": feed(lambda since: {"seq": 10**30, "changes": []}),
    "has wrong types": feed(lambda since: {"seq": since, "changes": {"0": ENTRY}}),
    "names a model that escapes": feed(change(model="../../../escaped")),
    "names a base that escapes": feed(change(base="..")),
    "names a digest that escapes": feed(change(digest="sha256:../../escaped")),
    "names a file as URL": feed(change(manifest_url="file:///etc/passwd")),
    "names an endless URL": feed(change(manifest_url="/" + "x" * 1_000_000)),
    "names what is not there": feed(change()),
    "floods": feed(lambda since: {"seq": since + 1000, "changes": [{"seq": since + 1 + i, **ENTRY, "version": i} for i in range(1000)]}),
}

DELTAS = {
    "shorter than told": lambda data: (data[:1000], "200 OK", []),
    "longer than told": lambda data: (data + b"more", "200 OK", []),
    "of nothing": lambda data: (b"", "200 OK", []),
    "other bytes": lambda data: (bytes(len(data)), "200 OK", []),
    "another range": lambda data: (data[100:], "206 Partial", [f"Content-Range: bytes 100-{len(data) - 1}/{len(data)}"]),
    "a range that lies": lambda data: (data[100:], "206 Partial", [f"Content-Range: bytes 0-{len(data) - 1}/{len(data)}", 'ETag: "x"']),
    "no range at all": lambda data: (b"", "416 No", [f"Content-Range: bytes */{HUGE}"]),
    "unchanged": lambda data: (b"", "304 Not Modified", []),
}


@pytest.fixture(scope="module")
def two(family):
    """kjv/model with versions 1 and 2."""
    from programs import FAMILY

    family.admin.publish("kjv/model", FAMILY / "sqlite")
    return family


@pytest.fixture
def liar(two):
    two.admin.promote("kjv/model", 1)
    liar = Liar(two.registry.url)
    yield liar
    liar.close()


@pytest.fixture
def node(two, liar, start_node):
    """Runs version 1; it tries again soon what it gave up."""
    node = start_node(two.registry, ["kjv"], "--no-serve", "--refused-retry", "1", via=liar.url)
    wait_runs(node, 1)
    return node


def high_water(node):
    with open(f"/proc/{node.pid}/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1)) << 10


def check_unharmed(node, version=1):
    assert node.running(), node.log()[-3000:]
    assert runs(node, version), residency(node)
    assert requests.get(node.url + "/healthz", timeout=20).status_code == 200
    assert high_water(node) < MOST_MEMORY, high_water(node) >> 20
    metrics = requests.get(node.url + "/metrics", timeout=20).text
    assert metrics.count("reason=") < 350
    assert len(node.log()) < 2_000_000
    beside = [f for f in node.log_path.parent.iterdir() if f.name not in ("cache", "node.log", "node.port")]
    inside = {f.name for f in (node.log_path.parent / "cache").iterdir()}
    assert not beside and inside <= {"deltas", "manifests", "live", "trusted.keys", "bases", "lock"}, (beside, inside)


def wait_told(liar, call, times=2):
    before = liar.told.count(call)
    wait_until(lambda: liar.told.count(call) >= before + times, f"the lie about {call} being told")


def check_recovers(liar, two, node, version=2):
    liar.lies = {}
    wait_runs(node, version)
    check_unharmed(node, version)


@pytest.mark.parametrize("lie", ALIKE)
def test_answers_that_are_none(lie, liar, two, node):
    """Each call in turn; version 2 goes live meanwhile and must arrive in the end."""
    liar.lies = {"manifest": ALIKE[lie], "report": ALIKE[lie]}
    two.admin.promote("kjv/model", 2)
    wait_told(liar, "manifest", 1)
    check_unharmed(node)
    liar.lies = {"delta": ALIKE[lie]}
    wait_told(liar, "delta", 1)
    check_unharmed(node)
    liar.lie({"delta": ALIKE[lie], "watch": ALIKE[lie]})
    wait_told(liar, "watch", 1)
    liar.lie({"delta": ALIKE[lie], "live": ALIKE[lie], "watch": GONE})
    wait_told(liar, "live", 2)
    check_unharmed(node)
    check_recovers(liar, two, node)


@pytest.mark.parametrize("lie", FEEDS)
def test_a_feed_that(lie, liar, two, node):
    liar.lie({"watch": FEEDS[lie]})
    wait_told(liar, "watch", 1)
    before = len(liar.told) + len(liar.seen)
    time.sleep(CALM)
    assert len(liar.told) + len(liar.seen) - before < MOST_CALLS
    check_unharmed(node)
    two.admin.promote("kjv/model", 2)
    check_recovers(liar, two, node)


@pytest.mark.parametrize("lie", DELTAS)
def test_a_delta_that_is(lie, liar, two, node):
    def answer(handler):
        url = urllib.parse.urljoin(two.registry.url, handler.path)
        data = requests.get(url, headers={"Authorization": handler.headers["Authorization"]}, timeout=60).content
        body, status, headers = DELTAS[lie](data)
        says(body, status, *headers)(handler)

    liar.lies = {"delta": answer}
    two.admin.promote("kjv/model", 2)
    wait_told(liar, "delta", 3)
    check_unharmed(node)
    check_recovers(liar, two, node)


MANIFESTS = {
    "that swells": swelling(60 << 20),
    "of one text": b'{"manifest":"' + b"x" * (60 << 20) + b'"}',
    "of brackets": b"[" * (60 << 20),
    "that nobody signed": b'{"manifest":{},"signature":{}}',
    "with absurd numbers": json.dumps({"manifest": {"delta": {"size": HUGE, "chunks": ""}, "tensors": [{"shape": [2**53] * 9}]},
                                       "signature": {"alg": "ed25519", "key": "x", "sig": ""}}).encode(),
}


@pytest.mark.parametrize("lie", MANIFESTS)
def test_a_manifest(lie, liar, two, node):
    """With the digest that `live` names for it."""
    digest = "sha256:" + hashlib.sha256(MANIFESTS[lie]).hexdigest()
    liar.manifests.add(digest)
    named = change(manifest_digest=digest, manifest_url="/v1/blobs/" + digest)
    liar.lie({"watch": feed(named), "manifest": says(MANIFESTS[lie])})
    wait_told(liar, "manifest", 2)
    check_unharmed(node)
    two.admin.promote("kjv/model", 2)
    check_recovers(liar, two, node)


def test_lists_of_absurd_length(liar, two, node):
    models = [{**ENTRY, "model": f"m{i}"} for i in range(20_000)]

    def answer(handler):
        real = liar.real(handler)
        says({"seq": real["seq"], "models": real["models"] + models})(handler)

    liar.lie({"live": answer, "watch": GONE})
    wait_told(liar, "live", 2)
    check_unharmed(node)
    two.admin.promote("kjv/model", 2)
    check_recovers(liar, two, node)


def test_a_list_that_names_a_model_twice(liar, two, node):
    def answer(handler):
        real = liar.real(handler)
        says({"seq": real["seq"], "models": real["models"] + [{**ENTRY}]})(handler)

    liar.lie({"live": answer, "watch": GONE})
    wait_told(liar, "live", 2)
    assert not residency(node)["pending"]
    assert "twice" in residency(node)["registry"]["error"]
    check_unharmed(node)
    check_recovers(liar, two, node, 1)


def test_the_token_goes_to_the_registry_alone(liar, two, node):
    """Neither a redirect nor a URL in an answer takes it elsewhere; no redirect is followed."""
    elsewhere = Liar(two.registry.url)
    heard = []
    for call in ("delta", "manifest", "live", "watch", "keys", "report"):
        elsewhere.lies[call] = lambda handler: heard.append((handler.path, handler.headers.get("Authorization")))
    away = f"Location: {elsewhere.url}/v1/blobs/{MOCK}"
    moved = says(b"", "307 Temporary Redirect", away)
    liar.lie({call: moved for call in ("watch", "live", "report", "manifest", "delta")})
    two.admin.promote("kjv/model", 2)
    wait_told(liar, "watch", 2)
    assert heard == []
    liar.lie({"watch": feed(change(manifest_url=elsewhere.url + "/v1/blobs/" + MOCK))})
    wait_until(lambda: heard, "the manifest being asked for elsewhere")
    assert all(token is None for _, token in heard), heard
    elsewhere.close()
    check_unharmed(node)
    check_recovers(liar, two, node)


def test_a_year_of_retry_after_is_heeded_for_minutes(liar, two, node):
    liar.lie({"watch": says({"code": "busy"}, "503 Away", "Retry-After: 31536000")})
    wait_until(lambda: liar.told, "the lie being told")
    time.sleep(CALM)
    assert liar.told == ["watch"]
    check_unharmed(node)


def test_a_connection_that_drips_is_given_up(liar, two, node):
    """Both loaders, and the feed: none is held for longer than a minute and a half."""
    def drip(handler):
        handler.connection.sendall(JSON + b"Content-Length: 1000000\r\n\r\n")
        for _ in range(3600):
            handler.connection.sendall(b"x")
            time.sleep(0.2)

    liar.lies = {"delta": drip}
    two.admin.promote("kjv/model", 2)
    wait_told(liar, "delta", 1)
    check_unharmed(node)
    liar.lies = {}
    wait_until(lambda: runs(node, 2), "the drip's end", timeout=120)


def test_keys_that_are_none_at_first_contact(liar, two, start_node):
    keys = requests.get(two.registry.url + "/v1/keys", timeout=20, headers={"Authorization": f"Bearer {two.registry.token}"}).json()
    liar.lies = {"keys": says({"keys": [{"alg": "ed25519", "id": "k", "public": "A" * 43 + "="}] * 5000})}
    node = start_node(two.registry, ["kjv"], "--no-serve", "--refused-retry", "1", via=liar.url)
    wait_told(liar, "keys", 2)
    assert not runs(node, 1)
    assert not (node.log_path.parent / "cache/trusted.keys").exists()
    liar.lies = {}
    wait_runs(node, 1)
    assert (node.log_path.parent / "cache/trusted.keys").read_text().split() == [k["public"] for k in keys["keys"]]


def files(*entries):
    return [{"path": path, "size": size, "sha256": MOCK} for path, size in entries]


BASES = {
    "of another digest": lambda base: {**base, "digest": MOCK},
    "that escapes": lambda base: {**base, "files": files(("../../escaped", 4), ("/tmp/escaped", 4))},
    "that fills the disk": lambda base: {**base, "files": files(("a", 2**62), ("b", 2**62))},
    "of many files": lambda base: {**base, "files": files(*((f"f{i}", 0) for i in range(20_000)))},
    "with a file twice": lambda base: {**base, "files": base["files"] + base["files"][:1]},
    "without its weights": lambda base: {**base, "files": [f for f in base["files"] if "safetensors" not in f["path"]]},
    "of wrong types": lambda base: {**base, "files": "all"},
}


@pytest.mark.parametrize("lie", BASES)
def test_a_base(lie, liar, two, start_node):
    """Nothing is served with it; once the registry is sane, its models are."""
    liar.lies = {"base": lambda handler: says(BASES[lie](liar.real(handler)))(handler)}
    node = start_node(two.registry, ["kjv"], "--refused-retry", "1", via=liar.url)
    ask = {"model": "kjv/model", "prompt": "In", "max_tokens": 1}
    wait_told(liar, "base", 2)
    assert requests.post(node.url + "/v1/completions", json=ask, timeout=60).status_code == 503
    assert not [f for f in node.log_path.parent.rglob("escaped")]
    liar.lies = {}
    wait_runs(node, 1)
    check_unharmed(node)
    answer = requests.post(node.url + "/v1/completions", json=ask, timeout=60)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("lie", ["a body without end", "chunks without end", "a length that lies"])
def test_a_base_file_is(lie, liar, two, start_node):
    liar.lies = {"base file": ALIKE[lie]}
    node = start_node(two.registry, ["kjv"], "--refused-retry", "1", via=liar.url)
    wait_told(liar, "base file", 3)
    bases = node.log_path.parent / "cache/bases"
    assert sum(f.stat().st_size for f in bases.rglob("*") if f.is_file()) < 20 << 20
    liar.lies = {}
    wait_runs(node, 1)
    check_unharmed(node)
