"""signum-node with a device: the CUDA module's kernels over the emulator (tests/gpu/CMakeLists.txt), a few tokens each."""

import concurrent.futures

import pytest
import requests

from openai import OpenAi
from programs import BIN, FAMILY, PATIENCE, run, wait_until

EMULATED = BIN.parent / "emulated"
DEVICE = {"SIGNUM_CUDA_MODULE": str(EMULATED / "libsignum_cuda.so"), "LD_LIBRARY_PATH": str(EMULATED)}
PROMPT = "In the"
TOKENS = 3

pytestmark = pytest.mark.skipif(not (EMULATED / "libsignum_cuda.so").exists(), reason="the emulated module is not built")


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
    assert document["device"] == "cuda:0" and document["device_memory"]["used"] == sizes
    assert document["device_memory"]["device_free"] < document["device_memory"]["device_total"] - sizes
    assert metric(node, "signum_node_device_memory_used_bytes") == sizes
    second = admin.json("/v1/tenants/kjv/models/model/versions/2")["digest"]
    admin.promote("kjv/model", 2)
    wait_until(lambda: any(m["digest"] == second for m in residency(node)["models"]), "the swap")
    assert texts(api, models[:1]) == texts(cpu, models[:1])
    wait_until(lambda: metric(node, "signum_node_freed") == 1, "the old generation freed")
    assert residency(node)["device_memory"]["used"] == size_of(admin, "kjv/model", 2) + size_of(admin, "pysrc/model")
    assert node.stop() == 0, node.log()[-2000:]


@pytest.mark.parametrize("slots", (False, True))
def test_what_was_evicted_from_the_device_comes_back_from_the_cache(two, admin, start_node, slots):
    models = ["kjv/model", "pysrc/model"]
    if slots:  # with --slots 1 two places: the third model needs one of them
        admin.publish("pysrc/other", FAMILY / "sqlite")
        models.append("pysrc/other")
    most = max(size_of(admin, model) for model in models)
    options = ["--slots", "1", "--device-memory", str(2 * most + 512)] if slots else ["--device-memory", str(most)]
    node = node_of(start_node, two, ["kjv", "pysrc"], *options)
    api = ready(node)
    first = [ask(api, model) for model in models][0]
    assert metric(node, "signum_node_evictions_total") > 0
    assert pending(node, models[0])["state"] == "stored"
    downloaded = metric(node, "signum_node_downloaded_bytes_total")
    assert ask(api, models[0]) == first
    assert metric(node, "signum_node_downloaded_bytes_total") == downloaded
    applied = [f"{m['tenant']}/{m['model']}" for m in residency(node)["models"]]
    assert len(applied) == len(models) - 1 and models[0] in applied
    assert residency(node)["device_memory"]["used"] == sum(size_of(admin, model) for model in applied)


def test_a_delta_that_the_device_cannot_hold_is_refused_with_the_numbers(two, admin, start_node):
    smaller, larger = sorted(("kjv/model", "pysrc/model"), key=lambda model: size_of(admin, model))
    node = node_of(start_node, two, ["kjv", "pysrc"], "--device-memory", str(size_of(admin, larger) - 1))
    api = ready(node)
    refused = wait_until(lambda: pending(node, larger).get("reason") and pending(node, larger), "a refusal")
    assert refused["state"] == "refused" and refused["reason"] == "device_budget"
    assert str(size_of(admin, larger)) in refused["message"] and "--device-memory" in refused["message"]
    assert larger in api.error(503, model=larger, prompt=PROMPT, max_tokens=1)["message"]
    assert ask(api, smaller)


def test_a_base_that_the_device_cannot_hold_is_refused_with_the_numbers(two, start_node):
    node = node_of(start_node, two, ["kjv"], env={"SIGNUM_EMULATED_MEMORY": str(5 << 20)})
    refused = wait_until(lambda: pending(node, "kjv/model").get("reason") and pending(node, "kjv/model"), "a refusal")
    assert refused["reason"] == "device_memory" and str(5 << 20) in refused["message"]
    assert residency(node)["device_memory"]["used"] == 0


def test_slots_that_the_device_cannot_hold_are_refused_at_the_start():
    ended = run(BIN / "signum-node", "--registry", "http://127.0.0.1:9", "--tenant", "a", "--cache", "/tmp/none", "--slots", "1",
                "--device", "cuda:0", "--device-memory", "1MiB", env={**DEVICE, "SIGNUM_EMULATED_MEMORY": "4096"})
    assert ended.returncode == 1 and "(device_memory)" in ended.stderr and "4096" in ended.stderr


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
