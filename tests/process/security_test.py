"""Roles, tokens and TLS."""

import json
import signal
import ssl
import urllib.parse

import pytest
import requests

from api import Api
from programs import BIN, FAMILY, Node, Registry, run, signum, wait_until


@pytest.fixture(scope="module")
def people(family):
    """The family's registry as each kind of principal."""
    admin = family.admin
    return {
        "admin": admin,
        "publisher": admin.as_role("publisher", "kjv"),
        "node": admin.as_role("node", "kjv", "pysrc"),
        "auditor": admin.as_role("auditor"),
        "nobody": Api(family.registry.url),
        "forged": Api(family.registry.url, "x" * 40),
    }


VERSION = "/v1/tenants/kjv/models/model/versions/1"
FOREIGN = "/v1/tenants/sqlite/models/model/versions/1"
# (method, path, body) -> who may; everybody else gets 401 (nobody, forged) or 403.
RULES = [
    ("GET", VERSION, None, {"admin", "publisher", "node"}),
    ("GET", VERSION + "/delta", None, {"admin", "publisher", "node"}),
    ("GET", FOREIGN, None, {"admin"}),
    ("GET", FOREIGN + "/delta", None, {"admin"}),
    ("GET", FOREIGN + "/checkpoint/config.json", None, {"admin"}),
    ("GET", "/v1/tenants/kjv/live", None, {"admin", "publisher", "node"}),
    ("GET", "/v1/tenants/sqlite/live", None, {"admin"}),
    ("GET", "/v1/watch?tenant=sqlite&wait=0", None, {"admin"}),
    ("GET", "/v1/watch?tenant=pysrc&wait=0", None, {"admin", "node"}),
    ("PUT", "/v1/tenants/kjv/models/model/aliases/live", {"version": 1}, {"admin", "publisher"}),
    ("PUT", "/v1/tenants/sqlite/models/model/aliases/live", {"version": 1}, {"admin"}),
    ("POST", "/v1/uploads", {"files": [{"path": "a", "size": 1}]}, {"admin", "publisher"}),
    ("POST", "/v1/bases/stolen", {"upload": "x"}, {"admin"}),
    ("POST", "/v1/admin/tokens", {"role": "auditor"}, {"admin"}),
    ("GET", "/v1/admin/tokens", None, {"admin"}),
    ("GET", "/v1/audit/savings", None, {"admin", "auditor"}),
    ("GET", "/v1/audit/log", None, {"admin", "auditor"}),
    ("GET", "/metrics", None, {"admin", "auditor"}),
    ("GET", "/healthz", None, {"admin", "publisher", "node", "auditor", "nobody", "forged"}),
    ("GET", "/v1/keys", None, {"admin", "publisher", "node", "auditor", "nobody"}),
]


@pytest.mark.parametrize("method,path,body,allowed", RULES, ids=[f"{m} {p}" for m, p, _, _ in RULES])
def test_who_may_what(people, method, path, body, allowed):
    for name, api in people.items():
        status = api.call(method, path, json=body).status_code
        if name in allowed:
            assert status not in (401, 403), (name, status)
        elif name == "nobody" or name == "forged":
            assert status == 401 or "/keys" in path, (name, status)
        else:
            assert status in (403, 404), (name, status)


def test_what_may_not_be_seen_looks_unknown(people):
    """A foreign blob, upload or job cannot be told from one that never was."""
    upload = people["admin"].begin_upload({"a": b"x"})
    foreign = people["admin"].json(FOREIGN)
    for path in (f"/v1/uploads/{upload['id']}", f"/v1/jobs/{foreign['job']}", f"/v1/blobs/{foreign['digest']}"):
        people["publisher"].problem("GET", path, 404)
    for tenant in ("sqlite", "never-was"):
        people["publisher"].problem("GET", f"/v1/tenants/{tenant}/models/m/versions", 403, "not_yours")


def test_a_missing_token_says_how_to_bring_one(people):
    refused = people["nobody"].call("GET", "/v1/bases", 401)
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_token_is_worth_nothing(registry, admin):
    made = admin.post("/v1/admin/tokens", {"role": "auditor"}, 201).json()
    auditor = Api(registry.url, made["token"])
    auditor.get("/v1/audit/log")
    admin.delete(f"/v1/admin/tokens/{made['id']}")
    auditor.problem("GET", "/v1/audit/log", 401)
    listed = json.dumps(admin.json("/v1/admin/tokens"))
    assert made["token"] not in listed


def test_tokens_are_not_on_the_disk(registry, admin):
    token = admin.create_token("publisher", "kjv")
    everything = b"".join(f.read_bytes() for f in registry.data.rglob("*") if f.is_file())
    assert token.encode() not in everything
    assert token not in registry.log() and registry.token not in registry.log()


def test_the_admin_token_is_for_its_owner_alone(registry):
    assert (registry.data / "admin.token").stat().st_mode & 0o777 == 0o600
    assert (registry.data / "signing.key").stat().st_mode & 0o777 == 0o600


def test_no_auth_works_on_loopback_alone(start, tmp_path):
    registry = start(Registry, "--no-auth")
    assert requests.get(registry.url + "/v1/bases", timeout=20).status_code == 200
    refused = run(BIN / "signumd", "--data", tmp_path / "other", "--listen", "0.0.0.0:0", "--no-auth", timeout=20)
    assert refused.returncode in (1, 2) and "no-auth" in refused.stderr + refused.stdout


def test_the_audit_log_is_a_chain(family):
    entries = family.admin.json("/v1/audit/log?limit=1000")["entries"]
    assert {"base", "version"} <= {e["action"].split(".")[0] for e in entries}, entries[:3]
    for before, after in zip(entries, entries[1:]):
        assert after["previous"] == before["hash"] and after["seq"] == before["seq"] + 1
    assert all(e["who"] and e["at"] and e["from"] for e in entries)


# TLS


def make_certificate(folder):
    cert, key = folder / "cert.pem", folder / "key.pem"
    made = run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
               "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    assert made.returncode == 0, made.stderr
    return cert, key


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def client_certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("client-tls"))


@pytest.fixture
def secure(start, certificate):
    cert, key = certificate
    return start(Registry, "--tls-cert", cert, "--tls-key", key)


def test_curl_over_tls(secure, certificate):
    done = run("curl", "-sS", "--cacert", certificate[0], "-H", f"Authorization: Bearer {secure.token}",
               secure.url + "/v1/bases")
    assert done.returncode == 0 and json.loads(done.stdout)["bases"] == []
    unknown_issuer = run("curl", "-sS", secure.url + "/v1/bases")
    assert unknown_issuer.returncode == 60


@pytest.mark.parametrize("version,accepted", [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_openssl_speaks_only_new_tls(secure, certificate, version, accepted):
    done = run("openssl", "s_client", "-connect", f"127.0.0.1:{secure.port}", "-CAfile", certificate[0],
               "-cipher", "DEFAULT@SECLEVEL=0", version, "-verify_return_error", input="")
    assert ("Verify return code: 0 (ok)" in done.stdout and done.returncode == 0) == accepted, done.stdout


def test_a_plain_request_to_the_tls_port_does_no_harm(secure, certificate):
    plain = f"http://127.0.0.1:{secure.port}/healthz"
    with pytest.raises(requests.exceptions.RequestException):
        requests.get(plain, timeout=20).raise_for_status()
    assert Api(secure.url, secure.token, str(certificate[0])).get("/healthz")


def test_publish_and_urls_over_tls(secure, certificate):
    admin = Api(secure.url, secure.token, str(certificate[0]))
    admin.push_base("base", FAMILY / "base")
    admin.publish("kjv/model", FAMILY / "kjv")
    live = admin.json("/v1/tenants/kjv/live")["models"][0]
    assert urllib.parse.urljoin(secure.url, live["url"]).startswith("https://")
    assert len(admin.get(live["url"]).content) == live["size"]


def test_the_command_line_checks_certificates(secure, certificate):
    refused = signum("ls", registry=secure)
    assert refused.returncode == 4 and "certificate" in refused.stderr
    trusted = signum("--ca-file", certificate[0], "ls", registry=secure)
    assert trusted.returncode == 0, trusted.stderr


def test_nodes_show_certificates_where_asked(start, certificate, client_certificate, tmp_path):
    """--tls-client-ca: a node's token alone is not enough; people's tokens are."""
    cert, key = certificate
    client_cert, client_key = client_certificate
    secure = start(Registry, "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", client_cert)
    admin = Api(secure.url, secure.token, str(cert))
    admin.push_base("base", FAMILY / "base")
    admin.publish("kjv/model", FAMILY / "kjv")
    token = admin.create_token("node", "kjv")
    admin.problem("GET", "/v1/tenants/kjv/live", 403, "certificate_required",
                  headers={"Authorization": f"Bearer {token}"})
    shown = ("--ca-file", cert, "--cert-file", client_cert, "--key-file", client_key)
    pulled = signum(*shown, "pull", "kjv", "-o", tmp_path / "pulled", registry=secure, token=token)
    assert pulled.returncode == 0, pulled.stderr
    stranger = signum("--ca-file", cert, "--cert-file", cert, "--key-file", key, "ls", registry=secure)
    assert stranger.returncode in (1, 4), "a certificate of another CA is turned away, whoever shows it"
    node = start(Node, secure.url, token, ["kjv"], *shown)
    wait_until(lambda: requests.get(node.url + "/v1/residency", timeout=20).json()["models"], "the node's model")


def test_hup_reads_the_certificates_anew(start, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        make_certificate(folder)
    secure = start(Registry, "--tls-cert", first / "cert.pem", "--tls-key", first / "key.pem")
    shown = lambda: ssl.get_server_certificate(("127.0.0.1", secure.port))
    assert shown() == (first / "cert.pem").read_text()
    (first / "cert.pem").write_text("half a renewal")
    secure.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "the certificates stay" in secure.log(), "the refusal")
    assert shown().startswith("-----BEGIN")
    for name in ("cert.pem", "key.pem"):
        (first / name).write_bytes((second / name).read_bytes())
    secure.process.send_signal(signal.SIGHUP)
    wait_until(lambda: shown() == (second / "cert.pem").read_text(), "the new certificate")
    assert secure.stop() == 0


def test_a_broken_certificate_stops_the_start(tmp_path):
    bad = tmp_path / "bad.pem"
    bad.write_text("nonsense")
    refused = run(BIN / "signumd", "--data", tmp_path / "data", "--listen", "127.0.0.1:0",
                  "--tls-cert", bad, "--tls-key", bad, timeout=20)
    assert refused.returncode == 1 and "bad.pem" in refused.stderr
    assert ssl.OPENSSL_VERSION_INFO >= (1, 1, 1)
