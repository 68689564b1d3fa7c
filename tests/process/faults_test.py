"""What goes wrong around a serving node: those who are served notice nothing, and it heals."""

import shutil
import subprocess
import threading
import time

import pytest
import requests

from api import Api
from openai import OpenAi
from programs import FAMILY, PATIENCE, Registry, wait_until

PROMPT = "In the beginning"
LENGTH = 16


def residency(node):
    return requests.get(node.url + "/v1/residency", timeout=PATIENCE).json()


def pending(node, model):
    """The entry of a model that is not here yet, or None."""
    for entry in residency(node)["pending"]:
        if f'{entry["tenant"]}/{entry["model"]}' == model:
            return entry
    return None


def ready(node):
    wait_until(lambda: requests.get(node.url + "/readyz", timeout=PATIENCE).status_code == 200, "a ready node")
    return OpenAi(node.url)


def says(api, version, model="kjv/model"):
    return api.complete(model, PROMPT, max_tokens=1)["system_fingerprint"] == version["digest"]


class Asker(threading.Thread):
    """Asks for kjv/model all the time; every answer must be one of `texts`, by its fingerprint."""

    def __init__(self, url, texts):
        super().__init__()
        self.api, self.texts, self.seen, self.failure = OpenAi(url), texts, [], None
        self.over = threading.Event()
        self.start()

    def run(self):
        try:
            while not self.over.is_set():
                answer = self.api.complete("kjv/model", PROMPT, max_tokens=LENGTH)
                assert answer["choices"][0]["text"] == self.texts[answer["system_fingerprint"]]
                self.seen.append(answer["system_fingerprint"])
        except Exception as failure:  # told by stop
            self.failure = failure

    def stop(self):
        self.over.set()
        self.join()
        assert self.failure is None, self.failure
        return self.seen


def test_a_registry_that_is_slow_stops_nobody(published, admin, start_node, proxy):
    node = start_node(published, ["kjv"], via=proxy.url)
    api = ready(node)
    first = admin.json("/v1/tenants/kjv/models/model/versions/1")
    second = admin.publish("kjv/model", FAMILY / "sqlite")
    asker = Asker(node.url, {first["digest"]: api.text("kjv/model", PROMPT, max_tokens=LENGTH)})
    proxy.wait = lambda path: 0.3 if proxy.is_delta(path) else 0  # of each 64 KiB
    admin.promote("kjv/model", 2)
    wait_until(lambda: (pending(node, "kjv/model") or {}).get("bytes_done", 0) > 0, "a slow download")
    before = len(asker.seen)
    wait_until(lambda: len(asker.seen) > before + 3, "answers meanwhile")
    assert set(asker.stop()) == {first["digest"]}
    proxy.wait = lambda path: 0
    wait_until(lambda: says(api, second), "version 2")


def test_a_registry_that_restarts_in_mid_download(published, admin, start, start_node, proxy):
    node = start_node(published, ["kjv"], via=proxy.url)
    api = ready(node)
    first = admin.json("/v1/tenants/kjv/models/model/versions/1")
    second = admin.publish("kjv/model", FAMILY / "sqlite")
    size, port = second["sizes"]["delta"], published.port
    asker = Asker(node.url, {first["digest"]: api.text("kjv/model", PROMPT, max_tokens=LENGTH)})
    proxy.wait = lambda path: 0.2 if proxy.is_delta(path) else 0
    admin.promote("kjv/model", 2)
    wait_until(lambda: (pending(node, "kjv/model") or {}).get("bytes_done", 0) > 65536, "a part of the delta")
    published.kill()
    proxy.broken = True  # what was on its way dies with the registry
    time.sleep(1)
    proxy.broken = False
    assert set(asker.stop()) == {first["digest"]}
    start(Registry, listen=f"127.0.0.1:{port}")
    proxy.wait = lambda path: 0
    wait_until(lambda: says(api, second), "version 2 after the restart")
    fetched = sum(entry[2] for entry in proxy.downloads()) - first["sizes"]["delta"]
    assert size <= fetched < size + 3 * 131_072, (fetched, size)  # it went on where it was


def test_a_full_disk_is_said_and_waited_for(published, admin, start_node, tmp_path):
    cache = tmp_path / "nodes/full/cache"
    cache.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", cache], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a file system of its own needs root")
    try:
        node = start_node(published, ["kjv"], "--base", FAMILY / "base", name="full")
        api = ready(node)
        first = admin.json("/v1/tenants/kjv/models/model/versions/1")
        asker = Asker(node.url, {first["digest"]: api.text("kjv/model", PROMPT, max_tokens=LENGTH)})
        filler = cache / "filler"
        free = shutil.disk_usage(cache).free
        filler.write_bytes(bytes(free - 150_000))
        second = admin.publish("kjv/model", FAMILY / "sqlite")
        assert second["sizes"]["delta"] > 150_000
        admin.promote("kjv/model", 2)
        refused = wait_until(lambda: (pending(node, "kjv/model") or {}).get("reason") == "disk_full" and
                             pending(node, "kjv/model"), "disk_full")
        assert not refused["gave_up"]
        assert set(asker.stop()) == {first["digest"]}
        filler.unlink()
        wait_until(lambda: says(api, second), "version 2 once there is room")
        assert node.stop() == 0
    finally:
        subprocess.run(["umount", "-l", cache], check=True)


def test_too_little_memory_is_refused_with_the_numbers_and_the_others_stay(published, admin, start_node):
    small = admin.json("/v1/tenants/kjv/models/model/versions/1")["sizes"]["delta"]
    big = admin.publish("kjv/big", FAMILY / "pysrc", codec="raw", embeddings="exact")["sizes"]["delta"]
    assert big > 2 * small
    node = start_node(published, ["kjv"], "--memory", str(2 * small))
    api = ready(node)
    expected = api.text("kjv/model", PROMPT, max_tokens=LENGTH)
    refused = wait_until(lambda: (pending(node, "kjv/big") or {}).get("reason") == "memory_budget" and
                         pending(node, "kjv/big"), "the refusal")
    assert str(big) in refused["message"] and str(2 * small) in refused["message"], refused
    error = api.error(503, model="kjv/big", prompt=PROMPT)
    assert error["code"] == "model_refused" and str(big) in error["message"]
    assert api.text("kjv/model", PROMPT, max_tokens=LENGTH) == expected
    said = [m for n in admin.json("/v1/nodes")["nodes"] for m in n["models"] if m["model"] == "big"]
    assert said and said[0]["state"] == "refused" and str(big) in said[0]["reason"]


def test_a_new_version_every_second(published, admin, start_node):
    node = start_node(published, ["kjv"])
    api = ready(node)
    digests = [admin.json("/v1/tenants/kjv/models/model/versions/1")["digest"]]
    texts = {digests[0]: api.text("kjv/model", PROMPT, max_tokens=LENGTH)}
    # What version n says is known before it is live: the same bytes under another name.
    for version, name in enumerate(("sqlite", "pysrc", "kjv", "sqlite", "pysrc"), 2):
        made = admin.publish(f"kjv/twin{version}", FAMILY / name)
        texts[made["digest"]] = wait_until(lambda: text_of(api, f"kjv/twin{version}"), f"twin {version}")
        digests.append(made["digest"])
    asker = Asker(node.url, texts)
    for version, name in enumerate(("sqlite", "pysrc", "kjv", "sqlite", "pysrc"), 2):
        begin = time.monotonic()
        assert admin.publish("kjv/model", FAMILY / name)["digest"] == digests[version - 1]
        admin.promote("kjv/model", version)
        time.sleep(max(0.0, 1 - (time.monotonic() - begin)))
    wait_until(lambda: asker.seen and asker.seen[-1] == digests[-1] or asker.failure, "the last version")
    seen = asker.stop()
    assert len(set(seen)) > 2
    wait_until(lambda: residency(node)["retiring"] == [], "no generation but the last")


def text_of(api, model):
    """What a model says, or None while it is not here."""
    response = api.session.post(api.url + "/v1/completions", timeout=PATIENCE,
                                json={"model": model, "prompt": PROMPT, "max_tokens": LENGTH, "temperature": 0})
    return response.json()["choices"][0]["text"] if response.status_code == 200 else None
