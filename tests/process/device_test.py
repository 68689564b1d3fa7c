"""signum-node with a device: the CUDA module's kernels over the emulator (tests/gpu/CMakeLists.txt), a few tokens each.

With SIGNUM_TEST_DEVICE=cuda:0 on a real one, whose module lies beside the programs (gpu/run_on_device).
"""

import concurrent.futures
import os
import re
import shutil
import time

import pytest
import requests

from openai import OpenAi
from programs import BIN, FAMILY, PATIENCE, run, wait_until

REAL = "SIGNUM_TEST_DEVICE" in os.environ
EMULATED = BIN.parent / "emulated"
DEVICE = {} if REAL else {"SIGNUM_CUDA_MODULE": str(EMULATED / "libsignum_cuda.so"), "LD_LIBRARY_PATH": str(EMULATED),
          "SIGNUM_EMULATED_LAZY": "1"}  # work is as late as it may be
PROMPT = "In the"
TOKENS = 3

pytestmark = pytest.mark.skipif(not REAL and not (EMULATED / "libsignum_cuda.so").exists(),
                                reason="the emulated module is not built")
emulated_alone = pytest.mark.skipif(REAL, reason="a real device has no such faults to order")


@pytest.fixture
def two(registry, admin):
    """A registry with kjv/model at versions 1 and 2 (1 is live), and pysrc/model."""
    admin.push_base("base", FAMILY / "base")
    admin.publish("kjv/model", FAMILY / "kjv")
    admin.publish("kjv/model", FAMILY / "sqlite")
    admin.promote("kjv/model", 1)
    admin.publish("pysrc/model", FAMILY / "pysrc")
    return registry


def node_of(start_node, registry, tenants, *options, device="cuda", env=None, name="node"):
    return start_node(registry, tenants, "--device", device, "--kv-cache", "8MiB", *options, name=name,
                      env={**DEVICE, **(env or {})})


def residency(node):
    return requests.get(node.url + "/v1/residency", timeout=PATIENCE).json()


def metric(node, name):
    lines = requests.get(node.url + "/metrics", timeout=PATIENCE).text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


def ready(node):
    wait_until(lambda: requests.get(node.url + "/readyz", timeout=PATIENCE).status_code == 200, "a ready node")
    return OpenAi(node.url)


def pending(node, model):
    return next((p for p in residency(node)["pending"] if f"{p['tenant']}/{p['model']}" == model), {})


def size_of(admin, model, version=1):
    tenant, name = model.split("/")
    return admin.json(f"/v1/tenants/{tenant}/models/{name}/versions/{version}")["sizes"]["delta"]


def ask(api, model):
    """One token after one: a step."""
    return api.complete(model, [300], max_tokens=1, logprobs=0)["choices"][0]["logprobs"]["token_ids"]


def texts(api, models):
    """Greedy answers, all asked for at once."""
    with concurrent.futures.ThreadPoolExecutor(len(models)) as pool:
        return list(pool.map(lambda model: api.text(model, PROMPT, max_tokens=TOKENS), models))


def test_tenants_in_a_batch_answer_as_on_the_cpu_and_swap(two, admin, start_node):
    models = ["kjv/model", "pysrc/model", "base"]
    tenants = ["kjv", "pysrc"]
    cpu = ready(node_of(start_node, two, tenants, device="cpu", name="cpu"))
    node = node_of(start_node, two, tenants)
    api = ready(node)
    assert texts(api, models) == texts(cpu, models)
    engine, = api.serving()
    assert engine["tokens"] == TOKENS * len(models) and engine["steps"] < engine["tokens"]
    document = residency(node)
    sizes = size_of(admin, "kjv/model") + size_of(admin, "pysrc/model")
    assert document["device"] == "cuda:0" and residency(node)["device_memory"]["used"] == sizes
    assert document["device_memory"]["beside"] > 0
    assert document["device_memory"]["device_free"] < document["device_memory"]["device_total"] - sizes
    assert metric(node, "signum_node_device_memory_used_bytes") == sizes
    second = admin.json("/v1/tenants/kjv/models/model/versions/2")["digest"]
    admin.promote("kjv/model", 2)
    wait_until(lambda: any(m["digest"] == second for m in residency(node)["models"]), "the swap")
    assert texts(api, models[:1]) == texts(cpu, models[:1])
    wait_until(lambda: metric(node, "signum_node_freed") == 1, "the old generation freed")
    assert residency(node)["device_memory"]["used"] == size_of(admin, "kjv/model", 2) + size_of(admin, "pysrc/model")
    assert node.stop() == 0, node.log()[-2000:]


def loads_from(node, source):
    text = requests.get(node.url + "/metrics", timeout=PATIENCE).text
    counted = re.search(rf'signum_node_loads_total{{source="{source}"}} (\S+)', text)
    return float(counted[1]) if counted else 0


def host_copies(node):
    return {(f"{m['tenant']}/{m['model']}", m["version"]) for m in residency(node)["host"]}


@pytest.mark.parametrize("slots", (False, True))
def test_what_was_evicted_from_the_device_comes_back_from_the_cache(two, admin, start_node, slots):
    """Where the host's memory has room for no more than what is on its way."""
    models = ["kjv/model", "pysrc/model"]
    if slots:  # with --slots 1 two places: the third model needs one of them
        admin.publish("pysrc/other", FAMILY / "sqlite")
        models.append("pysrc/other")
    most = max(size_of(admin, model) for model in models)
    options = ["--slots", "1", "--device-memory", str(2 * most + 512)] if slots else ["--device-memory", str(most * 3 // 2)]
    node = node_of(start_node, two, ["kjv", "pysrc"], *options, "--memory", str(most))
    api = ready(node)
    first = [ask(api, model) for model in models][0]
    assert metric(node, "signum_node_evictions_total") > 0
    assert pending(node, models[0])["state"] == "stored"
    downloaded, cached = metric(node, "signum_node_downloaded_bytes_total"), loads_from(node, "cache")
    assert ask(api, models[0]) == first
    assert metric(node, "signum_node_downloaded_bytes_total") == downloaded
    applied = [f"{m['tenant']}/{m['model']}" for m in residency(node)["models"]]
    assert len(applied) == len(models) - 1 and models[0] in applied
    assert residency(node)["device_memory"]["used"] == sum(size_of(admin, model) for model in applied)
    assert loads_from(node, "cache") == cached + 1


def test_what_was_evicted_from_the_device_comes_back_from_the_host(two, admin, start_node):
    models = ["kjv/model", "pysrc/model"]
    most = max(size_of(admin, model) for model in models)
    node = node_of(start_node, two, ["kjv", "pysrc"], "--device-memory", str(most * 3 // 2))
    api = ready(node)
    first = [ask(api, model) for model in models][0]
    assert pending(node, models[0])["state"] == "host"
    assert host_copies(node) == {("kjv/model", 1), ("pysrc/model", 1)}
    assert residency(node)["memory"]["used"] == sum(size_of(admin, model) for model in models)
    two.kill()
    shutil.rmtree(node.cache / "deltas")
    assert [ask(api, model) for model in models][0] == first
    assert loads_from(node, "host") >= 2 and metric(node, "signum_node_evictions_total") >= 3


def test_going_back_takes_no_download(two, admin, start_node):
    node = node_of(start_node, two, ["kjv"])
    api = ready(node)
    first = ask(api, "kjv/model")
    for version in (2, 1):
        admin.promote("kjv/model", version)
        wait_until(lambda: [m["version"] for m in residency(node)["models"]] == [version], "the swap")
    assert ask(api, "kjv/model") == first
    assert loads_from(node, "registry") == 2 and loads_from(node, "host") == 1
    assert host_copies(node) == {("kjv/model", 1), ("kjv/model", 2)}
    admin.delete("/v1/tenants/kjv/models/model/aliases/live")  # what is not wanted any more is not kept
    wait_until(lambda: host_copies(node) == set() and residency(node)["memory"]["used"] == 0, "an empty host")


def test_the_device_holds_more_than_the_host(two, admin, start_node):
    models = ["kjv/model", "pysrc/model"]
    most = max(size_of(admin, model) for model in models)
    node = node_of(start_node, two, ["kjv", "pysrc"], "--memory", str(most))
    api = ready(node)
    assert {f"{m['tenant']}/{m['model']}" for m in residency(node)["models"]} == set(models)
    assert residency(node)["device_memory"]["used"] == sum(size_of(admin, model) for model in models)
    assert len(host_copies(node)) == 1 and residency(node)["memory"]["used"] <= most
    for model in models:
        assert ask(api, model)


def test_a_delta_that_the_device_cannot_hold_is_refused_with_the_numbers(two, admin, start_node):
    smaller, larger = sorted(("kjv/model", "pysrc/model"), key=lambda model: size_of(admin, model))
    alone = node_of(start_node, two, [larger.split("/")[0]], name="alone")
    ready(alone)
    size, beside = (residency(alone)["device_memory"][part] for part in ("used", "beside"))
    assert size == size_of(admin, larger) and residency(alone)["device_memory"]["free"] > 0
    # What lies beside is known to 64 bytes before it is there, so that this is too little whatever was loaded first.
    too_little = size + beside - 128
    node = node_of(start_node, two, ["kjv", "pysrc"], "--device-memory", str(too_little))
    api = ready(node)
    refused = wait_until(lambda: pending(node, larger).get("reason") and pending(node, larger), "a refusal")
    assert refused["state"] == "refused" and refused["reason"] == "device_budget"
    told = re.search(rf"{size} bytes and (\d+) beside them, {too_little} are", refused["message"])
    assert told and abs(int(told[1]) - beside) <= 64, refused["message"]
    assert larger in api.error(503, model=larger, prompt=PROMPT, max_tokens=1)["message"]
    assert ask(api, smaller)
    too_small = node_of(start_node, two, [larger.split("/")[0]], "--device-memory", str(size - 1), name="too-small")
    refused = wait_until(lambda: pending(too_small, larger).get("reason") and pending(too_small, larger), "a refusal")
    assert refused["state"] == "refused" and refused["reason"] == "device_budget"
    assert str(size) in refused["message"] and "--device-memory" in refused["message"]


@emulated_alone
def test_bytes_that_change_on_the_way_to_the_device_are_refused(two, admin, start_node, tmp_path):
    """The old generation stays, and what came wrong is not tried again without end."""
    flip = tmp_path / "flip"
    node = node_of(start_node, two, ["kjv"], "--refused-retry", "1", env={"SIGNUM_EMULATED_FLIP": str(flip)})
    api = ready(node)
    first = ask(api, "kjv/model")
    flip.touch()
    admin.promote("kjv/model", 2)
    refused = wait_until(lambda: pending(node, "kjv/model").get("reason") and pending(node, "kjv/model"), "a refusal")
    assert (refused["version"], refused["reason"]) == (2, "device_mismatch")
    assert "chunk" in refused["message"] and "cuda:0" in refused["message"]
    assert [m["version"] for m in residency(node)["models"]] == [1]
    assert ask(api, "kjv/model") == first
    # Between tries it holds nothing.
    wait_until(lambda: residency(node)["device_memory"]["used"] == size_of(admin, "kjv/model"), "the memory of a try")
    assert 'signum_node_verify_failures_total{reason="device_mismatch"}' in requests.get(node.url + "/metrics").text
    reported = wait_until(lambda: [m for n in admin.json("/v1/nodes")["nodes"] for m in n["models"]
                                   if m["state"] == "refused"], "the report")
    assert reported[0]["version"] == 2 and reported[0]["reason"].startswith("device_mismatch:")
    flip.unlink()
    wait_until(lambda: [m["version"] for m in residency(node)["models"]] == [2], "the next try")


@emulated_alone
def test_a_device_that_fails_for_good_is_said_and_not_tried_again(two, start_node, tmp_path):
    """As after an illegal access: the process must go, so its health says so, while it answers with errors."""
    fail = tmp_path / "fail"
    node = node_of(start_node, two, ["kjv"], env={"SIGNUM_EMULATED_FAIL": str(fail)})
    api = ready(node)
    assert ask(api, "kjv/model")
    fail.touch()
    error = api.error(503, model="kjv/model", prompt=PROMPT, max_tokens=1)
    assert "illegal memory access" in error["message"], error
    for path in ("/readyz", "/healthz"):
        said = requests.get(node.url + path, timeout=PATIENCE)
        assert said.status_code == 503 and said.json()["status"] == "failed" and "cuda:0" in said.json()["detail"]
    steps = api.serving()[0]["steps"]
    time.sleep(0.3)
    assert api.serving()[0]["steps"] == steps, "nobody asks, so nothing is tried"
    assert "illegal memory access" in api.error(503, model="kjv/model", prompt=PROMPT, max_tokens=1)["message"]
    assert node.stop() == 0, node.log()[-2000:]


@emulated_alone
def test_a_base_that_the_device_cannot_hold_is_refused_with_the_numbers(two, start_node):
    node = node_of(start_node, two, ["kjv"], env={"SIGNUM_EMULATED_MEMORY": str(5 << 20)})
    refused = wait_until(lambda: pending(node, "kjv/model").get("reason") and pending(node, "kjv/model"), "a refusal")
    assert refused["reason"] == "device_memory" and str(5 << 20) in refused["message"]
    assert residency(node)["device_memory"]["used"] == 0


@emulated_alone
def test_slots_that_the_device_cannot_hold_are_refused_at_the_start():
    ended = run(BIN / "signum-node", "--registry", "http://127.0.0.1:9", "--tenant", "a", "--cache", "/tmp/none", "--slots", "1",
                "--device", "cuda:0", "--device-memory", "1MiB", env={**DEVICE, "SIGNUM_EMULATED_MEMORY": "4096"})
    assert ended.returncode == 1 and "(device_memory)" in ended.stderr and "4096" in ended.stderr


@emulated_alone
def test_a_device_that_is_not_there_is_said_at_the_start():
    command = [BIN / "signum-node", "--registry", "http://127.0.0.1:9", "--tenant", "a", "--cache", "/tmp/none"]
    missing = run(*command, "--device", "cuda", env={"SIGNUM_CUDA_MODULE": "/nowhere/module.so"})
    assert missing.returncode == 1 and "cuda: no " in missing.stderr and "(no_cuda)" in missing.stderr
    other = run(*command, "--device", "cuda:3", env=DEVICE)
    assert other.returncode == 1 and "no device 3: there are 1" in other.stderr
    unknown = run(*command, "--device", "gpu")
    assert unknown.returncode == 2 and "bad_device" in unknown.stderr
    kept = run(*command, "--device", "cuda", "--no-serve", env=DEVICE)
    assert kept.returncode == 2 and "--no-serve" in kept.stderr


def test_auto_takes_the_device_that_is_there(published, start_node):
    here = node_of(start_node, published, ["kjv"], device="auto", name="here")
    assert residency(here)["device"] == "cuda:0"
    elsewhere = start_node(published, ["kjv"], "--device", "auto", name="elsewhere",
                           env={"SIGNUM_CUDA_MODULE": "/nowhere/module.so"})
    assert residency(elsewhere)["device"] == "cpu" and residency(elsewhere)["device_memory"] is None
    assert "serving: running on the CPU: no " in elsewhere.log()
