"""From an uploaded fine-tune to its delta and back, checked with stock readers and our own formula."""

import base64
import hashlib
import io
import json

import numpy as np
import pytest
from huggingface_hub.file_download import http_get
from safetensors import safe_open

from formula import Delta, parse, serialize, widen
from programs import FAMILY, FINE_TUNES, signum

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def is_linear(name):
    return name.endswith(".weight") and any(part in name for part in LINEAR)


@pytest.fixture(scope="module", params=FINE_TUNES)
def tune(request, family):
    """One fine-tune: its resource, delta bytes and rebuilt files."""
    name = request.param
    files = {f.name: f.read_bytes() for f in (FAMILY / name).iterdir()}
    admin = family.admin
    return {
        "name": name,
        "resource": family.versions[name],
        "delta": admin.get(family.path(name, "/delta")).content,
        "rebuilt": {p: admin.get(family.path(name, f"/checkpoint/{p}")).content for p in files},
        "fine": files,
        "base": (FAMILY / "base/model.safetensors").read_bytes(),
    }


def test_linear_weights_take_one_bit(tune):
    delta = Delta(tune["delta"])
    base, _ = parse(tune["base"])
    fine, _ = parse(tune["fine"]["model.safetensors"])
    weights = stored = 0
    for name in filter(is_linear, fine):
        rows, columns = fine[name][1]
        assert delta.codec(name) == "sign1", name
        dtype, shape, data = delta.parts[f"{name}.sign"]
        assert (dtype, shape) == ("U8", [rows, (columns + 7) // 8])
        difference = widen(fine[name]) - widen(base[name])
        np.testing.assert_array_equal(delta.signs(name, rows, columns), difference > 0)
        weights += rows * columns
        stored += len(data)
    assert weights == 4 * (4 * 192 * 192 + 3 * 192 * 512)
    assert stored * 8 == weights  # every column count of this family divides by 8
    assert tune["resource"]["linear"]["weights"] == weights
    assert tune["resource"]["linear"]["bits_per_weight"] < 1.4  # with scales, on matrices this small


def test_scales_are_least_squares(tune):
    """No r, c make sum((|d| - r c)^2) smaller than the first singular pair of |d| does."""
    delta = Delta(tune["delta"])
    base, _ = parse(tune["base"])
    fine, _ = parse(tune["fine"]["model.safetensors"])
    for name in filter(is_linear, fine):
        size = np.abs(widen(fine[name]).astype(np.float64) - widen(base[name]))
        row, column = delta.floats(f"{name}.scale.row"), delta.floats(f"{name}.scale.col")
        error = ((size - np.outer(row.astype(np.float64), column)) ** 2).sum()
        square = size @ size.T if size.shape[0] < size.shape[1] else size.T @ size
        best = (size ** 2).sum() - np.linalg.eigvalsh(square)[-1]
        assert error <= best * (1 + 1e-4), name


def test_the_rebuilt_checkpoint_equals_the_formula(tune):
    delta = Delta(tune["delta"])
    base, _ = parse(tune["base"])
    fine, _ = parse(tune["fine"]["model.safetensors"])
    rebuilt, _ = parse(tune["rebuilt"]["model.safetensors"])
    assert list(rebuilt) == list(fine)
    differ = 0
    for name, (dtype, shape, data) in rebuilt.items():
        assert (dtype, shape) == fine[name][:2]
        assert data == delta.rebuild(name, base.get(name), dtype), name
        differ += data != fine[name][2]
    assert differ  # one bit a weight is not the fine-tune itself


def test_apply_and_the_server_agree(tune, tmp_path):
    file = tmp_path / "a.delta"
    file.write_bytes(tune["delta"])
    done = signum("apply", FAMILY / "base", file, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    written = {f.name: f.read_bytes() for f in (tmp_path / "out").iterdir()}
    assert written.keys() == tune["rebuilt"].keys()
    for path, data in written.items():
        assert data == tune["rebuilt"][path], path
    for path in written.keys() - {"model.safetensors"}:
        assert written[path] == tune["fine"][path], path


def test_diff_offline_makes_the_same_delta(tune, tmp_path):
    file = tmp_path / "b.delta"
    done = signum("diff", FAMILY / "base", FAMILY / tune["name"], "-o", file, "--method", "none")
    assert done.returncode == 0, done.stderr
    assert file.read_bytes() == tune["delta"]


def test_the_exact_tier_gives_the_upload_back(tune, family):
    for path, data in tune["fine"].items():
        url = family.path(tune["name"], f"/checkpoint/{path}?fidelity=exact")
        assert family.admin.get(url).content == data, path


def test_stock_safetensors_opens_delta_and_checkpoint(tune, tmp_path):
    for name, data in (("a.delta", tune["delta"]), ("model.safetensors", tune["rebuilt"]["model.safetensors"])):
        (tmp_path / name).write_bytes(data)
    with safe_open(tmp_path / "a.delta", framework="np") as file:
        metadata = file.metadata()
        assert metadata["format"] == "signum.delta" and metadata["version"] == "1"
        assert metadata["layout"] == "row-lsb"
        assert metadata["base"] == tune["resource"]["base_digest"]
        signs = [key for key in file.keys() if key.endswith(".sign") and is_linear(key[:-5])]
        assert len(signs) == 4 * 7
        assert file.get_tensor(signs[0]).dtype == np.uint8
        assert np.isfinite(file.get_tensor(signs[0][:-5] + ".scale.row")).all()
    with safe_open(tmp_path / "model.safetensors", framework="np") as file:
        fine, metadata = parse(tune["fine"]["model.safetensors"])
        assert (file.metadata() or {}) == metadata
        assert set(file.keys()) == set(fine)


def test_data_begins_aligned_and_biggest_first(tune):
    length = int.from_bytes(tune["delta"][:8], "little")
    assert (8 + length) % 256 == 0
    header = json.loads(tune["delta"][8:8 + length])
    header.pop("__metadata__")
    spans = sorted((t["data_offsets"][0], t["data_offsets"][1] - t["data_offsets"][0]) for t in header.values())
    aligned = [size for offset, size in spans if size % 256 == 0 and size]
    assert aligned == sorted(aligned, reverse=True)
    assert all(offset % 256 == 0 for offset, size in spans[:len(aligned)])


def test_the_resource_tells_the_truth(tune, family):
    resource, delta = tune["resource"], tune["delta"]
    assert resource["state"] == "ready" and resource["base"] == "base" and resource["method"] == "none"
    assert resource["digest"] == "sha256:" + hashlib.sha256(delta).hexdigest()
    assert resource["base_digest"] == family.base["digest"]
    assert resource["sizes"]["delta"] == len(delta)
    assert resource["sizes"]["upload"] == sum(map(len, tune["fine"].values()))
    assert resource["ratio"] == pytest.approx(resource["sizes"]["upload"] / len(delta), rel=0.01)
    assert set(resource["aliases"]) == {"latest", "live"}
    rebuilt = {f["path"]: (f["size"], f["sha256"]) for f in resource["files"]}
    for path, data in tune["rebuilt"].items():
        assert rebuilt[path] == (len(data), "sha256:" + hashlib.sha256(data).hexdigest())


def test_the_manifest_names_every_chunk(tune, family):
    envelope = json.loads(family.admin.get(family.path(tune["name"], "/manifest")).content)
    manifest, delta = envelope["manifest"], tune["delta"]
    assert envelope["signature"]["alg"] == "ed25519"
    digests = [hashlib.sha256(delta[i:i + 65536]).hexdigest() for i in range(0, len(delta), 65536)]
    packed = base64.b64decode(manifest["delta"]["chunks"])
    assert [packed[i:i + 32].hex() for i in range(0, len(packed), 32)] == digests


def test_the_hubs_downloader_resumes(tune, family):
    headers = {"Authorization": f"Bearer {family.registry.token}"}
    url = family.registry.url + family.path(tune["name"], "/delta")
    whole = io.BytesIO()
    http_get(url, whole, headers=headers, expected_size=len(tune["delta"]))
    assert whole.getvalue() == tune["delta"]
    half = io.BytesIO()
    half.write(tune["delta"][:100_000])
    http_get(url, half, resume_size=100_000, headers=headers, expected_size=len(tune["delta"]))
    assert half.getvalue() == tune["delta"]


def test_ranges_and_conditions(tune, family):
    admin, delta = family.admin, tune["delta"]
    paths = {family.path(tune["name"], "/delta"): delta,
             family.path(tune["name"], "/checkpoint/model.safetensors"): tune["rebuilt"]["model.safetensors"],
             f"/v1/blobs/{tune['resource']['digest']}": delta}
    for path, data in paths.items():
        whole = admin.call("HEAD", path, 200)
        etag = whole.headers["ETag"]
        assert whole.headers["Accept-Ranges"] == "bytes" and int(whole.headers["Content-Length"]) == len(data)
        assert not etag.startswith("W/") and whole.headers["Repr-Digest"].startswith("sha-256=:")
        for header, begin, end in (("bytes=1000-70000", 1000, 70001), ("bytes=-7", len(data) - 7, len(data)),
                                   (f"bytes={len(data) - 9}-", len(data) - 9, len(data))):
            part = admin.get(path, 206, headers={"Range": header})
            assert part.content == data[begin:end], (path, header)
            assert part.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{len(data)}"
        beyond = admin.get(path, 416, headers={"Range": f"bytes={len(data)}-"})
        assert beyond.headers["Content-Range"] == f"bytes */{len(data)}"
        assert admin.get(path, 304, headers={"If-None-Match": etag}).content == b""
        assert admin.get(path, 206, headers={"Range": "bytes=0-0", "If-Range": etag}).content == data[:1]
        assert admin.get(path, 200, headers={"Range": "bytes=0-0", "If-Range": '"x"'}).content == data
    by_digest = admin.call("HEAD", f"/v1/blobs/{tune['resource']['digest']}", 200)
    assert by_digest.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_the_base_comes_back_as_uploaded(family):
    for file in (FAMILY / "base").iterdir():
        assert family.admin.get(f"/v1/bases/base/files/{file.name}").content == file.read_bytes()


def test_equal_tensors_are_stored_once(family):
    """Publishing the same fine-tune for another tenant adds its delta's metadata, no tensors."""
    before = disk_bytes(family.registry)
    again = family.admin.publish("other/copy", FAMILY / "kjv")
    assert again["digest"] == family.versions["kjv"]["digest"]
    added = disk_bytes(family.registry) - before
    assert added < 1_000_000, added  # the upload is 6.6 MB


def disk_bytes(registry):
    return sum(f.stat().st_blocks * 512 for f in registry.data.rglob("*")
               if f.is_file() and "LOG" not in f.name and f.suffix != ".log")


@pytest.mark.parametrize("options,parts", [
    ({"scales": "tensor"}, {".scale"}),
    ({"scales": "row"}, {".scale.row"}),
    ({"embeddings": "exact"}, {".scale.row", ".scale.col"}),
])
def test_options_of_a_version(family, options, parts):
    resource = family.admin.publish("options/model", FAMILY / "kjv", **options)
    url = f"/v1/tenants/options/models/model/versions/{resource['version']}"
    delta = Delta(family.admin.get(url + "/delta").content)
    name = "model.layers.0.self_attn.q_proj.weight"
    found = {part[len(name):] for part in delta.parts if part.startswith(name + ".scale")}
    assert found == parts
    assert ("model.embed_tokens.weight.values" in delta.parts) == (options.get("embeddings") == "exact")
    base, _ = parse((FAMILY / "base/model.safetensors").read_bytes())
    rebuilt, _ = parse(family.admin.get(url + "/checkpoint/model.safetensors").content)
    for tensor, (dtype, _, data) in rebuilt.items():
        assert data == delta.rebuild(tensor, base[tensor], dtype), tensor


def test_sparse_updates_leave_untouched_weights_alone(family):
    """A fine-tune that changed a tenth of its weights: the rest comes back bit for bit."""
    base, metadata = parse((FAMILY / "base/model.safetensors").read_bytes())
    fine, _ = parse((FAMILY / "kjv/model.safetensors").read_bytes())
    generator = np.random.default_rng(7)
    sparse = {}
    for name, (dtype, shape, data) in base.items():
        values = np.frombuffer(data, "<u2").copy()
        if is_linear(name):
            chosen = generator.random(len(values)) < 0.1
            values[chosen] = np.frombuffer(fine[name][2], "<u2")[chosen]
        sparse[name] = (dtype, shape, values.tobytes())
    contents = {f.name: f.read_bytes() for f in (FAMILY / "base").iterdir()}
    contents["model.safetensors"] = serialize(sparse, metadata)
    upload = family.admin.upload(contents)
    created = family.admin.create_version("sparse/model", upload, "base")
    family.admin.wait_version("sparse/model", created["version"])
    url = "/v1/tenants/sparse/models/model/versions/1"
    delta = Delta(family.admin.get(url + "/delta").content)
    rebuilt, _ = parse(family.admin.get(url + "/checkpoint/model.safetensors").content)
    for name, (dtype, shape, data) in rebuilt.items():
        if is_linear(name):
            assert delta.codec(name) == "sign1-sparse", name
            untouched = np.frombuffer(sparse[name][2], "<u2") == np.frombuffer(base[name][2], "<u2")
            got = np.frombuffer(data, "<u2")
            assert (got[untouched] == np.frombuffer(base[name][2], "<u2")[untouched]).all()
        assert data == delta.rebuild(name, base[name], dtype), name
