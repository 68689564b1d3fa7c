"""Aliases under parallel, conflicting writes are linearizable: a history of 10,000 operations, and a checker.

Each write makes a revision of its own (the ETag), so the order of writes is known, and a history is linearizable where
that order agrees with time (Gibbons and Korach, "Testing shared memories", 1997, for registers with unique values).
"""

import collections
import dataclasses
import os
import random
import threading
import time

import pytest

from api import Api
from programs import FAMILY, FINE_TUNES

OPERATIONS = int(os.environ.get("SIGNUM_HISTORY", "10000"))
CLIENTS = 8


@dataclasses.dataclass(frozen=True)
class Operation:
    start: float
    end: float
    kind: str  # "read", "write", or "lost": a write that its condition refused
    revision: int  # read or made; of "lost": the one that it expected
    version: int = 0
    expected: int = None  # of a write with If-Match


def without_idle_writes(history):
    """A write of the version that is there already makes no revision: it is a read."""
    makers = {}
    for op in sorted(history, key=lambda op: (op.expected is None, op.start)):
        if op.kind == "write" and op.expected != op.revision:
            makers.setdefault(op.revision, op)
    return [dataclasses.replace(op, kind="read") if op.kind == "write" and makers.get(op.revision) is not op else op
            for op in history]


def violations(history):
    """What of the history no order of its operations explains; empty where it is linearizable."""
    found = []
    history = without_idle_writes(history)
    writes = {op.revision: op for op in history if op.kind == "write"}
    order = sorted(writes)
    before = dict(zip(order[1:], order))
    for op in writes.values():
        if op.expected is not None and before.get(op.revision) != op.expected:
            found.append(f"{op} took the place of {before.get(op.revision)}, not of what it expected")
    for op in history:
        made = writes.get(op.revision)
        if op.kind == "read" and (made is None or made.version != op.version or op.end < made.start):
            found.append(f"{op} read what {made} did not write, or not yet")
        if op.kind == "lost" and not any(w.revision > op.revision and w.start <= op.end for w in writes.values()):
            found.append(f"{op} lost to nobody")
    # In time: whatever begins after an operation has ended sees no older revision than it; a write a newer one.
    seen = [op for op in history if op.kind != "lost"]
    ended = sorted(seen, key=lambda op: op.end)
    newest, next_ended = 0, 0
    for op in sorted(seen, key=lambda op: op.start):
        while next_ended < len(ended) and ended[next_ended].end < op.start:
            newest = max(newest, ended[next_ended].revision)
            next_ended += 1
        if op.revision < newest or (op.kind == "write" and op.revision == newest):
            found.append(f"{op} began after revision {newest} had been seen")
    return found


W, R = "write", "read"


@pytest.mark.parametrize("history,fits", [
    ([Operation(0, 1, W, 1, 7), Operation(2, 3, R, 1, 7), Operation(2, 5, W, 2, 8, 1), Operation(3, 4, R, 2, 8)], True),
    ([Operation(0, 1, W, 1, 7), Operation(0, 5, W, 2, 8), Operation(2, 3, R, 1, 7)], True),
    ([Operation(0, 1, W, 1, 7), Operation(2, 3, W, 2, 8), Operation(4, 5, R, 1, 7)], False),  # stale read
    ([Operation(0, 1, W, 1, 7), Operation(2, 9, W, 2, 8), Operation(3, 4, R, 2, 8), Operation(5, 6, R, 1, 7)], False),  # back in time
    ([Operation(0, 1, W, 1, 7), Operation(2, 3, W, 2, 8, 1), Operation(2, 3, W, 3, 9, 1)], False),  # a lost update
    ([Operation(0, 1, W, 1, 7), Operation(2, 3, W, 1, 7), Operation(4, 5, W, 1, 7, 1)], True),  # idle writes
    ([Operation(0, 1, W, 1, 7), Operation(2, 3, W, 1, 8)], False),  # a write that did nothing
    ([Operation(0, 1, W, 1, 7), Operation(2, 3, R, 1, 8)], False),  # a version that nobody wrote
    ([Operation(0, 1, W, 1, 7), Operation(2, 3, R, 2, 7)], False),  # a revision that nobody made
    ([Operation(5, 6, W, 1, 7), Operation(2, 3, R, 1, 7)], False),  # from the future
    ([Operation(0, 1, W, 1, 7), Operation(2, 3, "lost", 1)], False),  # refused for nothing
    ([Operation(0, 1, W, 2, 7), Operation(2, 3, W, 1, 8)], False),  # writes out of order
])
def test_the_checker_tells_good_from_bad(history, fits):
    assert (violations(history) == []) == fits, violations(history)


class Client(threading.Thread):
    def __init__(self, api, path, count, seed):
        super().__init__()
        self.api, self.path, self.count, self.random = api, path, count, random.Random(seed)
        self.history, self.known, self.error = [], None, None

    def run(self):
        try:
            for _ in range(self.count):
                self.step()
        except Exception as error:  # reported by the test
            self.error = error

    def step(self):
        what = self.random.choice(["read", "read", "set", "swap", "swap"])
        if what == "read" or (what == "swap" and self.known is None):
            return self.read()
        self.write(self.random.randint(1, 3), self.known if what == "swap" else None)

    def call(self, method, expect, **options):
        start = time.monotonic()
        response = self.api.call(method, self.path, expect, **options)
        return start, time.monotonic(), response

    def read(self):
        start, end, response = self.call("GET", 200)
        self.known = int(response.headers["ETag"].strip('"'))
        self.history.append(Operation(start, end, "read", self.known, response.json()["version"]))

    def write(self, version, expected):
        headers = {"If-Match": f'"{expected}"'} if expected is not None else {}
        start, end, response = self.call("PUT", (200, 412), json={"version": version}, headers=headers)
        if response.status_code == 412:
            self.history.append(Operation(start, end, "lost", expected))
            return self.read()
        self.known = int(response.headers["ETag"].strip('"'))
        self.history.append(Operation(start, end, "write", self.known, version, expected))


def test_ten_thousand_conflicting_operations(registry, admin):
    admin.push_base("base", FAMILY / "base")
    for fine_tune in FINE_TUNES:
        admin.publish("kjv/model", FAMILY / fine_tune)
    path = "/v1/tenants/kjv/models/model/aliases/canary"
    start = time.monotonic()
    first = admin.put(path, {"version": 1}, 201)
    made = Operation(start, time.monotonic(), "write", int(first.headers["ETag"].strip('"')), 1)
    clients = [Client(Api(registry.url, registry.token), path, OPERATIONS // CLIENTS, seed) for seed in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert [client.error for client in clients if client.error] == []
    history = [made] + [op for client in clients for op in client.history]
    kinds = collections.Counter(op.kind for op in without_idle_writes(history))
    print(f"history: {kinds}")
    assert len(history) > OPERATIONS and len(kinds) == 3 and min(kinds.values()) > OPERATIONS // 50, "too little contention to show anything"
    assert violations(history) == []
