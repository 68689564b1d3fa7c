"""Scrub, quarantine and repair of a running registry, over files that are damaged under it."""

import os
import random

import pytest

from api import Api, sha256
from formula import parse
from gc_test import finished
from programs import FAMILY, Registry, signum

FLIPS = int(os.environ.get("SIGNUM_FLIPS", "12"))
VERSION = "/v1/tenants/acme/models/chat/versions/1"


def scrub(admin, **request):
    return finished(admin, admin.post("/v1/admin/scrub", request, 202).json()["job"])["result"]


def tables(registry):
    """The store's SST files, the biggest first."""
    return sorted((registry.data / "store/db").glob("*.sst"), key=lambda f: (-f.stat().st_size, f.name))


def read_by_the_store(registry):
    """All of the store's files whose bytes it reads, but for an empty log."""
    names = ("*.sst", "*.log", "MANIFEST-*", "CURRENT")
    found = [path for name in names for path in (registry.data / "store/db").glob(name)]
    return [path for path in found if path.stat().st_size > 0]


def flip(path, bit):
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    with open(path, "r+b") as file:
        file.seek(bit // 8)
        file.write(data[bit // 8:bit // 8 + 1])


def file_with(registry, piece):
    """The SST file that holds these bytes as they are."""
    return next(path for path in tables(registry) if piece in path.read_bytes())


@pytest.fixture
def published(start, tmp_path):
    registry = start(Registry, "--backup-dir", tmp_path / "backups")
    admin = Api(registry.url, registry.token)
    admin.push_base("base", FAMILY / "base")
    admin.publish("acme/chat", FAMILY / "kjv")
    return registry


@pytest.fixture
def admin(published):
    return Api(published.url, published.token)


def damage_delta(published, admin):
    """A bit of the delta's middle; its digest."""
    delta = admin.get(VERSION + "/delta").content
    middle = delta[len(delta) // 2:len(delta) // 2 + 4096]
    path = file_with(published, middle)
    flip(path, 8 * path.read_bytes().index(middle) + 12345)
    return admin.json(VERSION)["digest"]


def test_a_sound_store(published, admin):
    admin.post("/v1/admin/keys/rotate", {}, 201)  # manifests of a retired key are good
    result = scrub(admin)
    assert result["clean"] and not result["damaged"], result
    assert result["objects"] > 50 and result["files"] > 10 and result["manifests"] == 1
    sampled = scrub(admin, sample=0.3)
    assert sampled["clean"] and 0 < sampled["objects"] < result["objects"]
    assert "signum_damaged_objects 0" in admin.get("/metrics").text
    done = signum("scrub", "--sample", "5%", registry=published)
    assert done.returncode == 0 and "objects" in done.stdout, done.stderr
    assert signum("scrub", "--sample", "500%", registry=published).returncode == 2


def test_damage_is_quarantined_named_and_healed_by_the_same_bytes(published, admin):
    digest = damage_delta(published, admin)
    result = scrub(admin)
    assert not result["clean"]
    (damaged,) = result["damaged"]
    assert damaged["object"] == digest and damaged["quarantined"] and not damaged["repaired"]
    assert damaged["versions"] == ["acme/chat@1"] and result["damaged_files"]
    problem = admin.problem("GET", VERSION + "/delta", 500, "object_damaged")
    assert digest in problem["detail"]
    admin.problem("GET", f"/v1/blobs/{digest}", 500, "object_damaged")
    assert "signum_damaged_objects 1" in admin.get("/metrics").text
    shown = signum("scrub", registry=published)
    assert shown.returncode == 5 and digest in shown.stdout and "acme/chat@1" in shown.stdout
    # The same fine-tune makes the same delta: publishing it again stores it anew, for both versions.
    admin.publish("acme/chat", FAMILY / "kjv")
    assert admin.get(VERSION + "/delta").content
    assert scrub(admin)["clean"]
    assert "signum_damaged_objects 0" in admin.get("/metrics").text


def test_damage_is_known_after_a_restart(published, admin, start, tmp_path):
    digest = damage_delta(published, admin)
    scrub(admin)
    published.stop()
    again = start(Registry, "--backup-dir", tmp_path / "backups")
    admin = Api(again.url, again.token)
    assert "signum_damaged_objects 1" in admin.get("/metrics").text
    admin.problem("GET", f"/v1/blobs/{digest}", 500, "object_damaged")


def test_repair_from_a_backup(published, admin):
    want = admin.get(VERSION + "/delta").content
    finished(admin, admin.post("/v1/admin/backup", {}, 202).json()["job"])
    digest = damage_delta(published, admin)
    result = scrub(admin, repair_from=".")
    (damaged,) = result["damaged"]
    assert damaged["object"] == digest and damaged["repaired"] and result["repaired"] == 1
    assert admin.get(VERSION + "/delta").content == want
    assert scrub(admin)["clean"]
    assert not (published.data / "tmp/repair").exists()


TRAINED = {"method": "distill", "distill": {"steps": 2}}


@pytest.mark.parametrize("options, precision", [({"method": "none"}, "fp32"), (TRAINED, "fp32"), (TRAINED, "fast")],
                         ids=["plain", "trained", "fast"])
def test_a_damaged_delta_is_made_again_from_its_exact_upload(start, options, precision):
    """Compressing, and training on the same machine, give the same bytes again."""
    published = start(Registry, "--precision", precision)
    admin = Api(published.url, published.token)
    admin.push_base("base", FAMILY / "base")
    admin.publish("acme/chat", FAMILY / "kjv", **options)
    want = admin.get(VERSION + "/delta").content
    digest = damage_delta(published, admin)
    assert not scrub(admin)["clean"]
    admin.problem("GET", VERSION + "/delta", 500, "object_damaged")
    shown = signum("scrub", "--recompress", registry=published)
    assert "; repaired; touches acme/chat@1" in shown.stdout, shown.stdout + shown.stderr
    assert admin.get(VERSION + "/delta").content == want and sha256(want) == digest
    assert scrub(admin)["clean"]
    assert not list((published.data / "tmp").glob("repair*"))


def test_a_damaged_delta_whose_exact_upload_is_gone_stays_damaged(start):
    published = start(Registry)
    admin = Api(published.url, published.token)
    admin.push_base("base", FAMILY / "base")
    admin.publish("acme/chat", FAMILY / "kjv", keep_exact=False)
    damage_delta(published, admin)
    shown = signum("scrub", "--recompress", registry=published)
    assert shown.returncode == 5 and "not repaired: the exact upload of acme/chat@1 is not kept" in shown.stdout
    admin.problem("GET", VERSION + "/delta", 500, "object_damaged")


@pytest.mark.parametrize("heal", ["upload", "backup"])
def test_damage_to_a_base_is_named_by_what_differs_from_it(published, admin, heal):
    """The exact upload is kept as differences from the base: it cannot be read, says why, and heals with the base."""
    finished(admin, admin.post("/v1/admin/backup", {}, 202).json()["job"])
    tensors, _ = parse((FAMILY / "base/model.safetensors").read_bytes())
    tensor = max((data for _, _, data in tensors.values()), key=len)
    digest = sha256(tensor)
    piece = tensor[len(tensor) // 2:len(tensor) // 2 + 4096]
    path = file_with(published, piece)
    flip(path, 8 * path.read_bytes().index(piece) + 777)
    result = scrub(admin)
    (damaged,) = result["damaged"]
    assert damaged["object"] == digest and damaged["versions"] == ["acme/chat@1"] and damaged["bases"] == ["base"]
    exact = VERSION + "/checkpoint/model.safetensors?fidelity=exact"
    assert digest in admin.problem("GET", exact, 500, "object_damaged")["detail"]
    if heal == "upload":
        admin.push_base("again", FAMILY / "base")
    else:
        assert scrub(admin, repair_from=".")["repaired"] == 1
    assert admin.get(exact).content == (FAMILY / "kjv/model.safetensors").read_bytes()
    assert scrub(admin)["clean"]


def test_no_wrong_byte_is_served_and_every_flip_is_found(published, admin, start, tmp_path):
    """Random bits of all files; after each, whatever is served is right, and a scrub finds it."""
    resources = [VERSION + "/delta", VERSION + "/manifest"]
    resources += [f"{VERSION}/checkpoint/model.safetensors?fidelity={f}" for f in ("exact", "onebit")]
    want = {path: admin.get(path).content for path in resources}
    published.stop()  # so that the keys are in files too
    registry = start(Registry, "--backup-dir", tmp_path / "backups")
    admin = Api(registry.url, registry.token)
    chance = random.Random()
    found = 0
    for _ in range(FLIPS):
        path = chance.choice(read_by_the_store(registry))
        bit = chance.randrange(8 * path.stat().st_size)
        before = path.read_bytes()
        flip(path, bit)
        for resource in resources:
            try:
                answer = admin.call("GET", resource)
            except Exception:  # cut off in the middle: told by the length
                continue
            if answer.status_code == 200:
                assert answer.content == want[resource], (path, bit)
            else:
                assert answer.status_code == 500, answer.text
        job = admin.post("/v1/admin/scrub", {}, 202).json()["job"]
        result = finished(admin, job)["result"]
        if not path.exists() and result["clean"]:  # a log whose contents were written out meanwhile
            found += 1
            continue
        assert not result["clean"], (path, bit)
        assert any(path.name in line for line in result["damaged_files"]) or result["damaged"], (path, bit)
        found += 1
        if path.exists():
            with open(path, "r+b") as file:
                file.seek(bit // 8)
                file.write(before[bit // 8:bit // 8 + 1])
        if result["damaged"]:  # healed by publishing again
            admin.push_base(f"again-{found}", FAMILY / "base")
            admin.publish(f"again/v{found}", FAMILY / "kjv")
    assert found == FLIPS


@pytest.mark.parametrize("request_body", [{"sample": 0}, {"sample": 1.5}, {"sample": "5%"}, {"rate": -1}, {"x": 1}])
def test_a_request_that_is_none(admin, request_body):
    admin.problem("POST", "/v1/admin/scrub", 422, json=request_body)


def test_only_backups_of_the_server_repair(admin):
    admin.problem("POST", "/v1/admin/scrub", 403, "dir_not_allowed", json={"repair_from": "/etc"})
