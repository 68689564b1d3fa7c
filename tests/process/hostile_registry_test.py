"""A registry that means harm: whatever it answers, the command line ends with an error, in little memory."""

import os
import resource
import socket
import subprocess
import threading

import pytest

from lies import ANSWERS
from programs import BIN

MOST_MEMORY = 400 << 20  # of the process; 64 MiB is what an answer may take


class Hostile:
    """Answers each request alike, whatever it asks."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=[connection], daemon=True).start()

    def talk(self, connection):
        with connection:
            try:
                connection.recv(65536)
                self.answer(connection)
            except OSError:
                pass


@pytest.fixture(params=ANSWERS)
def hostile(request):
    registry = Hostile(ANSWERS[request.param])
    yield registry
    registry.listener.close()


@pytest.mark.parametrize("command", [["ls", "acme"], ["pull", "acme/chat@1", "-o", "out"], ["jobs", "-f", "x-acme"]], ids=lambda c: c[0])
def test_the_command_line_ends_with_an_error(hostile, command, tmp_path):
    env = {"SIGNUM_REGISTRY": hostile.url, "SIGNUM_TOKEN": "t", "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    limit = lambda: resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    done = subprocess.run([(BIN / "signum").resolve(), *command], cwd=tmp_path, env=env, capture_output=True, text=True,
                          timeout=120, preexec_fn=limit)
    assert done.returncode in (1, 4, 5), (done.returncode, done.stderr)
    assert done.stderr.strip() and "bad_alloc" not in done.stderr, done.stderr
