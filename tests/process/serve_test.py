"""signum-node answers: against PyTorch, in batches, streamed, across swaps, and what it refuses."""

import concurrent.futures
import json
import re
import threading
import time

import pytest
import requests

from api import files_of
from conftest import Family
from openai import OpenAi, text_of
from programs import DATA, FAMILY, FINE_TUNES, PATIENCE, Node, wait_until

GOLDEN = json.loads((DATA / "golden/greedy.json").read_text())
PROMPT = "In the beginning"


class Served:
    """The family with exact and 1-bit models, and a node that serves them."""

    def __init__(self, folder):
        self.family = Family(folder / "registry")
        self.admin = self.family.admin
        for name in FINE_TUNES:
            self.admin.publish(f"{name}/exact", FAMILY / name, codec="raw", embeddings="exact")
        token = self.admin.create_token("node", *FINE_TUNES)
        self.node = Node(folder / "node", self.family.registry.url, token, FINE_TUNES)
        self.api = OpenAi(self.node.url)
        wait_until(lambda: requests.get(self.node.url + "/readyz", timeout=PATIENCE).status_code == 200,
                   "a ready node")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("serve"))
    yield served
    served.family.registry.kill()
    assert served.node.stop() == 0, served.node.log()[-2000:]


@pytest.fixture
def api(served):
    yield served.api
    served.api.wait_idle()


def model_of(name):
    return "base" if name == "base" else f"{name}/exact"


# ---- what it says


@pytest.mark.parametrize("name", ("base", *FINE_TUNES))
def test_greedy_tokens_are_pytorchs(api, name):
    prompts = GOLDEN["prompts"]
    answer = api.complete(model_of(name), [p["ids"] for p in prompts], max_tokens=24, logprobs=0)
    assert [c["logprobs"]["token_ids"] for c in answer["choices"]] == GOLDEN["models"][name]
    texts = api.complete(model_of(name), [p["text"] for p in prompts], max_tokens=24)
    assert [c["text"] for c in texts["choices"]] == [c["text"] for c in answer["choices"]]
    assert answer["usage"]["prompt_tokens"] == sum(len(p["ids"]) for p in prompts)
    assert answer["usage"]["completion_tokens"] == sum(map(len, GOLDEN["models"][name]))


def test_a_batch_of_many_tenants_answers_as_one_at_a_time(api):
    """Texts and logprobs to the last bit, whoever else is in the batch."""
    jobs = [(f"{name}/{kind}", GOLDEN["prompts"][i]["text"]) for i in range(4) for name in FINE_TUNES
            for kind in ("model", "exact")]

    def ask(job):
        return api.complete(*job, max_tokens=20, logprobs=2)["choices"]

    alone = [ask(job) for job in jobs]
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        together = list(pool.map(ask, jobs))
    assert together == alone


def test_fingerprints_name_the_delta(served, api):
    for name in FINE_TUNES:
        answer = api.complete(f"{name}/model", PROMPT, max_tokens=1)
        assert answer["system_fingerprint"] == served.family.versions[name]["digest"]
        assert answer["model"] == f"{name}/model" and answer["object"] == "text_completion"
    models = requests.get(api.url + "/v1/models", timeout=PATIENCE).json()
    listed = {m["id"]: m["system_fingerprint"] for m in models["data"]}
    assert listed["kjv/model"] == served.family.versions["kjv"]["digest"]


def test_a_stream_is_the_answer_in_pieces(api):
    for seed in (1, 2, 3):
        fields = {"max_tokens": 60, "temperature": 1.3, "seed": seed}
        whole = api.complete("kjv/model", PROMPT, **fields)
        events = list(api.stream("kjv/model", PROMPT, stream_options={"include_usage": True}, **fields))
        assert text_of(events) == whole["choices"][0]["text"]
        assert events[-1]["usage"] == whole["usage"]
        assert events[-2]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
        assert {e["id"] for e in events} == {events[0]["id"]}
        assert {e["system_fingerprint"] for e in events} == {whole["system_fingerprint"]}


def test_characters_of_several_tokens_come_whole(api):
    """Ids that are single bytes of a character: a stream's events are never half of one."""
    heart = "\u2764\ufe0f\U0001f600".encode()
    ids = [1, *(3 + byte for byte in heart)]
    answer = api.complete("kjv/exact", ids, max_tokens=1, echo=True)
    assert answer["choices"][0]["text"].startswith(heart.decode())


def test_seeds_decide_samples(api):
    def ask(seed):
        return api.text("pysrc/model", "def ", max_tokens=30, temperature=1, seed=seed)

    assert ask(7) == ask(7)
    assert len({ask(seed) for seed in range(4)}) > 1
    assert api.text("pysrc/model", "def ", max_tokens=30, temperature=1, top_k=1) == \
        api.text("pysrc/model", "def ", max_tokens=30)
    assert api.text("pysrc/model", "def ", max_tokens=30, temperature=1, top_p=0) == \
        api.text("pysrc/model", "def ", max_tokens=30)


def test_several_answers_to_each_prompt(api):
    """Choices are those of each prompt together; answer i of the request is what seed + i gives alone."""
    asked = {"max_tokens": 12, "temperature": 1}
    answer = api.complete("kjv/model", [PROMPT, "And"], n=3, seed=7, **asked)
    texts = [choice["text"] for choice in answer["choices"]]
    assert texts == [api.text("kjv/model", prompt, seed=7 + 3 * i + j, **asked)
                     for i, prompt in enumerate([PROMPT, "And"]) for j in range(3)]
    assert len(set(texts)) > 3
    streamed = [""] * 6
    for event in api.stream("kjv/model", [PROMPT, "And"], n=3, seed=7, **asked):
        for choice in event["choices"]:
            streamed[choice["index"]] += choice["text"]
    assert streamed == texts
    once = api.complete("kjv/model", [PROMPT, "And"], **asked)["usage"]["prompt_tokens"]
    assert answer["usage"]["prompt_tokens"] == once and answer["usage"]["completion_tokens"] == 6 * 12


def test_places_of_logprobs_are_characters(api):
    ids = api.complete("kjv/model", "In the d\u00e9luge", echo=True, max_tokens=3, logprobs=0)["choices"][0]
    text, logprobs = ids["text"], ids["logprobs"]
    assert logprobs["text_offset"][:3] == [0, 0, 2]  # nothing, "In" (its blank is the tokenizer's), " the"
    for token, at in zip(logprobs["tokens"], logprobs["text_offset"]):
        if "\ufffd" not in token:
            assert text[at:].startswith(token) or (at == 0 and text.startswith(token.removeprefix(" "))), (token, at)


def test_a_model_is_found_by_its_name(served, api):
    listed = {model["id"]: model for model in requests.get(api.url + "/v1/models", timeout=PATIENCE).json()["data"]}
    for path in ("kjv/model", "kjv%2Fmodel"):  # OpenAI's clients send the latter
        found = requests.get(f"{api.url}/v1/models/{path}", timeout=PATIENCE)
        assert found.status_code == 200 and found.json() == listed["kjv/model"]
    for path in ("kjv/none", "kjv%2Fnone", "kjv", "%2F"):
        missing = requests.get(f"{api.url}/v1/models/{path}", timeout=PATIENCE)
        assert missing.status_code == 404 and missing.json()["error"]["code"] == "model_not_found"
    # Nothing else is reached by another spelling, and what an API key guards stays guarded.
    assert requests.get(api.url + "/v1%2Fresidency", timeout=PATIENCE).status_code == 404
    assert requests.get(api.url + "/v1/models%2f..%2fresidency", timeout=PATIENCE).status_code == 404


def test_stop_strings_end_the_text_before_them(api):
    whole = api.text("kjv/model", PROMPT, max_tokens=40)
    stop = whole[12:18]
    answer = api.complete("kjv/model", PROMPT, max_tokens=40, stop=["never said", stop])
    assert answer["choices"][0]["text"] == whole[:whole.index(stop)]
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] < 40
    assert text_of(api.stream("kjv/model", PROMPT, max_tokens=40, stop=stop)) == whole[:whole.index(stop)]


def test_logprobs(api):
    answer = api.complete("kjv/exact", PROMPT, max_tokens=5, logprobs=3)["choices"][0]["logprobs"]
    assert len(answer["tokens"]) == len(answer["token_logprobs"]) == len(answer["text_offset"]) == 5
    for value, top in zip(answer["token_logprobs"], answer["top_logprobs"]):
        assert len(top) == 3 and max(top.values()) == value < 0  # greedy: the likeliest


def test_echo_scores_the_prompt(api):
    """The prompt's logprobs, computed in one go, are those of its tokens one by one."""
    ids = GOLDEN["prompts"][0]["ids"]
    scored = api.complete("kjv/exact", ids, max_tokens=0, echo=True, logprobs=0)["choices"][0]
    assert scored["logprobs"]["token_ids"] == ids
    assert scored["logprobs"]["token_logprobs"][0] is None
    for at in (1, len(ids) - 1):
        top = api.complete("kjv/exact", ids[:at], max_tokens=1, logprobs=20)["choices"][0]["logprobs"]
        token = scored["logprobs"]["tokens"][at]
        if token in top["top_logprobs"][0]:
            assert top["top_logprobs"][0][token] == scored["logprobs"]["token_logprobs"][at]
    assert scored["text"].startswith("In the beginning")


# ---- generations


def version_texts(api, admin, model, digests, **fields):
    """What each version says, by fingerprint; leaves version 1 live."""
    texts = {}
    for version in reversed(sorted(digests)):
        admin.promote(model, version)
        wait_until(lambda: api.complete(model, PROMPT, max_tokens=1)["system_fingerprint"] == digests[version],
                   f"{model}@{version}")
        texts[digests[version]] = api.text(model, PROMPT, **fields)
    return texts


def publish_two(served, model):
    digests = {1: served.admin.publish(model, FAMILY / "kjv")["digest"],
               2: served.admin.publish(model, FAMILY / "sqlite")["digest"]}
    wait_until(lambda: requests.post(served.api.url + "/v1/completions", timeout=PATIENCE, json={
        "model": model, "prompt": PROMPT, "max_tokens": 1}).status_code == 200, model)
    return digests


def test_a_swap_in_mid_request_keeps_its_generation(served, api):
    model = "kjv/swapped"
    digests = publish_two(served, model)
    fields = {"max_tokens": 200}
    texts = version_texts(api, served.admin, model, digests, **fields)
    assert len(set(texts.values())) == 2
    begun, answers = threading.Barrier(9, timeout=PATIENCE), []

    def read():
        events = api.stream(model, PROMPT, **fields)
        first = next(events)
        begun.wait()
        rest = list(events)
        answers.append([first, *rest])

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    begun.wait()
    served.admin.promote(model, 2)
    wait_until(lambda: api.complete(model, PROMPT, max_tokens=1)["system_fingerprint"] == digests[2], "the swap")
    still_running = sum(reader.is_alive() for reader in readers)
    for reader in readers:
        reader.join()
    assert still_running > 0, "the swap came too late to be seen"
    for events in answers:
        assert {event["system_fingerprint"] for event in events} == {digests[1]}
        assert text_of(events) == texts[digests[1]]
    assert api.text(model, PROMPT, **fields) == texts[digests[2]]


def test_a_model_removed_while_it_answers_ends_its_answer(served, api):
    model = "sqlite/removed"
    served.admin.publish(model, FAMILY / "kjv")
    wait_until(lambda: requests.post(api.url + "/v1/completions", timeout=PATIENCE, json={
        "model": model, "prompt": PROMPT, "max_tokens": 1}).status_code == 200, model)
    expected = api.text(model, PROMPT, max_tokens=150)
    events = api.stream(model, PROMPT, max_tokens=150)
    first = next(events)
    served.admin.delete("/v1/tenants/sqlite/models/removed/aliases/live")
    rest = list(events)
    assert text_of([first, *rest]) == expected

    def gone():
        answer = requests.post(api.url + "/v1/completions", timeout=PATIENCE,
                               json={"model": model, "prompt": PROMPT, "max_tokens": 1})
        return answer.status_code == 404

    wait_until(gone, "the model's leave")


def test_a_client_that_leaves_gives_its_blocks_back(api):
    events = api.stream("kjv/model", PROMPT, max_tokens=490)
    next(events)
    cancelled = sum(s["cancelled"] for s in api.serving())
    events.close()
    api.wait_idle()
    wait_until(lambda: sum(s["cancelled"] for s in api.serving()) == cancelled + 1, "a cancelled request")


def test_metrics_tell_what_the_engine_does(served, api):
    def read():
        text = requests.get(api.url + "/metrics", timeout=PATIENCE).text
        rows = re.findall(r'^(\w+)(\{[^}]*\})? (\S+)$', text, re.MULTILINE)
        return {name + labels: float(value) for name, labels, value in rows}

    before = read()
    usage = api.complete("kjv/model", PROMPT, max_tokens=9)["usage"]
    api.error(404, model="kjv/nothing", prompt=PROMPT)
    events = api.stream("kjv/model", PROMPT, max_tokens=490)
    next(events)
    # A step's figures are there when it is over, its token a moment earlier.
    wait_until(lambda: read()['signum_engine_requests_running{base="base"}'] == 1, "a running request in the metrics")
    assert read()['signum_engine_kv_blocks{base="base",state="used"}'] > 0
    events.close()
    api.wait_idle()
    after = read()
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    assert grown['signum_engine_prompt_tokens_total{base="base"}'] == 2 * usage["prompt_tokens"]
    assert grown['signum_engine_generation_tokens_total{base="base"}'] >= 10
    assert grown['signum_engine_requests_total{base="base",finish="length"}'] == 1
    assert grown['signum_engine_requests_total{base="base",finish="cancelled"}'] == 1
    assert grown['signum_engine_time_to_first_token_seconds_count{base="base"}'] == 2
    assert grown['signum_engine_inter_token_seconds_count{base="base"}'] == \
        grown['signum_engine_generation_tokens_total{base="base"}'] - 2
    assert grown['signum_engine_request_seconds_count{base="base"}'] == 2
    assert grown['signum_http_requests_total{route="/v1/completions",status="404"}'] == 1
    assert grown['signum_http_requests_total{route="/v1/completions",status="200"}'] >= 1
    assert after['signum_engine_requests_running{base="base"}'] == after['signum_engine_requests_waiting{base="base"}'] == 0
    assert after['signum_engine_kv_blocks{base="base",state="used"}'] == 0 < after[
        'signum_engine_kv_blocks{base="base",state="free"}']
    assert after['signum_node_loads_total{source="registry"}'] >= 6
    assert after["signum_node_downloaded_bytes_total"] > sum(v["sizes"]["delta"] for v in served.family.versions.values())
    assert after["signum_node_evictions_total"] == after["signum_node_guests"] == 0


# ---- what it refuses


def test_malformed_requests(api):
    broken = requests.post(api.url + "/v1/completions", data=b'{"model": ', timeout=PATIENCE)
    assert broken.status_code == 400 and broken.json()["error"]["code"] == "bad_json"
    good = {"model": "kjv/model", "prompt": PROMPT}
    for field, value in (("model", 3), ("prompt", None), ("prompt", {}), ("prompt", [1, "a"]), ("max_tokens", -1),
                         ("temperature", "hot"), ("top_p", 2), ("stop", 5), ("n", 99), ("logprobs", 99),
                         ("stream", "yes"), ("tools", [{}]), ("presence_penalty", 1), ("prompt", []), ("no_such_field", 1)):
        error = api.error(400, **{**good, field: value})
        assert error["param"] == field and field in error["message"], error
    assert "4096" in api.error(400, model="kjv/model", prompt=[1, 4096])["message"]


def test_unknown_models(api):
    for model in ("kjv/other", "nobody/model", "nobody", "", "a/b/c"):
        error = api.error(404, model=model, prompt=PROMPT)
        assert error["code"] == "model_not_found" and error["param"] == "model"


def test_prompts_over_the_context_name_the_numbers(api):
    error = api.error(400, model="kjv/model", prompt=[5] * 600)
    assert error["code"] == "context_length_exceeded" and "512" in error["message"] and "600" in error["message"]
    error = api.error(400, model="kjv/model", prompt=[5] * 500, max_tokens=13)
    assert "513" in error["message"]
    answer = api.complete("kjv/model", [5] * 500, max_tokens=12)
    assert answer["usage"]["total_tokens"] <= 512


def test_megabytes_that_cannot_fit_are_not_read(api):
    begun = time.monotonic()
    error = api.error(400, model="kjv/model", prompt="x " * 3_500_000)
    assert error["code"] == "context_length_exceeded" and "7000000 bytes" in error["message"]
    assert time.monotonic() - begun < 2  # reading them takes several seconds
    api.error(400, "/v1/chat/completions", model="kjv/model", messages=[{"role": "user", "content": "x " * 3_500_000}])


def test_a_full_queue_says_429(served, start_node):
    node = start_node(served.family.registry, ["kjv"], "--max-batch", "1", "--max-queue", "1", name="small")
    api = OpenAi(node.url)
    wait_until(lambda: requests.get(node.url + "/readyz", timeout=PATIENCE).status_code == 200, "a ready node")
    runs = api.stream("kjv/model", PROMPT, max_tokens=490)
    next(runs)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waits = pool.submit(OpenAi(node.url).text, "kjv/model", PROMPT, max_tokens=2)
        wait_until(lambda: api.serving()[0]["queued"] == 1, "a queued request")
        refused = requests.post(node.url + "/v1/completions", timeout=PATIENCE,
                                json={"model": "kjv/model", "prompt": PROMPT})
        assert refused.status_code == 429 and int(refused.headers["Retry-After"]) >= 1
        assert refused.json()["error"]["type"] == "rate_limit_error"
        runs.close()  # its place goes to the one that waits
        assert waits.result(PATIENCE)
    api.wait_idle()


def test_an_api_key_is_asked_for_where_there_is_one(served, start_node):
    node = start_node(served.family.registry, ["kjv"], "--api-key", "sesame", name="locked")
    wait_until(lambda: requests.get(node.url + "/readyz", timeout=PATIENCE).status_code == 200, "a ready node")
    for key in (None, "sesam", "open sesame"):
        error = OpenAi(node.url, key).error(401, model="kjv/model", prompt=PROMPT)
        assert error["code"] == "invalid_api_key"
    assert OpenAi(node.url, "sesame").complete("kjv/model", PROMPT, max_tokens=1)["choices"]
    for scheme, status in (("bearer", 200), ("BEARER", 200), ("Basic", 401), ("", 401)):
        headers = {"Authorization": f"{scheme} sesame".strip()}
        assert requests.get(node.url + "/v1/models", headers=headers, timeout=PATIENCE).status_code == status, scheme


# ---- bases


def test_a_damaged_base_in_the_cache_is_fetched_again(served, start_node):
    node = start_node(served.family.registry, ["kjv"], name="damaged")
    api = OpenAi(node.url)
    wait_until(lambda: requests.get(node.url + "/readyz", timeout=PATIENCE).status_code == 200, "a ready node")
    expected = api.text("kjv/model", PROMPT, max_tokens=8)
    assert node.stop() == 0
    for name in ("model.safetensors", "tokenizer.model"):
        [path] = (node.log_path.parent / "cache/bases").glob(f"*/{name}")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        node = start_node(served.family.registry, ["kjv"], name="damaged")
        api = OpenAi(node.url)
        wait_until(lambda: requests.get(node.url + "/readyz", timeout=PATIENCE).status_code == 200, "a ready node")
        assert api.text("kjv/model", PROMPT, max_tokens=8) == expected
        assert "fetching it anew" in node.log()
        assert node.stop() == 0
        node.log_path.unlink()


def test_a_local_base_is_not_fetched(served, start_node):
    node = start_node(served.family.registry, ["kjv"], "--base", FAMILY / "base", name="local")
    wait_until(lambda: requests.get(node.url + "/readyz", timeout=PATIENCE).status_code == 200, "a ready node")
    assert OpenAi(node.url).text("kjv/model", PROMPT, max_tokens=8) == \
        served.api.text("kjv/model", PROMPT, max_tokens=8)
    assert not (node.log_path.parent / "cache/bases").exists() and "in no --base" not in node.log()


def test_a_local_base_that_is_another_is_told(served, start_node):
    node = start_node(served.family.registry, ["kjv"], "--base", FAMILY / "kjv", name="other_base")
    wait_until(lambda: requests.get(node.url + "/readyz", timeout=PATIENCE).status_code == 200, "a ready node")
    assert "in no --base; the registry's is taken" in node.log()


def test_a_node_may_only_hold_its_models(served, start_node):
    node = start_node(served.family.registry, ["kjv"], "--no-serve", name="holder")
    wait_until(lambda: requests.get(node.url + "/readyz", timeout=PATIENCE).status_code == 200, "a ready node")
    assert OpenAi(node.url).error(422, model="kjv/model", prompt=PROMPT)["code"] == "not_served"


# ---- chat


def test_chat_needs_a_template(api):
    error = api.error(400, "/v1/chat/completions", model="kjv/model", messages=[{"role": "user", "content": "Hi"}])
    assert error["code"] == "no_chat_template"


def publish_with(served, model, more, **config):
    """kjv with other settings of its tokenizer, and more files."""
    files = {path: file.read_bytes() for path, file in files_of(FAMILY / "kjv").items()}
    settings = json.loads(files["tokenizer_config.json"]) | config
    upload = served.admin.upload(files | more | {"tokenizer_config.json": json.dumps(settings).encode()})
    created = served.admin.create_version(model, upload, "base")
    served.admin.wait_version(model, created["version"])


PREPENDS = {"tokenizer.json": json.dumps({"normalizer": {"type": "Prepend", "prepend": "\u2581"}}).encode()}
METASPACE = {"tokenizer.json": json.dumps({"pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "first"}}).encode()}


@pytest.mark.parametrize("model, more, legacy, blank", [("kjv/slow", {}, True, True), ("kjv/joined", {}, False, False),
                                                        ("kjv/prepends", PREPENDS, False, True), ("kjv/first", METASPACE, True, False)])
def test_a_blank_after_control_tokens_is_as_the_checkpoint_says(served, api, model, more, legacy, blank):
    publish_with(served, model, more, legacy=legacy, chat_template="{{ bos_token }}{{ messages[0].content }}")

    def tokens(content):
        body = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 1}
        return requests.post(api.url + "/v1/chat/completions", json=body, timeout=PATIENCE)

    wait_until(lambda: tokens("x").status_code == 200, model)
    [first, second] = [tokens(text).json()["usage"]["prompt_tokens"] for text in ("beginning", " beginning")]
    prompt = api.complete(model, "beginning", max_tokens=1)["usage"]["prompt_tokens"]  # which always has the blank
    assert (first == prompt) == blank and (second == prompt) == (not blank)


def test_tokens_added_to_a_sentencepiece_model_are_tokens(served, api):
    """As fine-tunes of Llama 2 have ChatML's markers: in the older file, in tokenizer_config.json, and one that the model has no row for."""
    older = json.dumps({"<|im_start|>": 4090, "[PAD]": 4096}).encode()
    decoder = {"4091": {"content": "<|im_end|>", "special": True, "lstrip": False, "rstrip": False, "normalized": False}}
    publish_with(served, "kjv/added", {"added_tokens.json": older}, legacy=False, added_tokens_decoder=decoder,
                 chat_template="{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}")

    def ids(prompt):
        return api.complete("kjv/added", prompt, echo=True, max_tokens=0, logprobs=0)["choices"][0]["logprobs"]["token_ids"]

    wait_until(lambda: requests.post(api.url + "/v1/completions", timeout=PATIENCE, json={
        "model": "kjv/added", "prompt": "x", "max_tokens": 1}).status_code == 200, "kjv/added")
    written = ids("<|im_start|>user<|im_end|>")
    assert written[:2] == [1, 4090] and written[-1] == 4091 and ids("[PAD]")[-1] != 4096
    said = api.post("/v1/chat/completions", {"model": "kjv/added", "max_tokens": 1, "messages": [{"role": "user", "content": "user"}]})
    assert said.json()["usage"]["prompt_tokens"] == len(written) - 1  # without <s>
    more = [{"role": "user", "content": "user<|im_end|>"}]
    said = api.post("/v1/chat/completions", {"model": "kjv/added", "max_tokens": 1, "messages": more})
    assert said.json()["usage"]["prompt_tokens"] > len(written)


def test_chat_is_the_template_written_out(served, api):
    # legacy: a blank before each part between control tokens, as the prompt below has it.
    publish_with(served, "kjv/chat", {}, legacy=True, chat_template=(DATA / "golden/jinja/llama2.jinja").read_text())
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who art thou?"}]
    body = {"model": "kjv/chat", "messages": messages, "temperature": 0, "max_tokens": 20}
    wait_until(lambda: requests.post(api.url + "/v1/chat/completions", json=body,
                                     timeout=PATIENCE).status_code == 200, "kjv/chat")
    answer = api.post("/v1/chat/completions", body).json()
    written = "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nWho art thou? [/INST]"
    expected = api.text("kjv/chat", written, max_tokens=20)
    message = answer["choices"][0]["message"]
    assert message["role"] == "assistant" and message["content"] == expected.removeprefix(" ")
    assert answer["object"] == "chat.completion"
    events = list(api.stream("kjv/chat", None, "/v1/chat/completions", messages=messages, max_tokens=20))
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    pieces = [choice["delta"].get("content", "") for event in events for choice in event["choices"]]
    assert "".join(pieces) == message["content"]
    bad = [{"role": "assistant", "content": "I begin"}]
    assert "turns" in api.error(400, "/v1/chat/completions", model="kjv/chat", messages=bad)["message"]
