"""Thousands of connections that say nothing, or half of something: others are served meanwhile, and nothing is left after.

SIGNUM_IDLE_CONNECTIONS: how many (1000; deploy/attack: 10000). SIGNUM_LATENCY: seconds that an answer may take meanwhile (1).
"""

import os
import resource
import socket
import time

import pytest
import requests

from api import Api
from figures import record
from programs import FAMILY, PATIENCE, Registry, wait_until

CONNECTIONS = int(os.environ.get("SIGNUM_IDLE_CONNECTIONS", "1000"))
LATENCY = float(os.environ.get("SIGNUM_LATENCY", "1"))
PER_ADDRESS = 5000  # of one source address, well below its ports

# What each of four says before it falls silent.
SAID = (b"", b"GET /healthz HTTP/1.1\r\nHo", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer @TOKEN@\r\nContent-Type: application/json\r\n"
        b"Content-Length: 500\r\n\r\n{")


@pytest.fixture
def descriptors():
    """Enough of them for this process and the registry that it starts."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 4096
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, before[1])))
    except (ValueError, PermissionError) as refused:
        pytest.skip(f"{wanted} descriptors are too many here: {refused}")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[0], resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def open_files(registry):
    return len(os.listdir(f"/proc/{registry.pid}/fd"))


def memory(registry):
    """Bytes of its own that it has in memory."""
    with open(f"/proc/{registry.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def hold(registry, count):
    """That many connections, none of which will say more. Not faster than the server takes them: beyond 1,024 requests
    that wait for a thread it answers 503, as it should."""
    held = []
    bases = {"url": registry.url + "/v1/bases", "headers": {"Authorization": f"Bearer {registry.token}"}, "timeout": PATIENCE}
    for i in range(count):
        source = (f"127.0.1.{1 + i // PER_ADDRESS}", 0)
        connection = socket.create_connection(("127.0.0.1", registry.port), timeout=PATIENCE, source_address=source)
        connection.sendall(SAID[i % len(SAID)].replace(b"@TOKEN@", registry.token.encode()))
        held.append(connection)
        if i % 1000 == 999:
            requests.get(**bases).raise_for_status()
    return held


def slowest(calls, count=100):
    """Seconds that the slowest of `count` requests took, on new connections each."""
    most = 0
    for i in range(count):
        begin = time.monotonic()
        calls[i % len(calls)]()
        most = max(most, time.monotonic() - begin)
    return most


def test_others_are_served_beside_many_silent_ones(start, descriptors):
    registry = start(Registry, "--header-timeout", "10m", "--body-timeout", "10m", "--log", "off")
    admin = Api(registry.url, registry.token)
    admin.push_base("base", FAMILY / "base")
    head = {"Authorization": f"Bearer {registry.token}", "Range": "bytes=0-99999"}
    calls = [lambda: requests.get(registry.url + "/healthz", timeout=PATIENCE).raise_for_status(),
             lambda: requests.get(registry.url + "/v1/bases/base/files/model.safetensors", headers=head,
                                  timeout=PATIENCE).raise_for_status()]
    slowest(calls)
    files, bytes_before = open_files(registry), memory(registry)
    begin = time.monotonic()
    held = hold(registry, CONNECTIONS)
    opened = time.monotonic() - begin
    wait_until(lambda: open_files(registry) >= files + CONNECTIONS - 8, "the connections")  # some of `files` have closed
    each = (memory(registry) - bytes_before) / CONNECTIONS
    took = slowest(calls)
    record("connections", held=CONNECTIONS, opened_s=round(opened, 2), bytes_each=round(each), slowest_answer_s=round(took, 3))
    assert took <= LATENCY and each < 32 * 1024
    for connection in held:
        connection.close()
    wait_until(lambda: open_files(registry) <= files + 2, "closed connections")
    assert slowest(calls) <= LATENCY


def refused(registry):
    """Whether a new connection is turned away: with a 503, or closed without a word."""
    with socket.create_connection(("127.0.0.1", registry.port), timeout=PATIENCE) as connection:
        answer = b""
        try:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while piece := connection.recv(4096):
                answer += piece
        except ConnectionError:
            pass
    assert answer == b"" or answer.startswith((b"HTTP/1.1 503", b"HTTP/1.1 200")), answer
    return not answer.startswith(b"HTTP/1.1 200")


def test_beyond_the_limit_connections_are_refused_and_the_rest_works(start):
    registry = start(Registry, "--max-connections", "50")
    admin = Api(registry.url, registry.token)
    admin.get("/healthz")  # its connection is kept
    held = hold(registry, 49)
    wait_until(lambda: refused(registry), "a refusal")
    admin.push_base("base", FAMILY / "base")
    for connection in held:
        connection.close()
    wait_until(lambda: not refused(registry), "room")


def test_connections_leave_the_store_its_descriptors(start):
    """More connections than there are descriptors: those that were there first still publish, compress and read."""
    registry = start(Registry, "--header-timeout", "10m", prefix=("prlimit", "--nofile=400:400"))
    admin = Api(registry.url, registry.token)
    admin.get("/healthz")
    held = hold(registry, 600)
    wait_until(lambda: refused(registry), "a refusal")
    admin.push_base("base", FAMILY / "base")
    admin.publish("kjv/model", FAMILY / "kjv")
    assert admin.get("/v1/tenants/kjv/models/model/versions/1/delta").content
    for connection in held:
        connection.close()
    wait_until(lambda: not refused(registry), "room")
    assert registry.stop() == 0
