"""signum-node against a real registry: pull by tenant, verify, swap, roll back, come back from cache."""

import json
import signal
import threading
import time

import pytest
import requests

from api import Api
from programs import BIN, FAMILY, Program, run, signum, wait_until


def residency(node):
    return requests.get(node.url + "/v1/residency", timeout=20).json()


def resident(node, model="kjv/model"):
    """The entry of a resident model, or None."""
    tenant, name = model.split("/")
    for entry in residency(node)["models"]:
        if (entry["tenant"], entry["model"]) == (tenant, name):
            return entry
    return None


def runs(node, version, model="kjv/model"):
    entry = resident(node, model)
    return entry is not None and entry["version"] == version and entry["state"] == "applied"


def wait_runs(node, version, model="kjv/model"):
    wait_until(lambda: runs(node, version, model), f"{model}@{version} on the node: {node.log()[-1500:]}")


def reported(admin, model="kjv/model"):
    """What the registry knows that nodes run of a model: [(version, state, lag)]."""
    tenant, name = model.split("/")
    return [(m["version"], m["state"], m["lag"]) for n in admin.json("/v1/nodes")["nodes"] for m in n["models"]
            if (m["tenant"], m["model"]) == (tenant, name)]


def test_pull_swap_and_roll_back_live(published, admin, start_node):
    node = start_node(published, ["kjv"])
    wait_runs(node, 1)
    version = admin.json("/v1/tenants/kjv/models/model/versions/1")
    assert resident(node)["digest"] == version["digest"]
    assert requests.get(node.url + "/healthz", timeout=20).status_code == 200
    assert requests.get(node.url + "/readyz", timeout=20).status_code == 200
    wait_until(lambda: reported(admin) == [(1, "applied", False)], "the node's report")
    admin.publish("kjv/model", FAMILY / "sqlite")
    time.sleep(0.3)
    assert runs(node, 1)  # a ready version is not live until somebody says so
    admin.promote("kjv/model", 2)
    wait_runs(node, 2)
    admin.promote("kjv/model", 1)
    wait_runs(node, 1)
    wait_until(lambda: reported(admin) == [(1, "applied", False)], "the report after the roll back")
    assert "signum" in requests.get(node.url + "/metrics", timeout=20).text
    assert node.stop() == 0


def test_residency_is_never_empty_while_swapping(published, admin, start_node):
    """A reader that asks all the time always finds a whole generation."""
    admin.publish("kjv/model", FAMILY / "sqlite")
    node = start_node(published, ["kjv"])
    wait_runs(node, 1)
    digests = {1: admin.json("/v1/tenants/kjv/models/model/versions/1")["digest"],
               2: admin.json("/v1/tenants/kjv/models/model/versions/2")["digest"]}
    stop, seen = threading.Event(), []

    def read():
        while not stop.is_set():
            seen.append(resident(node))

    reader = threading.Thread(target=read)
    reader.start()
    for version in (2, 1, 2, 1):
        admin.promote("kjv/model", version)
        wait_runs(node, version)
    stop.set()
    reader.join()
    assert len(seen) > 10
    assert all(entry and entry["digest"] == digests[entry["version"]] for entry in seen)


def test_a_node_sees_only_its_tenants(published, admin, start_node):
    admin.publish("sqlite/model", FAMILY / "sqlite")
    admin.publish("pysrc/model", FAMILY / "pysrc")
    node = start_node(published, ["kjv", "sqlite"])
    wait_runs(node, 1)
    wait_runs(node, 1, "sqlite/model")
    assert {m["tenant"] for m in residency(node)["models"]} == {"kjv", "sqlite"}


def test_a_damaged_delta_is_refused_and_the_old_one_stays(published, admin, start_node, proxy):
    node = start_node(published, ["kjv"], via=proxy.url)
    wait_runs(node, 1)
    admin.publish("kjv/model", FAMILY / "sqlite")
    proxy.flip = lambda path: 300_000 if proxy.is_delta(path) else None
    admin.promote("kjv/model", 2)

    def refused():
        return [entry for entry in reported(admin) if entry[1] == "refused" or entry[2]]

    wait_until(lambda: any(m.get("state") == "refused" and "chunk_mismatch" in m["reason"]
                           for n in admin.json("/v1/nodes")["nodes"] for m in n["models"]),
               "the reported refusal, which names the chunk")
    assert refused()
    assert resident(node)["version"] == 1  # still serving what it had
    wait_until(lambda: len(proxy.downloads()) >= 2, "another try")
    proxy.flip = lambda path: None
    wait_runs(node, 2)  # and gets over it
    wait_until(lambda: reported(admin) == [(2, "applied", False)], "the report")


def test_a_cut_download_goes_on_where_it_stopped(published, admin, start_node, proxy):
    size = admin.json("/v1/tenants/kjv/models/model/versions/1")["sizes"]["delta"]
    cuts = [200_000, 150_000]

    def cut(path):
        return cuts.pop(0) if proxy.is_delta(path) and cuts else None

    proxy.cut = cut
    node = start_node(published, ["kjv"], via=proxy.url)
    wait_runs(node, 1)
    passed = sum(entry[2] for entry in proxy.downloads())
    assert len(proxy.downloads()) == 3
    assert size <= passed < size + 3 * 131_072  # nothing fetched twice but what was in flight


def test_a_restart_reloads_from_cache(published, admin, start_node, proxy):
    node = start_node(published, ["kjv"], via=proxy.url)
    wait_runs(node, 1)
    assert len(proxy.downloads()) == 1
    assert node.stop(signal.SIGKILL) == -signal.SIGKILL
    node = start_node(published, ["kjv"], via=proxy.url)
    wait_runs(node, 1)
    assert len(proxy.downloads()) == 1
    assert node.stop() == 0


def test_without_a_flag_the_cache_is_the_users(published, admin, start, tmp_path):
    token, port_file = admin.create_token("node", "kjv"), tmp_path / "plain.port"
    command = ["env", f"XDG_CACHE_HOME={tmp_path / 'caches'}", BIN / "signum-node", "--registry", published.url,
               "--token", token, "--tenant", "kjv", "--node", "plain", "--listen", "localhost:0", "--port-file", port_file]
    start(lambda folder: Program(command, folder, "plain")).wait_for_file(port_file)
    wait_until(lambda: reported(admin) == [(1, "applied", False)], "the node's report")
    assert any((tmp_path / "caches/signum-node/plain/deltas").iterdir())


def test_a_damaged_cache_is_fetched_again(published, start_node, proxy):
    node = start_node(published, ["kjv"], via=proxy.url)
    wait_runs(node, 1)
    assert node.stop() == 0
    [cached] = (node.log_path.parent / "cache/deltas").iterdir()
    data = bytearray(cached.read_bytes())
    data[len(data) // 2] ^= 1
    cached.write_bytes(data)
    node = start_node(published, ["kjv"], via=proxy.url)
    wait_runs(node, 1)
    assert len(proxy.downloads()) == 2 and "copy is damaged (chunk_mismatch)" in node.log()


def test_a_node_outlives_its_registry(published, start, start_node):
    from programs import Registry

    node = start_node(published, ["kjv"])
    wait_runs(node, 1)
    port = published.port
    published.kill()
    time.sleep(1)
    assert runs(node, 1)
    again = start(Registry, listen=f"127.0.0.1:{port}")
    admin = Api(again.url, again.token)
    admin.publish("kjv/model", FAMILY / "sqlite")
    admin.promote("kjv/model", 2)
    wait_runs(node, 2)


def test_a_foreign_signature_is_refused(published, admin, start_node, proxy):
    """A node that knows the key trusts no manifest that another key signed."""
    other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    node = start_node(published, ["kjv"], "--trust-key", other)
    wait_until(lambda: any(m.get("state") == "refused" for n in admin.json("/v1/nodes")["nodes"]
                           for m in n["models"]), "the refusal")
    assert not runs(node, 1)
    assert proxy.downloads() == []


def test_a_rotated_key_is_believed_because_the_old_one_endorsed_it(published, admin, start_node, tmp_path):
    """Nodes that pinned a key, and people who named one, go on after its rotation."""
    old = admin.json("/v1/keys")["keys"][0]["public"]
    node = start_node(published, ["kjv"])
    wait_runs(node, 1)
    rotated = signum("keys", "rotate", "--json", registry=published)
    assert rotated.returncode == 0, rotated.stderr
    assert json.loads(rotated.stdout)["id"] == admin.json("/v1/keys")["keys"][0]["id"]
    admin.publish("kjv/model", FAMILY / "sqlite")
    admin.promote("kjv/model", 2)
    wait_runs(node, 2)
    for version in (1, 2):
        pulled = signum("pull", f"kjv/model@{version}", "-o", tmp_path / str(version), "--key", old,
                        registry=published)
        assert pulled.returncode == 0, pulled.stderr


def test_a_removed_model_leaves_the_node(published, admin, start_node):
    node = start_node(published, ["kjv"])
    wait_runs(node, 1)
    admin.delete("/v1/tenants/kjv/models/model/aliases/live")
    wait_until(lambda: resident(node) is None, "the model's leave")


@pytest.mark.parametrize("option, why", [(("--pin", "nonsense"), "TENANT/MODEL"), (("--pin", "kjv/model@2"), "version"),
                                         (("--listen", "here"), "ADDRESS:PORT"), (("--trust-key", "AAAA"), "Ed25519")])
def test_flags_that_could_never_be_right(published, option, why):
    done = run(BIN / "signum-node", "--registry", published.url, "--token", "x", "--tenant", "kjv", "--cache", published.folder / "wrong",
               *option)
    assert done.returncode == 2 and why in done.stderr, done.stderr


def test_a_node_token_of_another_tenant_starts_nothing(published, start_node, admin):
    """The registry says no; the node says so and stays up or ends with a refusal, but runs nothing."""
    token = admin.create_token("node", "sqlite")
    done = run("timeout", "-k", "5", "5", BIN / "signum-node", "--registry", published.url, "--token", token,
               "--tenant", "kjv", "--listen", "127.0.0.1:0", "--cache", published.folder / "foreign")
    assert "kjv" in done.stderr + done.stdout
    assert not any(f.stat().st_size > 100_000 for f in (published.folder / "foreign").rglob("*") if f.is_file())
