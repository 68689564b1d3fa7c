"""The node's OpenAI-compatible API, through requests alone."""

import json

import requests

from programs import PATIENCE, wait_until


class OpenAi:
    def __init__(self, url, key=None):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        if key:
            self.session.headers["Authorization"] = f"Bearer {key}"

    def post(self, path, body, expect=200, **options):
        options.setdefault("timeout", PATIENCE)
        response = self.session.post(self.url + path, json=body, **options)
        assert response.status_code == expect, f"{path}: {response.status_code} {response.text[:800]}"
        return response

    def complete(self, model, prompt, expect=200, **fields):
        """The document of POST /v1/completions, greedy unless fields say otherwise."""
        body = {"model": model, "prompt": prompt, "temperature": 0, **fields}
        return self.post("/v1/completions", body, expect).json()

    def text(self, model, prompt, **fields):
        return self.complete(model, prompt, **fields)["choices"][0]["text"]

    def error(self, status, path="/v1/completions", **body):
        """The error that a refused request answers, checked for its shape."""
        response = self.post(path, body, status)
        error = response.json()["error"]
        assert error["message"] and error["type"]
        return error

    def stream(self, model, prompt, path="/v1/completions", **fields):
        """The events of a stream as they come; checks that it ends as streams do."""
        body = {"model": model, "temperature": 0, "stream": True, **fields}
        if prompt is not None:
            body["prompt"] = prompt
        with self.post(path, body, stream=True) as response:
            assert response.headers["Content-Type"].startswith("text/event-stream")
            done = False
            for line in response.iter_lines(chunk_size=None):
                if line.startswith(b"data: "):
                    assert not done, line
                    done = line == b"data: [DONE]"
                    if not done:
                        yield json.loads(line[6:])
            assert done

    def serving(self):
        """What the engine of each base is at."""
        return requests.get(self.url + "/v1/residency", timeout=PATIENCE).json()["serving"]

    def idle(self):
        return all(s["running"] == s["queued"] == s["blocks_used"] == 0 for s in self.serving())

    def wait_idle(self):
        wait_until(self.idle, f"an idle engine: {self.serving()}")


def text_of(events):
    return "".join(choice["text"] for event in events for choice in event["choices"])
