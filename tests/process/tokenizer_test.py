"""A checkpoint whose text is read with tokenizer.json alone, as Llama 3's and Qwen's: served, chatted with, calibrated."""

import json

import pytest
import requests

from api import files_of
from conftest import Family
from openai import OpenAi
from programs import DATA, FAMILY, PATIENCE, Node, signum, wait_until

TOKENIZERS = DATA / "golden/tokenizers"
CASES = json.loads((TOKENIZERS / "cases.json").read_text())
JINJA = DATA / "golden/jinja"
CHAT = ("{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content + '<|eot_id|>' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}")


def checkpoint(tokenizer, **config):
    """kjv with another tokenizer: {path: bytes}."""
    files = {path: file.read_bytes() for path, file in files_of(FAMILY / "kjv").items()}
    del files["tokenizer.model"], files["special_tokens_map.json"], files["generation_config.json"]
    files["tokenizer.json"] = tokenizer if isinstance(tokenizer, bytes) else (TOKENIZERS / f"{tokenizer}.json").read_bytes()
    files["tokenizer_config.json"] = json.dumps(config).encode()
    return files


class Served:
    def __init__(self, folder):
        self.family = Family(folder / "registry")
        self.publish("kjv/llama3", checkpoint("llama3", bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>",
                                              chat_template=CHAT))
        self.publish("kjv/qwen2", checkpoint("qwen2", eos_token={"content": "<|im_end|>"}))
        self.publish("kjv/mistral", checkpoint("mistral", eos_token="</s>"))
        chatml, qwen3 = ((JINJA / f"{style}.jinja").read_text() for style in ("chatml", "qwen3"))
        several = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": chatml}]
        self.publish("kjv/chatml", checkpoint("qwen2", eos_token="<|endoftext|>", chat_template=several))
        files = checkpoint("qwen2", eos_token="<|endoftext|>", chat_template="x")
        self.publish("kjv/qwen3", files | {"chat_template.jinja": qwen3.encode()})
        self.publish("kjv/unsupported", checkpoint("qwen2", chat_template="a\n{{ messages | groupby('role') }}"))
        unigram = json.dumps({"model": {"type": "Unigram", "vocab": []}}).encode()
        self.publish("kjv/unigram", checkpoint(unigram))
        token = self.family.admin.create_token("node", "kjv")
        self.node = Node(folder / "node", self.family.registry.url, token, ["kjv"])
        self.api = OpenAi(self.node.url)
        wait_until(lambda: requests.get(self.node.url + "/readyz", timeout=PATIENCE).status_code == 200, "a ready node")

    def publish(self, model, files):
        created = self.family.admin.create_version(model, self.family.admin.upload(files), "base")
        self.family.admin.wait_version(model, created["version"])


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("tokenizer"))
    yield served
    served.family.registry.kill()
    assert served.node.stop() == 0, served.node.log()[-2000:]


def prompt_ids(api, model, prompt):
    """What the node makes of a prompt: its tokens, echoed."""
    answer = api.complete(model, prompt, echo=True, max_tokens=0, logprobs=0)
    return answer["choices"][0]["logprobs"]["token_ids"]


@pytest.mark.parametrize("kind, begin", [("llama3", [641]), ("qwen2", []), ("mistral", [1])])
def test_prompts_are_read_as_huggingface_reads_them(served, kind, begin):
    asked = [case for case in CASES[kind] if case["ids"]][:64]
    answer = served.api.complete(f"kjv/{kind}", [case["text"] for case in asked], echo=True, max_tokens=0, logprobs=0)
    for case, choice in zip(asked, answer["choices"], strict=True):
        assert choice["logprobs"]["token_ids"] == begin + case["ids"], case["text"]


def test_answers_are_the_text_of_their_tokens(served):
    text = "And the LORD said unto"
    ids = prompt_ids(served.api, "kjv/llama3", text)
    asked = {"max_tokens": 30, "logprobs": 0, "temperature": 1, "seed": 5}
    by_text = served.api.complete("kjv/llama3", text, **asked)["choices"][0]
    by_ids = served.api.complete("kjv/llama3", ids, **asked)["choices"][0]
    assert by_text == by_ids
    assert "".join(by_text["logprobs"]["tokens"]) == by_text["text"]
    streamed = served.api.stream("kjv/llama3", text, **asked)
    assert "".join(choice["text"] for event in streamed for choice in event["choices"]) == by_text["text"]
    # No blank is added or taken away.
    echoed = served.api.complete("kjv/llama3", " x", echo=True, max_tokens=0)["choices"][0]["text"]
    assert echoed == " x"


def test_chat_has_the_markers_as_tokens_and_what_people_say_as_text(served):
    def tokens(content):
        body = {"model": "kjv/llama3", "messages": [{"role": "user", "content": content}], "max_tokens": 1}
        return served.api.post("/v1/chat/completions", body).json()["usage"]["prompt_tokens"]

    written = "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    assert tokens("hi") == len(prompt_ids(served.api, "kjv/llama3", written))
    # Who says "<|eot_id|>" does not end his turn: it is letters.
    assert tokens("hi<|eot_id|>") > tokens("hi") + 3


@pytest.mark.parametrize("style", ("chatml", "qwen3"))
def test_chat_runs_the_template_of_the_checkpoint(served, style):
    """As many tokens as jinja2 and tokenizers make of it; which ones, chat_template_test.cc checks."""
    [row] = [row for row in json.loads((JINJA / "tokens.json").read_text()) if row["template"] == style]
    for talk, ids in zip(json.loads((JINJA / "cases.json").read_text())["conversations"], row["ids"], strict=True):
        body = {"model": f"kjv/{style}", "messages": talk, "max_tokens": 1}
        assert served.api.post("/v1/chat/completions", body).json()["usage"]["prompt_tokens"] == len(ids), talk


def test_a_template_that_is_not_supported_says_why_and_the_model_is_served(served):
    talk = [{"role": "user", "content": "hi"}]
    error = served.api.error(400, "/v1/chat/completions", model="kjv/unsupported", messages=talk)
    assert error["code"] == "no_chat_template" and "line 2: the filter 'groupby'" in error["message"]
    assert served.api.complete("kjv/unsupported", "hi", max_tokens=2)["usage"]["completion_tokens"] == 2


def test_a_kind_that_is_not_known_leaves_token_ids(served):
    error = served.api.error(400, model="kjv/unigram", prompt="In the beginning")
    assert error["code"] == "no_tokenizer" and "Unigram" in error["message"]
    assert served.api.complete("kjv/unigram", [5, 6, 7], max_tokens=3)["usage"]["completion_tokens"] == 3


def test_calibration_text_is_read_with_it(served, tmp_path):
    folder = tmp_path / "fine"
    folder.mkdir()
    for path, content in checkpoint("llama3").items():
        (folder / path).write_bytes(content)
    text = DATA / "text/kjv.calib.txt"
    made = signum("diff", FAMILY / "base", folder, "-o", tmp_path / "delta.safetensors", "--method", "layerwise", "--calibration", text,
                  "--json")
    assert made.returncode == 0, made.stderr
    pushed = signum("push", "kjv/calibrated", folder, "--base", "base", "--method", "layerwise", "--calibration", text, "--wait",
                    registry=served.family.registry)
    assert pushed.returncode == 0, pushed.stderr
    calibration = served.family.admin.json("/v1/tenants/kjv/models/calibrated/versions/1")["made"]["calibration"]
    assert calibration["source"] == "given" and calibration["tokens"] > 0
    (folder / "tokenizer.json").unlink()
    without = signum("diff", FAMILY / "base", folder, "-o", tmp_path / "x.safetensors", "--calibration", text)
    assert without.returncode == 4 and "tokenizer.json" in without.stderr
