"""Many nodes in one process: each speaks what signum-node speaks, and does with bytes what it must."""

import asyncio
import hashlib
import json
import random
import time

import aiohttp


class SimulatedNode:
    """Follows one tenant: live, long poll, manifest and delta by digest, report. Counts what it asked."""

    def __init__(self, fleet, number):
        self.fleet, self.name = fleet, f"node-{number:04}"
        self.resumes = number % 10 == 3  # loses its connection half way through a delta, and goes on
        self.digests, self.requests, self.failures = [], 0, []
        self.etag, self.seq = None, None

    async def ask(self, method, url, **options):
        """(status, headers, body); 429 and 503 are asked again, as Retry-After says."""
        for _ in range(20):
            self.requests += 1
            async with self.fleet.session.request(method, url, **options) as answer:
                body = await answer.read()
                if answer.status not in (429, 503):
                    return answer.status, answer.headers, body
                await asyncio.sleep(float(answer.headers.get("Retry-After", 1)) + random.random())
        raise AssertionError(f"{method} {url}: refused to the end")

    async def read_live(self):
        """The list of what is live, or None where it is the one known."""
        headers = {"If-None-Match": self.etag} if self.etag else {}
        status, answer, body = await self.ask("GET", f"{self.fleet.url}/v1/tenants/{self.fleet.tenant}/live",
                                              headers=headers)
        if status == 304:
            return None
        assert status == 200, (status, body)
        self.etag = answer["ETag"]
        document = json.loads(body)
        self.seq = document["seq"]
        return document["models"]

    async def start(self):
        (model,) = await self.read_live()
        assert await self.read_live() is None  # unchanged: no list crosses the wire
        await self.load(model)

    async def follow_one_change(self):
        """Waits for the next change, and has what it names loaded and reported when it returns."""
        changes = []
        while not changes:
            status, _, body = await self.ask(
                "GET", f"{self.fleet.url}/v1/watch?tenant={self.fleet.tenant}&since={self.seq}&wait=50")
            assert status == 200, (status, body)
            document = json.loads(body)
            self.seq, changes = document["seq"], document["changes"]
        await self.report(changes[-1], "loading")
        await asyncio.sleep(random.uniform(0, self.fleet.window))
        await self.load(changes[-1])

    async def load(self, model):
        _, _, manifest = await self.ask("GET", model["manifest_url"])
        assert "sha256:" + hashlib.sha256(manifest).hexdigest() == model["manifest_digest"]
        self.fleet.fetched.append(time.monotonic())
        delta = await (self.resumed(model) if self.resumes else self.whole(model))
        assert len(delta) == model["size"]
        digest = "sha256:" + hashlib.sha256(delta).hexdigest()
        assert digest == model["digest"]
        await self.report(model, "applied")
        self.digests.append(digest)

    async def whole(self, model):
        status, headers, body = await self.ask("GET", model["url"])
        assert status == 200 and "immutable" in headers["Cache-Control"], (status, body[:200])
        return body

    async def resumed(self, model):
        """Half of it, then the rest with Range and If-Range."""
        half = model["size"] // 2
        status, headers, first = await self.ask("GET", model["url"], headers={"Range": f"bytes=0-{half - 1}"})
        assert status == 206, status
        status, _, second = await self.ask("GET", model["url"],
                                           headers={"Range": f"bytes={half}-", "If-Range": headers["ETag"]})
        assert status == 206, status
        return first + second

    async def report(self, model, state):
        body = {"device": "simulated", "memory": {"free": 1, "total": 2}, "models": [
            {"tenant": self.fleet.tenant, "model": model["model"], "version": model["version"],
             "digest": model["digest"], "state": state}]}
        status, _, answer = await self.ask("PUT", f"{self.fleet.url}/v1/nodes/{self.name}", json=body)
        assert status == 200, (status, answer)


class Fleet:
    """`size` nodes of `tenant` against `url`; a change is fetched within `window` seconds."""

    def __init__(self, url, token, tenant, size, window=0.0):
        self.url, self.token, self.tenant, self.window = url, token, tenant, window
        self.nodes = [SimulatedNode(self, number) for number in range(size)]
        self.fetched = []  # when each fetch of a delta began
        self.session = None

    async def roll_out(self, before, change):
        """Starts all nodes, calls `before` once they wait for a change, then `change`, and sees it everywhere.

        Both are plain functions and run on a thread. The requests that each node made for the change are in
        `per_rollout`."""
        connector = aiohttp.TCPConnector(limit=0)
        headers = {"Authorization": f"Bearer {self.token}"}
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as self.session:
            await asyncio.gather(*(node.start() for node in self.nodes))
            self.fetched.clear()
            asked = [node.requests for node in self.nodes]
            waiting = asyncio.gather(*(node.follow_one_change() for node in self.nodes))
            await asyncio.to_thread(before)
            self.changed = time.monotonic()
            await asyncio.to_thread(change)
            await waiting
        self.per_rollout = [node.requests - then for node, then in zip(self.nodes, asked)]
