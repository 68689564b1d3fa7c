"""Start, stop and exit codes of the daemons."""

import signal
import socket
import threading
import time

import pytest
import requests

from api import Api, begin_patch
from programs import BIN, FAMILY, PATIENCE, Registry, run, signum


@pytest.mark.parametrize("arguments", [[], ["--nonsense"], ["--data"], ["--data", "x", "--listen", "nonsense"],
                                       ["--data", "x", "--tls-cert", "only-one"], ["--data", "x", "--role", "cook"]])
def test_usage_is_exit_2(tmp_path, arguments):
    for program in ("signumd", "signum-node"):
        done = run(BIN / program, *arguments, cwd=tmp_path, timeout=20)
        assert done.returncode == 2, (program, done.stderr)
        assert done.stderr.strip()


def test_help_and_version():
    for program in ("signumd", "signum-node", "signum"):
        shown = run(BIN / program, "--help")
        assert shown.returncode == 0 and program in shown.stdout
        assert run(BIN / program, "--version").stdout.strip()


def test_what_cannot_start_is_exit_1_with_one_line(tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    done = run(BIN / "signumd", "--data", in_the_way, "--listen", "127.0.0.1:0", timeout=20)
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1, done.stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run(BIN / "signumd", "--data", tmp_path / "data", "--listen", f"127.0.0.1:{taken.getsockname()[1]}",
                   timeout=20)
    assert done.returncode == 1 and str(taken) and "127.0.0.1" in done.stderr, done.stderr


def test_two_servers_cannot_share_a_folder(registry, tmp_path):
    second = run(BIN / "signumd", "--data", registry.data, "--listen", "127.0.0.1:0", timeout=20)
    assert second.returncode == 1 and len(second.stderr.strip().splitlines()) == 1, second.stderr
    assert Api(registry.url).get("/healthz")


def test_the_port_file_holds_a_port_that_answers(registry):
    assert 0 < registry.port < 65536
    assert requests.get(f"{registry.url}/healthz", timeout=PATIENCE).status_code == 200
    assert requests.get(f"{registry.url}/readyz", timeout=PATIENCE).status_code == 200


def test_the_log_says_where_the_token_is_and_not_what(registry):
    assert str(registry.data / "admin.token") in registry.log()
    assert registry.token not in registry.log()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_with_exit_0(start, sig):
    assert start(Registry).stop(sig) == 0


def test_sigterm_ends_idle_connections_and_polls_at_once(start):
    registry = start(Registry)
    admin = Api(registry.url, registry.token)
    admin.get("/healthz")  # its connection stays open
    answers = []

    def poll():
        answers.append(Api(registry.url, registry.token).call("GET", "/v1/watch?tenant=a&wait=50").status_code)

    waiting = threading.Thread(target=poll)
    waiting.start()
    time.sleep(0.5)
    begin = time.monotonic()
    assert registry.stop() == 0
    assert time.monotonic() - begin < 10
    waiting.join(PATIENCE)
    assert answers in ([200], [503])


def test_sigterm_lets_a_running_upload_end(start):
    registry = start(Registry)
    admin = Api(registry.url, registry.token)
    data = b"x" * 2_000_000
    upload = admin.begin_upload({"a": data})
    connection = begin_patch(admin, upload["files"][0]["url"], 0, len(data))
    connection.sendall(data[:1_000_000])
    stopping = threading.Thread(target=registry.stop)
    stopping.start()
    time.sleep(1.0)
    assert registry.running()
    connection.sendall(data[1_000_000:])
    assert connection.recv(4096).startswith(b"HTTP/1.1 204")
    stopping.join(PATIENCE)
    assert registry.process.returncode == 0
    registry = start(Registry)
    assert Api(registry.url, registry.token).json(f"/v1/uploads/{upload['id']}")["complete"]


def test_a_restart_keeps_everything(start):
    registry = start(Registry)
    admin = Api(registry.url, registry.token)
    admin.push_base("base", FAMILY / "base")
    admin.publish("kjv/model", FAMILY / "kjv")
    paths = ["/v1/bases", "/v1/tenants/kjv/models/model/versions/1", "/v1/tenants/kjv/models/model/aliases"]
    before = [admin.json(path) for path in paths]
    delta = admin.get(paths[1] + "/delta").content
    keys = admin.json("/v1/keys")
    assert registry.stop() == 0
    registry = start(Registry)
    again = Api(registry.url, registry.token)
    assert admin.token == registry.token and again.json("/v1/keys") == keys
    assert [again.json(path) for path in paths] == before
    assert again.get(paths[1] + "/delta").content == delta


def test_roles_split_over_two_starts(start):
    """Without a worker a version stays queued; a later start with one finishes it."""
    registry = start(Registry, "--role", "api")
    admin = Api(registry.url, registry.token)
    admin.push_base("base", FAMILY / "base")
    created = admin.create_version("kjv/model", admin.upload_folder(FAMILY / "kjv"), "base")
    time.sleep(1)
    assert admin.json(f"/v1/jobs/{created['job']}")["state"] == "queued"
    admin.problem("PUT", "/v1/tenants/kjv/models/model/aliases/live", 409, "version_not_ready", json={"version": 1})
    cancelled = admin.create_version("kjv/model", admin.upload_folder(FAMILY / "kjv"), "base")
    done = signum("jobs", "--cancel", cancelled["job"], registry=registry)
    assert done.stdout == f"job {cancelled['job']} cancelled\n", done.stderr
    assert signum("jobs", "--cancel", cancelled["job"], registry=registry).returncode == 4
    assert signum("jobs", "--cancel", "none", registry=registry).returncode == 3
    assert registry.stop() == 0
    registry = start(Registry)
    admin = Api(registry.url, registry.token)
    admin.wait_version("kjv/model", 1)
    assert admin.json(f"/v1/jobs/{cancelled['job']}")["state"] == "cancelled"
    assert admin.json("/v1/tenants/kjv/models/model/versions/2")["state"] == "failed"
