"""The command line against a real registry: what it prints, writes and exits with."""

import json

import pytest

from api import files_of
from programs import FAMILY, signum, wait_until


@pytest.fixture(scope="module")
def shell(family):
    """signum ARGUMENT... against the family's registry."""

    def call(*arguments, expect=0, **options):
        done = signum(*arguments, registry=family.registry, **options)
        assert done.returncode == expect, (arguments, done.stdout, done.stderr)
        return done

    return call


def test_json_of_everything_that_prints(shell):
    for arguments in (["ls"], ["ls", "kjv"], ["show", "kjv/model"], ["show", "kjv/model@1"], ["show", "kjv/model@live"],
                      ["jobs"], ["nodes"], ["audit"], ["audit", "--by", "tenant"], ["log"]):
        assert json.loads(shell(*arguments, "--json").stdout) is not None, arguments
        assert shell(*arguments).stdout.strip() or arguments == ["nodes"], arguments


def test_exit_codes_of_the_command_line(shell, tmp_path):
    shell("nonsense", expect=2)
    shell("show", expect=2)
    shell("show", "kjv/none", expect=3)
    shell("show", "kjv/model@99", expect=3)
    shell("pull", "kjv/model@9", "-o", tmp_path / "x", expect=3)
    shell("pull", "nobody", "-o", tmp_path / "x", expect=3)
    shell("promote", "kjv/model", "99", expect=3)
    for flag in ("--codec", "--scales", "--embeddings", "--method"):  # before anything is uploaded
        done = shell("push", "kjv/model", FAMILY / "kjv", "--base", "base", flag, "nonsense", expect=2)
        assert "hash" not in done.stderr
    shell("token", "create", "king", expect=2)
    shell("token", "create", "publisher", expect=2)
    shell("token", "create", "auditor", "kjv", expect=2)
    shell("push-base", "base", FAMILY / "base", expect=4)
    shell("ls", token="wrong", expect=4)
    shell("--registry", "http://127.0.0.1:1", "ls", expect=1)


def test_pulled_deltas_are_verified(shell, family, tmp_path):
    shell("pull", "kjv/model", "-o", tmp_path, "--as", "delta")
    (pulled,) = tmp_path.glob("*.safetensors")
    assert pulled.read_bytes() == family.admin.get(family.path("kjv", "/delta")).content
    key = family.admin.json("/v1/keys")["keys"][0]["public"]
    shell("verify", pulled, "--key", key)
    data = bytearray(pulled.read_bytes())
    data[len(data) // 2] ^= 1
    pulled.write_bytes(data)
    shell("verify", pulled, "--key", key, expect=5)


def test_pull_as_checkpoint_in_both_fidelities(shell, family, tmp_path):
    shell("pull", "kjv/model", "-o", tmp_path / "exact", "--as", "checkpoint", "--fidelity", "exact")
    for path, file in files_of(FAMILY / "kjv").items():
        (found,) = list((tmp_path / "exact").rglob(path))
        assert found.read_bytes() == file.read_bytes()
    shell("pull", "kjv/model@live", "-o", tmp_path / "onebit", "--as", "checkpoint")
    (weights,) = list((tmp_path / "onebit").rglob("model.safetensors"))
    assert weights.read_bytes() == family.admin.get(family.path("kjv", "/checkpoint/model.safetensors")).content


def test_pull_of_a_whole_tenant(shell, tmp_path):
    shell("pull", "sqlite", "-o", tmp_path / "all")
    assert any(f.is_file() for f in (tmp_path / "all").rglob("*"))


def test_savings_add_up(shell, family):
    report = json.loads(shell("audit", "--by", "tenant", "--json").stdout)
    totals = report["totals"]
    assert totals["versions"] == 3
    for field in ("delta", "exact", "base_share", "metadata", "total"):
        assert sum(g["stored"][field] for g in report["groups"]) == pytest.approx(totals["stored"][field], abs=3)
    rows = shell("audit", "--by", "tenant", "--csv").stdout.strip().splitlines()
    assert len(rows) >= 4 and rows[0].startswith("tenant")
    on_disk = sum(f.stat().st_blocks * 512 for f in (family.registry.data / "store").rglob("*") if f.is_file())
    assert on_disk == pytest.approx(totals["stored"]["total"], rel=0.01)


def test_inspect_and_verify_offline(family, tmp_path):
    file = tmp_path / "a.delta"
    file.write_bytes(family.admin.get(family.path("kjv", "/delta")).content)
    shown = signum("inspect", file, "--json")
    assert shown.returncode == 0
    assert family.base["digest"] in shown.stdout
    assert signum("verify", file).returncode == 0
    file.write_bytes(file.read_bytes()[:-1])
    assert signum("verify", file).returncode == 5
    assert signum("inspect", tmp_path / "absent").returncode in (1, 3)


def test_apply_refuses_another_base(family, tmp_path):
    file = tmp_path / "a.delta"
    file.write_bytes(family.admin.get(family.path("kjv", "/delta")).content)
    done = signum("apply", FAMILY / "sqlite", file, "-o", tmp_path / "out")
    assert done.returncode in (4, 5) and "base" in done.stderr
    assert not (tmp_path / "out/model.safetensors").exists()


def test_promote_and_rollback(registry, admin):
    admin.push_base("base", FAMILY / "base")
    admin.publish("kjv/model", FAMILY / "kjv")
    admin.publish("kjv/model", FAMILY / "sqlite")

    def live():
        return admin.json("/v1/tenants/kjv/models/model/aliases/live")["version"]

    assert live() == 1
    assert signum("promote", "kjv/model", "2", registry=registry).returncode == 0
    assert live() == 2
    assert signum("rollback", "kjv/model", registry=registry).returncode == 0
    assert live() == 1
    wait_until(lambda: admin.json("/v1/tenants/kjv/models/model/aliases/latest")["version"] == 2, "latest")
