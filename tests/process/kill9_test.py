"""kill -9 of signumd at random points of the demo's uploads and jobs.

SIGNUM_KILLS (default 5) is how often, SIGNUM_SEED makes a run repeatable (its value is printed).
A publisher works through the demo's steps against whatever server is up and writes down each answer
that acknowledged something; another thread kills and restarts the server. After each restart all
that was acknowledged must be there, and in the end the run must be complete.
"""

import hashlib
import os
import random
import threading
import time

import pytest
import requests

from api import TUS, Api, files_of, sha256
from programs import FAMILY, FINE_TUNES, Registry, wait_until

KILLS = int(os.environ.get("SIGNUM_KILLS", "5"))
MOST_OF_A_RUN = 9  # a job that the service died of ten times is given up (too_many_attempts)
SEED = int(os.environ.get("SIGNUM_SEED", random.SystemRandom().randrange(2**32)))
PIECE = 500_000  # small, so that many answers acknowledge something


class Acknowledged:
    """What the server said it has. Appended to by the publisher, checked after each restart."""

    def __init__(self):
        self.lock = threading.Lock()
        self.offsets = {}   # file url path -> bytes
        self.bases = {}     # name -> digest
        self.versions = {}  # (model, number) -> digest, None while its job runs
        self.aliases = {}   # (model, alias) -> {"known": version, "asked": version or None}

    def check(self, admin):
        """Everything acknowledged is there, with the bytes that it was acknowledged with."""
        with self.lock:
            offsets, bases = dict(self.offsets), dict(self.bases)
            versions, aliases = dict(self.versions), {k: dict(v) for k, v in self.aliases.items()}
        for path, offset in offsets.items():
            # A later piece may have arrived without its answer; never fewer bytes than acknowledged.
            # An upload that a version was made from may be gone.
            answer = admin.call("HEAD", path, (200, 404), headers={"Tus-Resumable": "1.0.0"})
            if answer.status_code == 200:
                assert int(answer.headers["Upload-Offset"]) >= offset, path
            else:
                assert path in self.consumed, f"{path}: acknowledged up to {offset}, now unknown"
        for name, digest in bases.items():
            assert admin.json(f"/v1/bases/{name}")["digest"] == digest
        for (model, number), digest in versions.items():
            resource = admin.json(f"{Api.model_path(model)}/versions/{number}")
            if digest:
                assert (resource["state"], resource["digest"]) == ("ready", digest)
                delta = admin.get(f"{Api.model_path(model)}/versions/{number}/delta").content
                assert "sha256:" + hashlib.sha256(delta).hexdigest() == digest
            else:
                assert resource["state"] in ("queued", "running", "ready"), resource.get("error", resource)
        for (model, alias), state in aliases.items():
            version = admin.json(f"{Api.model_path(model)}/aliases/{alias}")["version"]
            assert version in (state["known"], state["asked"]), (model, alias, version, state)

    consumed = frozenset()


class Publisher(threading.Thread):
    """The demo's steps, each tried until it is answered; notes what was acknowledged."""

    def __init__(self, server, acknowledged):
        super().__init__(daemon=True)
        self.server, self.noted = server, acknowledged
        self.failure = None
        self.steps = 0

    def run(self):
        try:
            self.publish_all()
        except BaseException as failure:  # noqa: B902 (shown by the test)
            self.failure = failure

    def publish_all(self):
        self.push_base()
        for name in FINE_TUNES:
            self.publish(f"{name}/model", FAMILY / name)
        self.publish("kjv/model", FAMILY / "sqlite")
        for version in (2, 1):
            self.promote("kjv/model", version)

    def ask(self, method, path, statuses, **options):
        """One request, again and again until a server answers it; any other status is a failure."""
        self.steps += 1
        while True:
            try:
                admin = Api(self.server.url, self.server.token)
                answer = admin.call(method, path, timeout=20, **options)
            except requests.exceptions.RequestException:
                time.sleep(0.02)
                continue
            if answer.status_code == 503:
                time.sleep(0.05)
                continue
            assert answer.status_code in statuses, (method, path, answer.status_code, answer.text[:500])
            return answer

    def upload(self, folder, key):
        contents = {path: file.read_bytes() for path, file in files_of(folder).items()}
        declared = [{"path": p, "size": len(d), "sha256": sha256(d)} for p, d in contents.items()]
        upload = self.ask("POST", "/v1/uploads", (201,), json={"files": declared},
                          headers={"Idempotency-Key": f"upload-{key}"}).json()
        for file in upload["files"]:
            self.send(self.path_of(file["url"]), contents[file["path"]])
        return upload["id"]

    @staticmethod
    def path_of(url):
        return "/v1/" + url.split("/v1/", 1)[1]

    def send(self, path, data):
        offset = 0
        while offset < len(data):
            piece = data[offset:offset + PIECE]
            answer = self.ask("PATCH", path, (204, 409), data=piece, headers={**TUS, "Upload-Offset": str(offset)})
            if answer.status_code == 409:  # an answer was lost: ask where we are
                head = self.ask("HEAD", path, (200,), headers={"Tus-Resumable": "1.0.0"})
                assert int(head.headers["Upload-Offset"]) >= self.noted.offsets.get(path, 0)
                offset = int(head.headers["Upload-Offset"])
            else:
                offset = int(answer.headers["Upload-Offset"])
            with self.noted.lock:
                self.noted.offsets[path] = offset

    def push_base(self):
        upload = self.upload(FAMILY / "base", "base")
        self.consume(upload)  # the base may be made and its answer lost
        answer = self.ask("POST", "/v1/bases/base", (201,), json={"upload": upload},
                          headers={"Idempotency-Key": "base"})
        with self.noted.lock:
            self.noted.bases["base"] = answer.json()["digest"]

    def consume(self, upload):
        gone = {path for path in self.noted.offsets if f"/uploads/{upload}/" in path}
        with self.noted.lock:
            self.noted.consumed = self.noted.consumed | gone

    def publish(self, model, folder):
        key = f"{model}-{folder.name}"
        upload = self.upload(folder, key)
        self.consume(upload)  # from here on it may be gone
        created = self.ask("POST", f"{Api.model_path(model)}/versions", (202,),
                           json={"upload": upload, "base": "base", "method": "none"}, headers={"Idempotency-Key": key}).json()
        number = created["version"]
        with self.noted.lock:
            self.noted.versions[(model, number)] = None
        path = f"{Api.model_path(model)}/versions/{number}"
        while (resource := self.ask("GET", path, (200,)).json())["state"] != "ready":
            assert resource["state"] in ("queued", "running"), resource
            time.sleep(0.02)
        with self.noted.lock:
            self.noted.versions[(model, number)] = resource["digest"]

    def promote(self, model, version):
        key = (model, "live")
        with self.noted.lock:
            known = self.noted.aliases.get(key, {"known": 1})["known"]
            self.noted.aliases[key] = {"known": known, "asked": version}
        self.ask("PUT", f"{Api.model_path(model)}/aliases/live", (200, 201), json={"version": version})
        with self.noted.lock:
            self.noted.aliases[key] = {"known": version, "asked": None}


class Server:
    """The one registry's present process."""

    def __init__(self, folder, data=None):
        self.folder, self.data = folder, data
        self.start()

    def start(self, listen="127.0.0.1:0"):
        self.program = Registry(self.folder, data=self.data, listen=listen)
        self.url, self.token = self.program.url, self.program.token

    def kill_and_restart(self):
        self.program.kill()
        self.start(f"127.0.0.1:{self.program.port}")


def undisturbed(folder):
    """Seconds that the whole run takes when nobody kills the server, its digests, and what the base costs."""
    server, noted = Server(folder), Acknowledged()
    publisher = Publisher(server, noted)
    begin = time.monotonic()
    publisher.run()
    took = time.monotonic() - begin
    sizes = None if publisher.failure else Api(server.url, server.token).json("/v1/bases/base")["sizes"]
    server.program.kill()
    assert publisher.failure is None, publisher.failure
    return took, noted.versions, sizes


@pytest.mark.timeout(60 + 30 * KILLS)
def test_nothing_acknowledged_is_lost(tmp_path):
    print(f"SIGNUM_SEED={SEED} SIGNUM_KILLS={KILLS}")
    chance = random.Random(SEED)
    took, expected, sizes = undisturbed(tmp_path / "undisturbed")
    kills, rounds = 0, 0
    while kills < KILLS:
        rounds += 1
        kills += one_run(tmp_path / f"run{rounds}", chance, took, (expected, sizes), min(KILLS - kills, MOST_OF_A_RUN))
    print(f"{kills} kills in {rounds} runs of {took:.1f} s each when undisturbed")


def one_run(folder, chance, took, undisturbed_run, most):
    """A run of the demo with kills at random moments of it; how many."""
    server = Server(folder)
    try:
        return disturb(server, chance, took, undisturbed_run, most)
    finally:
        if server.program.running():
            server.program.kill()


def disturb(server, chance, took, undisturbed_run, most):
    expected, sizes = undisturbed_run
    noted = Acknowledged()
    publisher = Publisher(server, noted)
    publisher.start()
    kills = 0
    while kills < most:
        publisher.join(chance.uniform(0, took / 5))
        if not publisher.is_alive():
            break
        server.kill_and_restart()
        kills += 1
        noted.check(Api(server.url, server.token))
    publisher.join(60 + 10 * took)
    assert not publisher.is_alive(), "the run does not complete"
    if publisher.failure:
        raise publisher.failure
    noted.check(Api(server.url, server.token))
    assert noted.versions == expected  # the same numbers and bytes as without any kill
    nothing_unacknowledged(Api(server.url, server.token), noted)
    all_is_counted(Api(server.url, server.token), sizes)
    assert server.program.stop() == 0
    return kills


def nothing_unacknowledged(admin, noted):
    """The server shows no version that no answer named."""
    for model in {model for model, _ in noted.versions}:
        listed = {v["version"] for v in admin.json(f"{Api.model_path(model)}/versions")["versions"]}
        assert listed == {number for other, number in noted.versions if other == model}
    wait_until(lambda: all(j["state"] in ("done", "failed", "cancelled") for j in admin.json("/v1/jobs")["jobs"]),
               "jobs to end")


def all_is_counted(admin, sizes):
    """What the kills left is nobody's loss: the base costs what it does without them, every counter is right."""
    assert admin.json("/v1/bases/base")["sizes"] == sizes
    scrub = admin.wait_job(admin.post("/v1/admin/scrub", {}, 202).json()["job"])
    assert scrub["state"] == "done" and scrub["result"]["clean"], scrub
