"""Serving under load: swaps every second, and more models than slots."""

import concurrent.futures
import os
import pathlib
import threading
import time

import requests

from openai import OpenAi, text_of
from programs import FAMILY, PATIENCE, wait_until

SECONDS = float(os.environ.get("SIGNUM_LOAD_SECONDS", "10"))
PROMPT = "In the beginning"
LENGTH = 40


def ready(node):
    wait_until(lambda: requests.get(node.url + "/readyz", timeout=PATIENCE).status_code == 200, "a ready node")
    return OpenAi(node.url)


def residency(node):
    return requests.get(node.url + "/v1/residency", timeout=PATIENCE).json()


def rss(node):
    pages = pathlib.Path(f"/proc/{node.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


def references(api, admin, model, digests):
    """What each version of the model says, by fingerprint; leaves version 1 live."""
    texts = {}
    for version in reversed(sorted(digests)):
        admin.promote(model, version)
        wait_until(lambda: api.complete(model, PROMPT, max_tokens=1)["system_fingerprint"] == digests[version],
                   f"{model}@{version}")
        texts[digests[version]] = api.text(model, PROMPT, max_tokens=LENGTH)
    return texts


def test_a_swap_every_second_fails_no_request_and_mixes_no_generations(registry, admin, start_node):
    admin.push_base("base", FAMILY / "base")
    digests = {1: admin.publish("kjv/model", FAMILY / "kjv")["digest"],
               2: admin.publish("kjv/model", FAMILY / "sqlite")["digest"]}
    admin.publish("pysrc/model", FAMILY / "pysrc")
    node = start_node(registry, ["kjv", "pysrc"])
    api = ready(node)
    texts = references(api, admin, "kjv/model", digests)
    assert len(set(texts.values())) == 2
    beside = api.text("pysrc/model", PROMPT, max_tokens=LENGTH)
    api.wait_idle()
    before, memory = residency(node)["memory"]["used"], rss(node)
    stop, seen = threading.Event(), []

    def ask(worker):
        mine = OpenAi(node.url)
        while not stop.is_set():
            if worker == 0:
                assert mine.text("pysrc/model", PROMPT, max_tokens=LENGTH) == beside
                continue
            events = list(mine.stream("kjv/model", PROMPT, max_tokens=LENGTH))
            fingerprints = {event["system_fingerprint"] for event in events}
            assert len(fingerprints) == 1
            assert text_of(events) == texts[fingerprints.pop()]
            seen.append(events[0]["system_fingerprint"])

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(ask, worker) for worker in range(4)]
        try:
            for swap in range(int(SECONDS)):
                time.sleep(1)
                admin.promote("kjv/model", 2 - swap % 2)
        finally:
            stop.set()
        for worker in workers:
            worker.result(PATIENCE)
    assert len(seen) > 10 and set(seen) == set(texts)
    admin.promote("kjv/model", 1)
    api.wait_idle()
    wait_until(lambda: residency(node)["memory"]["used"] == before and not residency(node)["retiring"],
               "the arena as it was")
    assert rss(node) < memory + (64 << 20)


def test_more_models_than_slots_all_answer(registry, admin, start_node):
    admin.push_base("base", FAMILY / "base")
    models = [f"kjv/m{i}" for i in range(5)]
    fine = ("kjv", "pysrc", "sqlite", "kjv", "pysrc")
    for model, name in zip(models, fine):
        admin.publish(model, FAMILY / name)
    node = start_node(registry, ["kjv"], "--slots", "2", "--memory", "32MiB", "--pin", "kjv/m0")
    api = ready(node)
    assert {m["id"] for m in requests.get(node.url + "/v1/models", timeout=PATIENCE).json()["data"]} == set(models)
    first = [api.text(model, PROMPT, max_tokens=12) for model in models]
    assert first[0] == first[3] and first[1] == first[4] and len(set(first)) == 3

    def ask(i):
        return OpenAi(node.url).text(models[i % 5], PROMPT, max_tokens=12) == first[i % 5]

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert all(pool.map(ask, range(30)))
    asked = requests.post(node.url + "/v1/residency/prefetch", json={"models": [models[2]]}, timeout=PATIENCE)
    assert asked.status_code == 202
    wait_until(lambda: models[2] in {m["tenant"] + "/" + m["model"] for m in residency(node)["models"]}, models[2])
    for status, body in ((404, {"models": ["kjv/nothing"]}), (400, {"models": ["kjv"]}), (400, {})):
        assert requests.post(node.url + "/v1/residency/prefetch", json=body, timeout=PATIENCE).status_code == status
    state = residency(node)
    assert len(state["models"]) <= 3 and "kjv/m0" in {m["tenant"] + "/" + m["model"] for m in state["models"]}
    assert state["memory"]["used"] <= 3 * (state["memory"]["total"] // 3)


def test_going_back_to_a_generation_that_is_still_there_takes_no_transfer(registry, admin, start_node):
    admin.push_base("base", FAMILY / "base")
    digests = {1: admin.publish("kjv/model", FAMILY / "kjv")["digest"],
               2: admin.publish("kjv/model", FAMILY / "sqlite")["digest"]}
    node = start_node(registry, ["kjv"], "--slots", "2", "--memory", "32MiB")
    api = ready(node)

    def says(version):
        return api.complete("kjv/model", PROMPT, max_tokens=1)["system_fingerprint"] == digests[version]

    admin.promote("kjv/model", 2)
    wait_until(lambda: says(2), "version 2")
    assert [entry["state"] for entry in residency(node)["retiring"]] == ["kept"]
    cached = node.log_path.parent / "cache" / "deltas" / digests[1].removeprefix("sha256:")
    cached.unlink()
    admin.promote("kjv/model", 1)
    wait_until(lambda: says(1), "version 1 again")
    assert not cached.exists()  # nor was it fetched
    assert "it was still here" in node.log()
