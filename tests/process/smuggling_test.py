"""Requests that two parsers could read differently (RFC 9112 §11.2), over plain sockets, straight and through nginx.

Each probe hides `GET /smuggled` in what another reading would take for a body, or the other way round. Straight: refused
with the status named here and closed, or accepted in the one reading that the RFC has. Through nginx: the registry sees no
request that nginx did not see, and the next request of another client gets its own answer.
"""

import contextlib
import json
import re
import socket

import pytest

from figures import record
from nginx import NGINX, Cache
from programs import PATIENCE, Registry, wait_until
from sockets import read_all

HOST = b"Host: x\r\n"
INNER = b"GET /smuggled HTTP/1.1\r\nHost: ab\r\n\r\n"  # 36 bytes, 0x24
# RFC 9112 §9.3.2: what follows a request on its connection is the next one.
AFTER = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: after\r\nConnection: close\r\n\r\n"


def post(headers, body=b"", target=b"/v1/keys", version=b"HTTP/1.1"):
    return b"POST " + target + b" " + version + b"\r\n" + HOST + headers + b"\r\n" + body


def chunked(body):
    """To a resource that reads its body before it answers."""
    return post(b"Authorization: Bearer @TOKEN@\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n", body,
                b"/v1/uploads")


def get(headers=b"", line=b"GET /healthz HTTP/1.1\r\n", host=HOST):
    return line + host + headers + b"\r\n"


CHUNKED_INNER = b"0\r\n\r\n" + INNER
LENGTH = str(len(CHUNKED_INNER)).encode()

# name: (request, statuses that may be its answer). What is refused closes the connection.
REFUSED = {
    # two framings
    "CL.TE": (post(b"Content-Length: " + LENGTH + b"\r\nTransfer-Encoding: chunked\r\n", CHUNKED_INNER), {400}),
    "TE.CL": (post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"24\r\n" + INNER + b"\r\n0\r\n\r\n"), {400}),
    "CL.0 and TE": (post(b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", CHUNKED_INNER), {400}),
    "TE in HTTP/1.0": (post(b"Transfer-Encoding: chunked\r\n", CHUNKED_INNER, version=b"HTTP/1.0"), {400}),
    # Transfer-Encoding in disguise (TE.TE)
    **{f"TE.TE {name}": (post(line + b"Content-Length: " + LENGTH + b"\r\n", CHUNKED_INNER), {400, 501})
       for name, line in {
           "twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
           "list": b"Transfer-Encoding: chunked, identity\r\n",
           "not last": b"Transfer-Encoding: chunked, gzip\r\n",
           "unknown": b"Transfer-Encoding: xchunked\r\n",
           "quoted": b'Transfer-Encoding: "chunked"\r\n',
           "vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
           "form feed": b"Transfer-Encoding: chunked\x0c\r\n",
           "NUL": b"Transfer-Encoding: chunked\x00\r\n",
           "parameter": b"Transfer-Encoding: chunked;q=1\r\n",
           "space before colon": b"Transfer-Encoding : chunked\r\n",
           "tab before colon": b"Transfer-Encoding\t: chunked\r\n",
           "space before name": b"X: y\r\n Transfer-Encoding: chunked\r\n",
           "folded": b"Transfer-Encoding:\r\n chunked\r\n",
           "bare CR": b"X: y\rTransfer-Encoding: chunked\r\n",
           "bare LF": b"X: y\nTransfer-Encoding: chunked\r\n",
           "empty": b"Transfer-Encoding:\r\n",
           "no colon": b"Transfer-Encoding\r\n",
           "case": b"tRANSFER-eNCODING: cHUNKED\r\n",
       }.items()},
    # Content-Length in disguise
    **{f"CL {name}": (post(line, INNER), {400})
       for name, line in {
           "twice, different": b"Content-Length: 0\r\nContent-Length: 36\r\n",
           "twice, equal": b"Content-Length: 36\r\nContent-Length: 36\r\n",
           "list": b"Content-Length: 36, 36\r\n", "plus": b"Content-Length: +36\r\n",
           "minus": b"Content-Length: -36\r\n", "hex": b"Content-Length: 0x24\r\n",
           "octets apart": b"Content-Length: 3 6\r\n", "point": b"Content-Length: 36.0\r\n",
           "empty": b"Content-Length:\r\n", "letters": b"Content-Length: 36abc\r\n",
           "over 64 bits": b"Content-Length: 18446744073709551652\r\n",
           "NUL": b"Content-Length: 36\x00\r\n", "folded": b"Content-Length:\r\n 36\r\n",
           "space before colon": b"Content-Length : 36\r\n",
           "first line folded": b" Content-Length: 36\r\n",
       }.items()},
    # chunks
    **{f"chunk {name}": (chunked(body), {400})
       for name, body in {
           "of 2^64 bytes": b"10000000000000000\r\n" + INNER, "of 2^64 + 36": b"10000000000000024\r\n" + INNER,
           "minus": b"-24\r\n" + INNER, "plus": b"+24\r\n" + INNER, "0x": b"0x24\r\n" + INNER + b"\r\n0\r\n\r\n",
           "no digits": b"\r\n" + INNER, "letters": b"zz\r\n" + INNER, "space first": b" 24\r\n" + INNER,
           "bare LF after its size": b"24\n" + INNER + b"\r\n0\r\n\r\n",
           "bare CR after its size": b"24\r" + INNER + b"\r\n0\r\n\r\n",
           "data that goes on": b"2\r\nabcd\r\n0\r\n\r\n",
           "data without its end": b"3\r\nabc0\r\n\r\n" + INNER,
           "bare LF after its data": b"3\r\nabc\n0\r\n\r\n",
           "NUL in its extension": b"3;a=\x00\r\nabc\r\n0\r\n\r\n",
           "bare LF in its extension": b"3;a\nabc\r\n0\r\n\r\n",
           "endless extension": b"3;" + b"a" * 200_000 + b"\r\nabc\r\n0\r\n\r\n",
           "trailers without an end": b"0\r\n" + b"a: b\r\n" * 40_000 + b"\r\n",
           "trailer that is framing": b"0\r\nContent-Length: 36\r\n\r\n" + INNER,
           "trailer without a colon": b"0\r\nGET /smuggled HTTP/1.1\r\n\r\n",
       }.items()},
    # heads
    **{f"head {name}": (request, statuses)
       for name, (request, statuses) in {
           "bare LF": (b"GET /healthz HTTP/1.1\nHost: x\n\n", {400}),
           "bare LF after the line": (get(line=b"GET /healthz HTTP/1.1\n"), {400}),
           "NUL in a value": (get(b"X: a\x00b\r\n"), {400}), "NUL in a name": (get(b"X\x00: a\r\n"), {400}),
           "bare CR in a value": (get(b"X: a\rb\r\n"), {400}), "control in a value": (get(b"X: a\x01b\r\n"), {400}),
           "folded": (get(b"X: a\r\n b\r\n"), {400}), "folded first": (b"GET /healthz HTTP/1.1\r\n Host: x\r\n\r\n", {400}),
           "no name": (get(b": a\r\n"), {400}), "space in a name": (get(b"X Y: a\r\n"), {400}),
           "two Hosts": (get(b"Host: y\r\n"), {400}), "no Host": (get(host=b""), {400}),
           "Host of two": (get(host=b"Host: x, y\r\n"), {400}), "Host with a path": (get(host=b"Host: x/y\r\n"), {400}),
           "Host with a user": (get(host=b"Host: a@x\r\n"), {400}),
           "HTTP/0.9": (b"GET /healthz\r\n\r\n", {400}), "HTTP/2.0": (get(line=b"GET /healthz HTTP/2.0\r\n"), {505}),
           "HTTP/1.2": (get(line=b"GET /healthz HTTP/1.2\r\n"), {505}), "HTTP/1.10": (get(line=b"GET /healthz HTTP/1.10\r\n"), {400}),
           "http/1.1": (get(line=b"GET /healthz http/1.1\r\n"), {400}), "no version": (get(line=b"GET /healthz \r\n"), {400}),
           "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
           "two spaces": (get(line=b"GET  /healthz HTTP/1.1\r\n"), {400}), "tab": (get(line=b"GET\t/healthz\tHTTP/1.1\r\n"), {400}),
           "space in the target": (get(line=b"GET /heal thz HTTP/1.1\r\n"), {400}),
           "space before the line": (get(line=b" GET /healthz HTTP/1.1\r\n"), {400}),
           "space after the version": (get(line=b"GET /healthz HTTP/1.1 \r\n"), {400}),
           "NUL in the target": (get(line=b"GET /healthz\x00 HTTP/1.1\r\n"), {400}),
           "CONNECT": (get(line=b"CONNECT x:80 HTTP/1.1\r\n"), {400, 501}),
           "a method of its own": (get(line=b"GETGET /healthz HTTP/1.1\r\n"), {501}),
       }.items()},
}

# name: (request, its status). AFTER follows on the same connection, and gets an answer of its own.
ACCEPTED = {
    "pipelined": (get() + get(), 200),
    "empty lines before": (b"\r\n\r\n" + get(), 200),
    "absolute form": (get(line=b"GET http://x/healthz HTTP/1.1\r\n"), 200),
    "absolute form, another Host": (get(line=b"GET http://y/healthz HTTP/1.1\r\n"), 200),
    "GET with a body": (get(b"Content-Length: 36\r\n") + INNER, 200),
    "GET in chunks": (get(b"Transfer-Encoding: chunked\r\n") + b"24\r\n" + INNER + b"\r\n0\r\n\r\n", 200),
    "leading zeros of a length": (get(b"Content-Length: 0036\r\n") + INNER, 200),
    "leading zeros of a chunk": (get(b"Transfer-Encoding: chunked\r\n") + b"00024\r\n" + INNER + b"\r\n000\r\n\r\n", 200),
    "chunk extension": (get(b"Transfer-Encoding: chunked\r\n") + b'24;a="b;\tc"\r\n' + INNER + b"\r\n0\r\n\r\n", 200),
    "trailer": (get(b"Transfer-Encoding: chunked\r\n") + b"0\r\nHost: evil\r\n\r\n", 200),
    "Connection names framing": (get(b"Connection: content-length\r\nContent-Length: 36\r\n") + INNER, 200),
    "method in a header": (get(b"X-HTTP-Method-Override: DELETE\r\n"), 200),
    "URL in a header": (get(b"X-Original-URL: /smuggled\r\nX-Rewrite-URL: /smuggled\r\n"), 200),
    "Upgrade": (get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), 200),
    # well framed, of a target that is none
    "fragment": (get(line=b"GET /healthz#a HTTP/1.1\r\n"), 400),
    "scheme of another kind": (get(line=b"GET ftp://x/healthz HTTP/1.1\r\n"), 400),
    "authority of another kind": (get(line=b"GET http://a@x/healthz HTTP/1.1\r\n"), 400),
    "no Host in HTTP/1.0": (get(b"Connection: keep-alive\r\n", line=b"GET /healthz HTTP/1.0\r\n", host=b""), 200),
}


def talk(port, data, token=""):
    """What comes back until the other side closes."""
    data = data.replace(b"@TOKEN@", token.encode())
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        return read_all(connection)


def statuses(answer):
    """Of each response: no body here holds a status line."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", answer)]


def seen(registry, path):
    """How many requests for `path` its log holds."""
    lines = [json.loads(line) for line in registry.log().splitlines() if line.startswith("{")]
    return sum(line.get("path") == path for line in lines)


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    registry = Registry(tmp_path_factory.mktemp("target"))
    yield registry
    registry.kill()


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    """A registry that nginx alone talks to."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    registry = Registry(tmp_path_factory.mktemp("behind"))
    yield registry
    registry.kill()


@pytest.fixture(scope="module")
def cache(behind, tmp_path_factory):
    cache = Cache(tmp_path_factory.mktemp("nginx"), behind)
    yield cache
    cache.kill()


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_and_closed(target, name):
    request, allowed = REFUSED[name]
    answer = talk(target.port, request + AFTER, target.token)
    assert len(statuses(answer)) == 1 and statuses(answer)[0] in allowed, answer[:600]
    assert b"application/problem+json" in answer


@pytest.mark.parametrize("name", ACCEPTED)
def test_is_taken_the_one_way(target, name):
    request, status = ACCEPTED[name]
    answer = talk(target.port, request + AFTER)
    assert statuses(answer) == [status] * (2 if name == "pipelined" else 1) + [200], answer[:600]
    assert answer.count(b"X-Request-Id: after") == 1


def test_straight_nothing_was_smuggled(target):
    wait_until(lambda: seen(target, "/healthz"), "the log")
    assert seen(target, "/smuggled") == 0


@pytest.mark.parametrize("name", [*REFUSED, *ACCEPTED])
def test_through_nginx_poisons_nobody(behind, cache, name):
    request, _ = {**REFUSED, **ACCEPTED}[name]
    talk(cache.port, request + AFTER, behind.token)
    # nginx keeps its connections to the registry: the next requests of others go over the same ones
    for _ in range(2):
        victim = talk(cache.port, b"GET /v1/keys HTTP/1.1\r\nHost: victim\r\nX-Request-Id: victim\r\nConnection: close\r\n\r\n")
        assert statuses(victim) == [200] and b'"keys"' in victim and b"X-Request-Id: victim" in victim, victim[:600]


def test_through_nginx_nothing_was_smuggled(behind, cache):
    """nginx takes a folded header for none, and what would be its body for a request: in its log as in the registry's."""
    wait_until(lambda: seen(behind, "/v1/keys"), "the log")
    in_front = (cache.log_path.parent / "access.log").read_text().count('"GET /smuggled ')
    assert seen(behind, "/smuggled") <= in_front
    record("smuggling", probes=len(REFUSED) + len(ACCEPTED), refused=len(REFUSED), through_nginx=len(REFUSED) + len(ACCEPTED))
