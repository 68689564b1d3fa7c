"""The exact tier: uploads come back bit for bit, from half their size, whatever happened meanwhile."""

import base64
import hashlib
import json
import random
import struct
import time

import numpy as np
import pytest

from adapters import write_adapter
from api import Api, files_of, sha256
from formula import parse, serialize
from programs import FAMILY, FINE_TUNES, Registry, signum

BLOCK = 256 * 1024  # of an encoded object
WEIGHTS = "model.safetensors"


def digests(folder):
    return {path: sha256(file.read_bytes()) for path, file in files_of(folder).items()}


def expect_exact(admin, model, version, folder):
    """Every file of the version's exact checkpoint equals the folder's."""
    for path, file in files_of(folder).items():
        url = f"{Api.model_path(model)}/versions/{version}/checkpoint/{path}?fidelity=exact"
        assert admin.get(url).content == file.read_bytes(), path


def pull_exact(registry, version, folder):
    done = signum("pull", version, "-o", folder, "--as", "checkpoint", "--fidelity", "exact", registry=registry)
    assert done.returncode == 0, done.stderr


# ---- size and bytes


@pytest.mark.parametrize("name", FINE_TUNES)
def test_every_file_comes_back_from_half_its_size(name, family, tmp_path):
    pull_exact(family.registry, f"{name}/model@1", tmp_path / "out")
    assert digests(tmp_path / "out") == digests(FAMILY / name)
    sizes = family.versions[name]["sizes"]
    assert 0 < sizes["exact"] < 0.52 * sizes["upload"]


def test_the_audit_adds_up_to_the_disk(family):
    totals = family.admin.json("/v1/audit/savings?by=tenant")["totals"]
    exact = sum(version["sizes"]["exact"] for version in family.versions.values())
    assert totals["stored"]["exact"] == pytest.approx(exact, rel=0.01)
    disk = sum(f.stat().st_blocks * 512 for f in (family.registry.data / "store").rglob("*"))
    assert totals["stored"]["total"] == pytest.approx(disk, rel=0.01)


def test_ranges_and_conditions_of_an_encoded_file(family):
    data = (FAMILY / "kjv" / WEIGHTS).read_bytes()
    url = family.path("kjv", f"/checkpoint/{WEIGHTS}?fidelity=exact")
    expect_ranges(family.admin, url, data)


def test_a_blob_is_its_raw_bytes_however_it_is_kept(family):
    tensors, _ = parse((FAMILY / "kjv" / WEIGHTS).read_bytes())
    biggest = max((data for _, _, data in tensors.values()), key=len)
    assert len(biggest) > 2 * BLOCK  # several blocks, in a blob of its own
    smaller = min((d for _, _, d in tensors.values() if len(d) > 65536), key=len)  # encoded, it fits a key
    for data in (biggest, smaller):
        expect_ranges(family.admin, f"/v1/blobs/{sha256(data)}", data)


def expect_ranges(admin, url, data):
    whole = admin.get(url)
    assert whole.content == data
    etag = whole.headers["ETag"]
    assert etag == f'"{sha256(data)}"'
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    assert whole.headers["Repr-Digest"] == f"sha-256=:{digest}:"
    chance = random.Random(5)
    ranges = [(0, 1), (BLOCK - 1, BLOCK + 1), (len(data) - 1, len(data)), (0, len(data))]
    for _ in range(30):
        begin = chance.randrange(len(data))
        ranges.append((begin, min(len(data), begin + chance.choice((1, 1000, BLOCK, 3 * BLOCK)))))
    for begin, end in ranges:
        end = min(end, len(data))
        if begin >= end:
            continue
        part = admin.get(url, 206, headers={"Range": f"bytes={begin}-{end - 1}", "If-Range": etag})
        assert part.content == data[begin:end], (begin, end)
        assert part.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{len(data)}"
    admin.get(url, 416, headers={"Range": f"bytes={len(data)}-"})
    assert admin.get(url, 304, headers={"If-None-Match": etag}).content == b""


# ---- odd files


def odd_header(data, order):
    """The same tensors under a header as nobody writes it: another order, spaces, escapes, padding."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    names = list(header)
    random.Random(order).shuffle(names)
    text = json.dumps({name: header[name] for name in names}, indent=order % 3, ensure_ascii=True)
    text = text.replace("model.norm", "model\\u002enorm") + " " * 77
    return struct.pack("<Q", len(text)) + text.encode() + data[8 + length:]


def many_dtypes(generator, count):
    """Tensors of each dtype, with every bit pattern that it has."""
    widths = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4, "I16": 2,
              "I8": 1, "U8": 1, "BOOL": 1}
    return {f"extra.{dtype}": (dtype, [count], generator.bytes(count * width)) for dtype, width in widths.items()}


def test_odd_files_come_back_bit_for_bit(registry, admin, tmp_path):
    generator = np.random.default_rng(3)
    base, _ = parse((FAMILY / "base" / WEIGHTS).read_bytes())
    fine, _ = parse((FAMILY / "kjv" / WEIGHTS).read_bytes())
    contents = {path: file.read_bytes() for path, file in files_of(FAMILY / "base").items()}
    extra = many_dtypes(generator, 40_001)
    contents[WEIGHTS] = serialize({**base, **extra}, {"format": "pt"})
    admin.post("/v1/bases/base", {"upload": admin.upload(contents), "allow_not_finite": True}, 201)
    tuned = {name: (dtype, shape, bytes(b ^ (i % 97 == 0) for i, b in enumerate(data)))
             for name, (dtype, shape, data) in extra.items()}
    tuned["extra.BOOL"] = extra["extra.BOOL"]  # equal to the base's
    contents |= {"notes/ünï.txt": "x".encode() * 70_000, "empty.bin": b"", "noise.dat": generator.bytes(300_000)}
    contents[WEIGHTS] = odd_header(serialize({**fine, **tuned}, {"format": "pt", "z": "\u20ac"}), 1)
    folder = tmp_path / "upload"
    for path, data in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    admin.publish("odd/model", folder, allow_not_finite=True, codec="raw")
    expect_exact(admin, "odd/model", 1, folder)
    pull_exact(registry, "odd/model@1", tmp_path / "out")
    assert digests(tmp_path / "out") == digests(folder)


def test_an_adapter_comes_back_as_the_adapter(registry, admin, tmp_path):
    base, _ = parse((FAMILY / "base" / WEIGHTS).read_bytes())
    write_adapter(tmp_path / "adapter", base)
    admin.push_base("base", FAMILY / "base")
    admin.publish("lora/model", tmp_path / "adapter")
    pull_exact(registry, "lora/model@1", tmp_path / "out")
    assert digests(tmp_path / "out") == digests(tmp_path / "adapter")


def test_an_upload_that_was_not_kept_is_refused_with_its_reason(registry, admin, tmp_path):
    admin.push_base("base", FAMILY / "base")
    admin.publish("short/model", FAMILY / "kjv", keep_exact=False)
    url = "/v1/tenants/short/models/model/versions/1"
    assert admin.json(url)["recipe"] is None
    admin.problem("GET", f"{url}/checkpoint/{WEIGHTS}?fidelity=exact", 404, "exact_not_kept")
    done = signum("pull", "short/model", "-o", tmp_path / "out", "--as", "checkpoint", "--fidelity", "exact",
                  registry=registry)
    assert done.returncode == 3 and "exact_not_kept" in done.stderr
    admin.problem("POST", "/v1/tenants/short/models/model/versions", 409, "exact_not_kept", json={"from_version": 1})


# ---- crashes


def test_kill_9_in_the_middle_of_a_job_loses_nothing(start, tmp_path):
    registry = start(Registry, folder=tmp_path)
    admin = Api(registry.url, registry.token)
    admin.push_base("base", FAMILY / "base")
    begin = time.monotonic()
    undisturbed = admin.publish("calm/model", FAMILY / "pysrc")
    took = time.monotonic() - begin
    chance = random.Random(9)
    for attempt, name in enumerate(("kjv", "sqlite", "kjv", "sqlite")):
        model = f"t{attempt}/model"
        admin.create_version(model, admin.upload_folder(FAMILY / name), "base")
        for _ in range(2):
            time.sleep(chance.uniform(0, took / 2))
            registry.kill()
            registry = start(Registry, folder=tmp_path)
            admin = Api(registry.url, registry.token)
        resource = admin.wait_version(model, 1)
        # What the last run of the job added: what runs before it, or other models, stored is there already.
        assert 0 <= resource["sizes"]["exact"] <= 1.1 * undisturbed["sizes"]["exact"]
        expect_exact(admin, model, 1, FAMILY / name)
    expect_exact(admin, "calm/model", 1, FAMILY / "pysrc")
    assert registry.stop() == 0


# ---- compressing again


def test_recompress_needs_no_upload_and_owns_what_it_is_made_from(start, tmp_path):
    registry = start(Registry, folder=tmp_path)
    admin = Api(registry.url, registry.token)
    admin.push_base("base", FAMILY / "base")
    first = admin.publish("acme/model", FAMILY / "kjv")
    done = signum("recompress", "acme/model@1", "--scales", "row", "--embeddings", "exact", "--method", "none",
                  "--wait", "--json", registry=registry)
    assert done.returncode == 0, done.stderr
    second = json.loads(done.stdout)
    assert (second["version"], second["state"], second["scales"]) == (2, "ready", "row")
    assert second["lineage"] == {"parent": 1, "base": "base", "from_version": 1}
    assert second["sizes"]["exact"] == 0 and second["sizes"]["upload"] == first["sizes"]["upload"]
    assert second["recipe"] == first["recipe"]
    # What the same upload with the same options would have given.
    again = admin.publish("acme/other", FAMILY / "kjv", scales="row", embeddings="exact")
    assert again["digest"] == second["digest"] != first["digest"]
    # The first goes, and a start sweeps what nothing names.
    admin.promote("acme/model", 2)
    admin.delete("/v1/tenants/acme/models/model/versions/1")
    admin.promote("acme/model", 2)
    admin.delete("/v1/tenants/acme/models/other/aliases/live")
    admin.delete("/v1/tenants/acme/models/other/versions/1")
    assert registry.stop() == 0
    registry = start(Registry, folder=tmp_path)
    admin = Api(registry.url, registry.token)
    expect_exact(admin, "acme/model", 2, FAMILY / "kjv")
    # The live one is what recompress takes where none is named.
    done = signum("recompress", "acme/model", "--method", "none", "--no-keep-exact", "--wait", registry=registry)
    assert done.returncode == 0 and done.stdout.startswith("acme/model@3 ready"), done.stderr
    third = admin.json("/v1/tenants/acme/models/model/versions/3")
    assert third["digest"] == first["digest"] and third["lineage"]["from_version"] == 2
    assert third["recipe"] is None
    admin.problem("GET", f"/v1/tenants/acme/models/model/versions/3/checkpoint/{WEIGHTS}?fidelity=exact", 404,
                  "exact_not_kept")


def test_recompress_refuses_what_is_not_there(admin):
    admin.push_base("base", FAMILY / "base")
    admin.publish("acme/model", FAMILY / "kjv")
    versions = "/v1/tenants/acme/models/model/versions"
    for body, status, code in (({"from_version": 7}, 422, "unknown_version"),
                               ({"from_version": 0}, 422, "bad_field"),
                               ({"from_version": 1, "upload": "x"}, 422, "bad_field"),
                               ({"from_version": 1, "base": "none"}, 422, "unknown_base"),
                               ({"from_version": 1, "codec": "sign9"}, 422, "unsupported_codec"),
                               ({}, 422, "missing_field")):
        admin.problem("POST", versions, status, code, json=body)
