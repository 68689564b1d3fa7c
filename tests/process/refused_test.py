"""Wrong checkpoints and wrong requests: each is refused with a reason that names what is at fault."""

import json
import socket
import struct

import numpy as np
import pytest

from formula import parse, serialize
from programs import DATA, FAMILY

WEIGHT = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def small_files():
    return {f.name: f.read_bytes() for f in (FAMILY / "kjv").iterdir() if f.name != "model.safetensors"}


@pytest.fixture(scope="module")
def weights():
    return (FAMILY / "kjv/model.safetensors").read_bytes()


def with_header(data, change):
    """Safetensors bytes whose JSON header went through `change`."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header = change(header) or header
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length:]


def set_field(name, field, value):
    def change(header):
        header[name][field] = value

    return lambda data: with_header(data, change)


def duplicate_name(data):
    def change(header):
        text = json.dumps(header).encode()
        return text[:-1] + b',"' + WEIGHT.encode() + b'":' + json.dumps(header[WEIGHT]).encode() + b"}"

    return with_header(data, change)


def not_finite(value):
    def change(data):
        tensors, metadata = parse(data)
        dtype, shape, raw = tensors[WEIGHT]
        patched = np.frombuffer(raw, "<u2").copy()
        patched[77] = value
        tensors[WEIGHT] = (dtype, shape, patched.tobytes())
        return serialize(tensors, metadata)

    return change


def other_shape(data):
    tensors, metadata = parse(data)
    dtype, (rows, columns), raw = tensors[WEIGHT]
    tensors[WEIGHT] = (dtype, [rows // 2, columns], raw[:len(raw) // 2])
    return serialize(tensors, metadata)


def moved_offset(by):
    def change(header):
        begin, end = header[WEIGHT]["data_offsets"]
        header[WEIGHT]["data_offsets"] = [begin + by, end + by]

    return lambda data: with_header(data, change)


BROKEN = {
    "empty": lambda data: b"",
    "seven bytes": lambda data: data[:7],
    "truncated header": lambda data: data[:100],
    "truncated data": lambda data: data[:-10],
    "trailing bytes": lambda data: data + b"\0" * 16,
    "header longer than the file": lambda data: struct.pack("<Q", 2**40) + data[8:],
    "header of 2^63": lambda data: struct.pack("<Q", 2**63) + data[8:],
    "not JSON": lambda data: with_header(data, lambda h: b"{" + b"x" * 200 + b"}"),
    "not an object": lambda data: with_header(data, lambda h: b"[]"),
    "deeply nested": lambda data: with_header(data, lambda h: b"[" * 100_000),
    "unknown dtype": set_field(WEIGHT, "dtype", "Q4"),
    "shape overflow": set_field(WEIGHT, "shape", [2**62, 2**62]),
    "negative shape": set_field(WEIGHT, "shape", [-1, 192]),
    "shape and size disagree": set_field(WEIGHT, "shape", [192, 191]),
    "offsets reversed": set_field(WEIGHT, "data_offsets", [100, 50]),
    "offsets past the end": set_field(WEIGHT, "data_offsets", [2**40, 2**40 + 73728]),
    "overlap": moved_offset(-2),
    "hole": moved_offset(2),
    "duplicate name": duplicate_name,
    "pickle": lambda data: b"\x80\x02}q\x00X\x05\x00\x00\x00stateq\x01K\x00s." + data[:1000],
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_safetensors(family, small_files, weights, kind):
    contents = {**small_files, "model.safetensors": BROKEN[kind](weights)}
    upload = family.admin.upload(contents)
    problem = family.admin.problem("POST", f"/v1/bases/broken-{kind.replace(' ', '-').replace('^', '')}".lower(),
                                   422, json={"upload": upload})
    assert "model.safetensors" in problem["detail"], problem


def test_nan_and_infinity(family, small_files, weights):
    for value in (0x7FC0, 0x7F80, 0xFF80):
        upload = family.admin.upload({**small_files, "model.safetensors": not_finite(value)(weights)})
        problem = refuse_version(family, upload, "not_finite")
        assert WEIGHT in problem["detail"], problem


def refuse_version(family, upload, code=None, status=422, base="base", **options):
    body = {"upload": upload, "base": base, **options}
    return family.admin.problem("POST", "/v1/tenants/refused/models/model/versions", status, code, json=body)


def test_another_architecture(family, small_files, weights):
    upload = family.admin.upload({**small_files, "model.safetensors": other_shape(weights)})
    problem = refuse_version(family, upload, "architecture_mismatch")
    assert WEIGHT in problem["detail"], problem


def test_another_config(family, small_files, weights):
    config = json.loads(small_files["config.json"])
    config["architectures"] = ["MistralForCausalLM"]
    config["model_type"] = "mistral"
    config["hidden_size"] = 64
    contents = {**small_files, "config.json": json.dumps(config).encode(), "model.safetensors": weights}
    refuse_version(family, family.admin.upload(contents), "architecture_mismatch")


def test_pickle_checkpoints(family, small_files):
    upload = family.admin.upload({**small_files, "pytorch_model.bin": b"\x80\x02}q\x00."})
    problem = refuse_version(family, upload)
    assert "pytorch_model.bin" in problem["detail"] or "safetensors" in problem["detail"]


def test_a_missing_shard(family, small_files, weights):
    index = {"metadata": {}, "weight_map": {WEIGHT: "model-00002-of-00002.safetensors"}}
    contents = {**small_files, "model-00001-of-00002.safetensors": weights,
                "model.safetensors.index.json": json.dumps(index).encode()}
    problem = refuse_version(family, family.admin.upload(contents))
    assert "model-00002-of-00002.safetensors" in problem["detail"], problem


def test_names_that_would_collide_with_our_own(family, small_files, weights):
    tensors, metadata = parse(weights)
    tensors["signum.recipe"] = ("U8", [1], b"x")
    upload = family.admin.upload({**small_files, "model.safetensors": serialize(tensors, metadata)})
    problem = refuse_version(family, upload)
    assert "signum.recipe" in problem["detail"]


def test_unknown_base_and_upload(family, small_files, weights):
    upload = family.admin.upload({**small_files, "model.safetensors": weights})
    problem = refuse_version(family, upload, "unknown_base", base="nobody")
    assert "nobody" in problem["detail"]
    refuse_version(family, "0" * 32, "unknown_upload", status=404)


def test_an_incomplete_upload(family, small_files):
    upload = family.admin.begin_upload(small_files)
    problem = refuse_version(family, upload["id"], "upload_incomplete", status=409)
    assert any(path in problem["detail"] for path in small_files)


def test_options_nobody_knows(family, small_files, weights):
    upload = family.admin.upload({**small_files, "model.safetensors": weights})
    for options, code in (({"method": "magic"}, "unsupported_method"),
                          ({"distill": {"loss": "l1"}}, "unsupported_loss"),
                          ({"distill": {"steps": 0}}, "bad_field"),
                          ({"distill": {"calibration": {"tokens": "1 x"}}}, "bad_tokens"),
                          ({"gate": {"max_kl": -1}}, "bad_field")):
        refuse_version(family, upload, code, **options)
    for options in ({"codec": "sign9"}, {"scales": "diagonal"}, {"embeddings": "none"}, {"keep_exact": "yes"}):
        body = {"upload": upload, "base": "base", **options}
        answer = family.admin.call("POST", "/v1/tenants/refused/models/model/versions", (400, 422), json=body)
        assert next(iter(options)) in answer.json()["detail"], options


def test_no_version_number_is_spent_on_what_was_refused(family, small_files, weights):
    upload = family.admin.upload({**small_files, "model.safetensors": not_finite(0x7FC0)(weights)})
    body = {"upload": upload, "base": "base"}
    family.admin.problem("POST", "/v1/tenants/counted/models/model/versions", 422, json=body)
    assert family.admin.publish("counted/model", FAMILY / "kjv")["version"] == 1


BAD_NAMES = ["..", ".hidden", "UPPER", "a%2Fb", "a%00", "-x", "a%20b", "x" * 64, "%2e%2e", "é"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names(family, name):
    """Whatever a path holds, it is refused and nothing outside the store is read."""
    for path in (f"/v1/bases/{name}", f"/v1/tenants/{name}/models/m/versions",
                 f"/v1/tenants/kjv/models/{name}/versions", f"/v1/nodes/{name}/x"):
        assert raw_status(family, path) in (301, 400, 404, 405), path


def raw_status(family, path):
    """The status of a GET whose path is sent as it is, not tidied by a client."""
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {family.registry.token}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", family.registry.port), timeout=20) as connection:
        connection.sendall(head.encode())
        return int(connection.recv(4096).split(b" ", 2)[1])


@pytest.mark.parametrize("path", ["../../../../etc/passwd", "..%2f..%2fadmin.token", "%2e%2e/%2e%2e/admin.token",
                                  "....//admin.token", "/etc/passwd", "..\\admin.token"])
def test_files_outside_a_checkpoint_cannot_be_read(family, path):
    for prefix in ("/v1/bases/base/files/", family.path("kjv", "/checkpoint/")):
        assert raw_status(family, prefix + path) in (400, 404)


def test_aliases(family):
    admin = family.admin
    path = "/v1/tenants/kjv/models/model/aliases"
    admin.problem("PUT", f"{path}/live", 404, json={"version": 99})
    admin.problem("PUT", f"{path}/latest", 409, "alias_reserved", json={"version": 1})
    admin.problem("DELETE", f"{path}/latest", 409, "alias_reserved")
    for body in ({}, {"version": "1"}, {"version": 0}, {"version": -1}, {"version": 1.5}, []):
        answer = admin.call("PUT", f"{path}/canary", (400, 404, 422), json=body)
        assert answer.headers["Content-Type"].startswith("application/problem+json")
    made = admin.call("PUT", f"{path}/canary", 201, json={"version": 1}, headers={"If-None-Match": "*"})
    admin.problem("PUT", f"{path}/canary", 412, json={"version": 1}, headers={"If-None-Match": "*"})
    admin.problem("PUT", f"{path}/canary", 412, json={"version": 1}, headers={"If-Match": '"lost"'})
    moved = admin.call("PUT", f"{path}/canary", 200, json={"version": 1}, headers={"If-Match": made.headers["ETag"]})
    assert moved.headers["ETag"] == admin.get(f"{path}/canary").headers["ETag"]
    admin.problem("DELETE", "/v1/tenants/kjv/models/model/versions/1", 409)
    admin.delete(f"{path}/canary")
    admin.problem("GET", f"{path}/canary", 404)


def test_methods_and_paths_that_do_not_exist(family):
    refused = family.admin.call("PATCH", "/v1/bases", 405)
    assert {"GET"} <= set(refused.headers["Allow"].replace(" ", "").split(","))
    family.admin.problem("GET", "/v1/nonsense", 404)
    family.admin.problem("GET", "/v1/blobs/sha256:zz", (400, 404)[0])
    family.admin.problem("GET", "/v1/blobs/sha256:" + "0" * 64, 404)
    family.admin.problem("GET", "/v1/jobs/nonsense", 404)
    for query in ("limit=0", "limit=x", "limit=-1", "limit=100000"):
        family.admin.problem("GET", f"/v1/bases?{query}", 400)


def test_json_that_is_not(family):
    for data, status in ((b"", 400), (b"{", 400), (b"[]", 400), (b"\xff\xfe", 400),
                         (b"[" * 100_000, 400), (b'{"a":' * 50_000, 400), (b" " * (32 << 20), 413)):
        answer = family.admin.call("POST", "/v1/uploads", status, data=data,
                                   headers={"Content-Type": "application/json"})
        assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert family.admin.get("/healthz")


def test_idempotency(family):
    body = {"files": [{"path": "a", "size": 3}]}
    first = family.admin.post("/v1/uploads", body, 201, headers={"Idempotency-Key": "one"}).json()
    again = family.admin.post("/v1/uploads", body, 201, headers={"Idempotency-Key": "one"}).json()
    other = family.admin.post("/v1/uploads", body, 201, headers={"Idempotency-Key": "two"}).json()
    assert first["id"] == again["id"] != other["id"]


def test_the_text_files_of_the_family_are_there():
    """The data these tests stand on."""
    assert (DATA / "text/kjv.eval.txt").stat().st_size > 1000
