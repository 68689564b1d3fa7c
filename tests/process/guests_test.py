"""Tenants that a node was not told to serve, but whose models somebody asks for."""

import time

import pytest
import requests

from api import Api
from openai import OpenAi
from programs import FAMILY, PATIENCE, Node, Registry, wait_until

PROMPT = "In the beginning"


def residency(node):
    return requests.get(node.url + "/v1/residency", timeout=PATIENCE).json()


def resident(node):
    return {f'{m["tenant"]}/{m["model"]}' for m in residency(node)["models"]}


@pytest.fixture
def three(registry, admin):
    """kjv, pysrc and sqlite have a model each."""
    admin.push_base("base", FAMILY / "base")
    for name in ("kjv", "pysrc", "sqlite"):
        admin.publish(f"{name}/model", FAMILY / name)
    admin.publish("pysrc/other", FAMILY / "sqlite")
    return registry


@pytest.fixture
def start_for(start, tmp_path):
    """A node that serves `named` with a token for `allowed`."""

    def begin(registry, named, allowed, *options, name="node"):
        token = Api(registry.url, registry.token).create_token("node", *allowed)
        node = start(Node, registry.url, token, named, *options, name=name, folder=tmp_path / "nodes" / name)
        wait_until(lambda: requests.get(node.url + "/readyz", timeout=PATIENCE).status_code == 200, "a ready node")
        return node

    return begin


def test_a_model_is_fetched_on_first_use_when_the_token_allows(three, admin, start_for):
    node = start_for(three, ["kjv"], ["kjv", "pysrc"])
    api = OpenAi(node.url)
    assert resident(node) == {"kjv/model"}
    answer = api.complete("pysrc/model", "def ", max_tokens=8)
    version = admin.json("/v1/tenants/pysrc/models/model/versions/1")
    assert answer["system_fingerprint"] == version["digest"] and answer["choices"][0]["text"]
    assert residency(node)["guests"] == ["pysrc"]
    assert resident(node) == {"kjv/model", "pysrc/model"}  # the other one nobody has asked for
    assert {m["id"] for m in requests.get(node.url + "/v1/models", timeout=PATIENCE).json()["data"]} == {
        "kjv/model", "pysrc/model", "pysrc/other"}
    # The token says no; so does the registry of what does not exist. In both cases in OpenAI's form.
    for model in ("sqlite/model", "nobody/model", "pysrc/nothing", "kjv/nothing"):
        error = api.error(404, model=model, prompt=PROMPT)
        assert error["code"] == "model_not_found" and error["param"] == "model", error
    assert resident(node) == {"kjv/model", "pysrc/model"}
    # A stream too, of a model that is fetched for it.
    assert list(api.stream("pysrc/other", PROMPT, max_tokens=2))
    assert node.stop() == 0


def test_a_guests_new_version_is_swapped_in(three, admin, start_for):
    node = start_for(three, ["kjv"], ["kjv", "pysrc"])
    api = OpenAi(node.url)
    api.text("pysrc/model", PROMPT, max_tokens=1)
    second = admin.publish("pysrc/model", FAMILY / "kjv")
    admin.promote("pysrc/model", 2)
    wait_until(lambda: api.complete("pysrc/model", PROMPT, max_tokens=1)["system_fingerprint"] == second["digest"],
               "the swap")
    created = admin.publish("pysrc/fresh", FAMILY / "kjv")
    answer = api.complete("pysrc/fresh", PROMPT, max_tokens=1)  # the registry is asked, not the feed waited for
    assert answer["system_fingerprint"] == created["digest"]


def test_guests_are_bounded_and_leave_when_they_are_idle(three, start_for):
    node = start_for(three, ["kjv"], ["kjv", "pysrc", "sqlite"], "--guests", "1", "--guest-idle", "2")
    api = OpenAi(node.url)
    api.text("pysrc/model", PROMPT, max_tokens=1)
    api.text("sqlite/model", PROMPT, max_tokens=1)
    assert residency(node)["guests"] == ["sqlite"]
    assert resident(node) == {"kjv/model", "sqlite/model"}
    wait_until(lambda: residency(node)["guests"] == [], "an idle guest's leave")
    assert resident(node) == {"kjv/model"}
    none = start_for(three, ["kjv"], ["kjv", "pysrc"], "--guests", "0", name="closed")
    OpenAi(none.url).error(404, model="pysrc/model", prompt=PROMPT)


def test_without_a_registry_the_unknown_is_unavailable(three, start, start_for):
    node = start_for(three, ["kjv"], ["kjv", "pysrc"])
    api, port = OpenAi(node.url), three.port
    expected = api.text("kjv/model", PROMPT, max_tokens=8)
    three.kill()
    response = api.post("/v1/completions", {"model": "pysrc/model", "prompt": PROMPT}, 503)
    assert response.json()["error"]["code"] == "registry_away" and int(response.headers["Retry-After"]) >= 1
    assert api.text("kjv/model", PROMPT, max_tokens=8) == expected
    start(Registry, listen=f"127.0.0.1:{port}")
    time.sleep(0.1)

    def answers():
        return api.session.post(node.url + "/v1/completions", timeout=PATIENCE,
                                json={"model": "pysrc/model", "prompt": PROMPT}).status_code == 200

    wait_until(answers, "pysrc, once the registry is back")
