"""Bodies and files that are far more than they seem, or than they say: refused, in seconds, without the memory they ask for."""

import gzip
import json
import struct
import time

import pytest

from api import TUS
from connections_test import memory
from programs import FAMILY

MEMORY = 400 << 20  # more than a refusal may take, far less than what is asked for


def small_checkpoint(**files):
    """Config and weights of the base, with some of its files replaced."""
    kept = {path: (FAMILY / "base" / path).read_bytes() for path in ("config.json", "model.safetensors")}
    return {**kept, **{path.replace("__", "."): data for path, data in files.items()}}


def header_of(text):
    return struct.pack("<Q", len(text)) + text


DEEP = 2_000_000
CHECKPOINTS = {
    "config of brackets": small_checkpoint(config__json=b"[" * DEEP),
    "config of objects": small_checkpoint(config__json=b'{"a":' * DEEP + b"1" + b"}" * DEEP),
    "config of a long number": small_checkpoint(config__json=b'{"hidden_size": ' + b"9" * DEEP + b"}"),
    "header of brackets": small_checkpoint(model__safetensors=header_of(b"[" * DEEP)),
    "header of objects": small_checkpoint(model__safetensors=header_of(b'{"a":' * DEEP)),
    "header of spaces": small_checkpoint(model__safetensors=header_of(b" " * (64 << 20))),
    "header of many tensors": small_checkpoint(model__safetensors=header_of(json.dumps(
        {str(i): {"dtype": "F32", "shape": [], "data_offsets": [0, 1 << 60]} for i in range(100_000)}).encode())),
    "header longer than any": small_checkpoint(model__safetensors=struct.pack("<Q", (1 << 63) - 1) + b"{}"),
    "shape of many ones": small_checkpoint(model__safetensors=header_of(json.dumps(
        {"a": {"dtype": "F32", "shape": [1] * 1_000_000, "data_offsets": [0, 4]}}).encode()) + b"\0" * 4),
    "tensor of 2^62 bytes": small_checkpoint(model__safetensors=header_of(json.dumps(
        {"a": {"dtype": "U8", "shape": [1 << 31, 1 << 31], "data_offsets": [0, 1 << 62]}}).encode())),
    "tensor of 2^31 zeros squared": small_checkpoint(model__safetensors=header_of(json.dumps(
        {"a": {"dtype": "U8", "shape": [1 << 62, 1 << 62, 0], "data_offsets": [0, 0]}}).encode())),
    "index of many shards": small_checkpoint(model__safetensors__index__json=json.dumps(
        {"weight_map": {str(i): f"model-{i}.safetensors" for i in range(200_000)}}).encode()),
    "index of brackets": small_checkpoint(model__safetensors__index__json=b'{"weight_map":' * DEEP),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoints_that_swell(family, name):
    before = memory(family.registry)
    upload = family.admin.upload(CHECKPOINTS[name])
    begin = time.monotonic()
    family.admin.problem("POST", "/v1/bases/swollen", 422, json={"upload": upload})
    assert time.monotonic() - begin < 10
    assert memory(family.registry) - before < MEMORY
    family.admin.delete(f"/v1/uploads/{upload}")


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "identity, gzip", "x"])
def test_compressed_bodies_are_refused(family, coding):
    """Neither unpacked, which a bomb is made for, nor kept as if they were the file."""
    bomb = gzip.compress(b"\0" * (4 << 20))
    coded = {"Content-Encoding": coding}
    upload = family.admin.post("/v1/uploads", {"files": [{"path": "a", "size": len(bomb)}]}, 201).json()
    url = upload["files"][0]["url"]
    family.admin.problem("PUT", url, 415, "unsupported_content_encoding", data=bomb, headers=coded)
    family.admin.problem("PATCH", url, 415, "unsupported_content_encoding", data=bomb,
                         headers={**TUS, "Upload-Offset": "0", **coded})
    family.admin.problem("POST", "/v1/uploads", 415, "unsupported_content_encoding", data=gzip.compress(b"{}"),
                         headers={"Content-Type": "application/json", **coded})
    assert family.admin.json(f"/v1/uploads/{upload['id']}")["files"][0]["offset"] == 0


def test_a_body_that_is_not_encoded_may_say_so(family):
    upload = family.admin.begin_upload({"a": b"abc"})
    family.admin.call("PUT", upload["files"][0]["url"], 200, data=b"abc", headers={"Content-Encoding": "identity"})


@pytest.mark.parametrize("header", ["+0", "0 0", "0x0", "0.0", "0,0", "00000000000000000000000001e", "-0", "", "NaN",
                                    "18446744073709551616", "9" * 10_000])
def test_offsets_that_are_no_numbers(family, header):
    upload = family.admin.begin_upload({"a": b"abc"})
    url = upload["files"][0]["url"]
    family.admin.problem("PATCH", url, 400, "bad_header", data=b"abc", headers={**TUS, "Upload-Offset": header})
    assert family.admin.json(f"/v1/uploads/{upload['id']}")["files"][0]["offset"] == 0


@pytest.mark.parametrize("type", ["application/offset+octet-stream; charset=utf-8", "application/json", "", "*/*"])
def test_pieces_of_another_type(family, type):
    url = family.admin.begin_upload({"a": b"abc"})["files"][0]["url"]
    family.admin.problem("PATCH", url, 415, data=b"abc", headers={**TUS, "Upload-Offset": "0", "Content-Type": type})


def test_more_files_than_an_upload_may_have(family):
    files = [{"path": f"f{i}", "size": 0} for i in range(10_001)]
    family.admin.problem("POST", "/v1/uploads", 413, json={"files": files})


def test_a_thousand_ranges_are_one_answer(family):
    ranges = "bytes=" + ",".join(f"{i}-{i + 1}" for i in range(1000))
    answer = family.admin.get("/v1/bases/base/files/model.safetensors", headers={"Range": ranges})
    assert len(answer.content) == (FAMILY / "base/model.safetensors").stat().st_size
