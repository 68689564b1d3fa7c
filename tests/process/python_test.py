"""The Python package: installed from the source tree with pip, against a real registry."""

import gc
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import safetensors

from formula import Delta, parse
from programs import BIN, FAMILY, ROOT, run, wait_until
from zoo import MODELS, Zoo

LIBRARY = BIN.parent / "lib/libsignum.so"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """site-packages of a fresh virtual environment with the package in it; nothing is downloaded."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT / "client/python", folder / "source",
                    ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    assert run(sys.executable, "-m", "venv", "--without-pip", folder / "venv").returncode == 0
    (site,) = (folder / "venv/lib").glob("python*/site-packages")
    # pip, setuptools and numpy of the tests' own environment.
    (site / "tests.pth").write_text("\n".join(p for p in sys.path if p.endswith("site-packages")) + "\n")
    # As the README has it, the library named from where pip is started.
    where = {"SIGNUM_LIBRARY": os.path.relpath(LIBRARY, ROOT), "PWD": str(ROOT)}
    done = run(folder / "venv/bin/python", "-m", "pip", "install", "--no-index", "--no-deps", "--no-build-isolation",
               "--disable-pip-version-check", folder / "source", env=where, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return site


@pytest.fixture(scope="module")
def signum(installed):
    sys.path.insert(0, str(installed))
    import signum as package

    yield package
    sys.path.remove(str(installed))


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    zoo = Zoo(folder)
    yield zoo
    zoo.registry.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def open_node(signum, zoo, tmp_path):
    """open_node(...): a node of tenant acme; closed when the test ends."""
    nodes = []

    def begin(**options):
        options = {"token": zoo.token, "cache": tmp_path / "cache", "memory": 64 << 20, "name": "here", **options}
        registry, tenants = options.pop("registry", zoo.registry.url), options.pop("tenants", ["acme"])
        nodes.append(signum.Node(registry, tenants, **options))
        return nodes[-1]

    yield begin
    for node in nodes:
        node.close()


def address(array):
    return array.__array_interface__["data"][0]


def test_installs_into_an_environment_of_its_own(installed):
    python = installed.parents[2] / "bin/python"
    code = ("import signum; from signum._library import library\n"
            "print(signum.__file__, signum.__version__, library.signum_version().decode(), sep='\\n')")
    env = {name: "" for name in ("SIGNUM_LIBRARY", "PYTHONPATH")}
    done = run(python, "-c", code, env=env, cwd="/")
    assert done.returncode == 0, done.stderr
    file, version, of_library = done.stdout.splitlines()
    assert file == str(installed / "signum/__init__.py") and version == of_library
    assert (installed / "signum/libsignum.so").stat().st_size == LIBRARY.stat().st_size
    assert (installed / f"signum-{version}.dist-info/WHEEL").exists()
    assert (installed / "signum/libsignum_cuda.so").exists() == (BIN / "libsignum_cuda.so").exists()


def test_only_the_interface_is_exported():
    done = run("nm", "-D", "--defined-only", LIBRARY)
    assert done.returncode == 0, done.stderr
    symbols = {line.split()[-1] for line in done.stdout.splitlines() if " A SIGNUM_" not in line}  # versions
    assert symbols and all(symbol.startswith("signum_") for symbol in symbols), symbols
    header = (ROOT / "client/capi/signum.h").read_text()
    declared = set(re.findall(r"^SIGNUM_API [^(]*?(signum_\w+)\(", header, re.MULTILINE))
    assert {symbol.split("@")[0] for symbol in symbols} == declared
    # What older libraries lack, by its version.
    later = {symbol.split("@@")[0] for symbol in symbols if not symbol.endswith("@@SIGNUM_1")}
    assert later == {"signum_lease_release_after", "signum_lease_wait", "signum_dlpack_drop_capsule"}
    assert "libsignum.so.1" in run("readelf", "-d", LIBRARY).stdout


def test_pull(signum, zoo, tmp_path):
    (pulled,) = signum.pull(zoo.registry.url, "acme/signs@2", tmp_path, token=zoo.token)
    assert (pulled["tenant"], pulled["model"], pulled["version"]) == ("acme", "signs", 2)
    delta, manifest = (pathlib.Path(file["path"]) for file in pulled["files"])
    assert delta.read_bytes() == zoo.delta("signs", 2)
    assert pulled["files"][0]["sha256"] == "sha256:" + hashlib.sha256(delta.read_bytes()).hexdigest()
    assert json.loads(manifest.read_text())["manifest"]["version"] == 2
    signum.pull(zoo.registry.url, "acme/signs", tmp_path / "full", token=zoo.token, as_="checkpoint")
    assert (tmp_path / "full/model.safetensors").read_bytes() == zoo.checkpoint("signs")
    assert {p["model"] for p in signum.pull(zoo.registry.url, "acme", tmp_path, token=zoo.token)} == set(MODELS)


def test_tensors_are_those_of_the_file(signum, zoo, open_node, tmp_path):
    node = open_node()
    for model in MODELS:
        data = zoo.delta(model)
        (tmp_path / "delta").write_bytes(data)
        parts = parse(data)[0]
        with node.acquire(f"acme/{model}") as lease, safetensors.safe_open(tmp_path / "delta", "numpy") as stock:
            assert lease.version == 1 and lease.nbytes == len(data)
            assert lease.digest == "sha256:" + hashlib.sha256(data).hexdigest()
            assert set(lease.tensors) == set(stock.keys()) == set(parts)
            for name, tensor in lease.tensors.items():
                assert (tensor.dtype, list(tensor.shape)) == tuple(parts[name][:2])
                array = tensor.numpy()
                assert array.tobytes() == parts[name][2] and array.nbytes == tensor.nbytes
                if tensor.dtype != "BF16":  # numpy, and so the stock reader, has none
                    np.testing.assert_array_equal(array, stock.get_tensor(name))


def test_weights_name_their_codec_and_parts(zoo, open_node):
    node, codecs = open_node(), set()
    for model in MODELS:
        delta = Delta(zoo.delta(model))
        fine = parse(zoo.checkpoint(model))[0]
        with node.acquire(f"acme/{model}") as lease:
            assert list(lease.weights) == sorted(fine)
            for name, weight in lease.weights.items():
                assert weight.codec == delta.codec(name), name
                assert [p.sign.name for p in weight.planes] == [f"{name}.sign{end}" for end in delta.planes(name)]
                codecs.add(weight.codec)
            used = {t.name for t in lease.tensors.values() if t.part != "file"}
            assert used == {name for name in delta.parts if not name.startswith("signum.")}
            if model == "sparse":
                rows = lease.weights["lm_head.weight"]
                assert rows.values.shape[0] == 3 and rows.rows.shape[0] == 5
    assert codecs == {"same", "sign1", "sign1-sparse", "rows", "raw", "lowrank"}, codecs


def test_views_are_not_copies_and_cannot_be_written(open_node):
    with open_node().acquire("acme/signs") as lease:
        name, tensor = next((n, t) for n, t in lease.tensors.items() if t.part == "sign")
        first, second = np.from_dlpack(tensor), np.from_dlpack(lease.tensors[name])
        assert address(first) == address(second) == address(tensor.numpy())
        assert first.dtype == np.uint8 and first.shape == tensor.shape and first.flags.c_contiguous
        assert not first.flags.writeable
        with pytest.raises(ValueError):
            first[0, 0] = 1
        norm = next(t for t in lease.tensors.values() if t.dtype == "BF16")
        assert norm.numpy().dtype == np.uint16 and norm.bits.dtype == "U16"
        assert norm.__dlpack_device__() == (1, 0)
        for options in ({"copy": True}, {"stream": 1}, {"dl_device": (2, 0)}):
            with pytest.raises(BufferError):
                tensor.__dlpack__(**options)


def test_an_array_outlives_lease_swap_and_node(zoo, open_node):
    node = open_node()
    lease = node.acquire("acme/signs")
    tensor = next(t for t in lease.tensors.values() if t.part == "sign")
    array, expected = np.from_dlpack(tensor), parse(zoo.delta("signs"))[0][tensor.name][2]
    freed = node.residency()["freed"]
    try:
        zoo.admin.promote("acme/signs", 2)
        wait_until(lambda: node.acquire("acme/signs").version == 2, "the swap")
        assert lease.version == 1
        lease.release()
        with pytest.raises(ValueError, match="released"):
            np.from_dlpack(tensor)
        (old,) = node.residency()["retiring"]
        assert old["version"] == 1
        assert array.tobytes() == expected
        del array
        gc.collect()
        assert node.residency()["retiring"] == [] and node.residency()["freed"] == freed + 1
        array = node.acquire("acme/signs").tensors[tensor.name].numpy()  # of a lease that nobody keeps
        node.close()
        gc.collect()
        assert array.tobytes() == parse(zoo.delta("signs", 2))[0][tensor.name][2]
    finally:
        zoo.admin.promote("acme/signs", 1)


def test_capsules_that_nobody_takes_are_freed(zoo, open_node):
    node = open_node()
    with node.acquire("acme/signs") as lease:
        tensor = next(iter(lease.tensors.values()))
        capsules = [tensor.__dlpack__(max_version=version) for version in (None, (1, 0), (1, 1)) for _ in range(10)]
        assert {repr(c).split('"')[1] for c in capsules} == {"dltensor", "dltensor_versioned"}
    try:
        zoo.admin.promote("acme/signs", 2)
        wait_until(lambda: [m["version"] for m in node.residency()["retiring"]] == [1], "the swap")
        del capsules
        gc.collect()
        assert node.residency()["retiring"] == []
    finally:
        zoo.admin.promote("acme/signs", 1)


def test_a_consumer_that_refuses_a_tensor_says_so(open_node):
    """It drops the capsule while its exception is on its way."""
    node = open_node()
    with node.acquire("acme/signs") as lease:
        tensor = next(t for t in lease.tensors.values() if t.dtype == "BF16")
        for _ in range(3):
            with pytest.raises((RuntimeError, BufferError), match="dtype"):
                np.from_dlpack(tensor)
    assert [m["leases"] for m in node.residency()["models"]] == [0] * len(MODELS)


def test_errors_say_what_is_wrong(signum, zoo, open_node, tmp_path):
    node = open_node()
    with pytest.raises(signum.NotFoundError, match="acme/nothing") as caught:
        node.acquire("acme/nothing")
    assert caught.value.reason == "not_resident" and isinstance(caught.value, LookupError)
    with pytest.raises(signum.InvalidError):
        node.acquire("no slash")
    lease = node.acquire("acme/signs")
    lease.release()
    lease.release()
    with pytest.raises(ValueError, match="released"):
        lease.tensors
    node.close()
    with pytest.raises(ValueError, match="closed"):
        node.acquire("acme/signs")
    with pytest.raises(TypeError, match="list"):
        open_node(tenants="acme")
    with pytest.raises(signum.InvalidError, match="abacus"):
        open_node(device="abacus")
    with pytest.raises(signum.UnavailableError, match="not ready"):
        open_node(registry="http://127.0.0.1:9", cache=tmp_path / "empty", wait=0.3)
    with pytest.raises(signum.DeniedError):
        signum.pull(zoo.registry.url, "acme/signs", tmp_path, token="wrong")
    with pytest.raises(signum.NotFoundError):
        signum.pull(zoo.registry.url, "acme/signs@9", tmp_path, token=zoo.token)
    with pytest.raises(signum.InvalidError):
        signum.pull(zoo.registry.url, "acme/signs", tmp_path, token=zoo.token, as_="picture")
    with pytest.raises(signum.CorruptError):
        signum.pull(zoo.registry.url, "acme/signs", tmp_path, token=zoo.token, trust_key="A" * 43 + "=")


def test_too_little_memory_is_told(open_node, signum):
    node = open_node(memory=100_000)
    with pytest.raises(signum.NotFoundError):
        node.acquire("acme/signs")
    reasons = {entry["model"]: entry["reason"] for entry in node.residency()["pending"]}
    assert reasons["signs"] == "memory_budget"


def test_from_c(zoo, tmp_path):
    done = run(BIN / "capi_c99_test", zoo.registry.url, zoo.token, "acme/sparse", tmp_path / "cache", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    data = zoo.delta("sparse")
    delta = Delta(data)
    assert lines[0][1:4] == ["acme/sparse", "1", "sha256:" + hashlib.sha256(data).hexdigest()]
    tensors = {line[1]: (line[3], line[7]) for line in lines if line[0] == "tensor"}
    assert tensors == {name: (dtype, ",".join(map(str, shape))) for name, (dtype, shape, _) in delta.parts.items()}
    weights = {line[1]: line[2] for line in lines if line[0] == "weight"}
    assert weights == {name: delta.codec(name) for name in parse(zoo.checkpoint("sparse"))[0]}
    assert (tmp_path / "data").read_bytes() == b"".join(delta.parts[name][2] for name in tensors)


EMULATED = BIN.parent / "emulated"
DEVICE = {"SIGNUM_CUDA_MODULE": str(EMULATED / "libsignum_cuda.so"), "LD_LIBRARY_PATH": str(EMULATED),
          "SIGNUM_EMULATED_SHARED": "1"}
on_device = pytest.mark.skipif(not (EMULATED / "libsignum_cuda.so").exists(), reason="the emulated module is not built")


@on_device
def test_from_c_on_a_device(zoo, tmp_path):
    """Its addresses are the host's, for the device is emulated: what is there is the file."""
    done = run(BIN / "capi_c99_test", zoo.registry.url, zoo.token, "acme/sparse", tmp_path / "cache", tmp_path / "data",
               "cuda:0", env=DEVICE)
    assert done.returncode == 0, done.stderr
    parts = Delta(zoo.delta("sparse")).parts
    names = [line.split("\t")[1] for line in done.stdout.splitlines() if line.startswith("tensor")]
    assert sorted(names) == sorted(parts)
    assert (tmp_path / "data").read_bytes() == b"".join(parts[name][2] for name in names)


@on_device
def test_on_a_device(installed, zoo, tmp_path):
    """Streams, capsules and events of leases of device memory: see device_check.py."""
    (tmp_path / "delta").write_bytes(zoo.delta("signs"))
    here = pathlib.Path(__file__).parent
    package = tmp_path / "path/signum"
    shutil.copytree(installed / "signum", package)
    # Found beside the library.
    module = shutil.copyfile(EMULATED / "libsignum_cuda.so", package / "libsignum_cuda.so")
    env = {"LD_LIBRARY_PATH": str(EMULATED), "SIGNUM_CUDA_MODULE": "", "SIGNUM_LIBRARY": "",
           "SIGNUM_EMULATED_SHARED": "1", "PYTHONPATH": f"{package.parent}:{here}"}
    done = run(installed.parents[2] / "bin/python", here / "device_check.py", zoo.registry.url, zoo.token,
               tmp_path / "delta", tmp_path / "cache", module, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "checked", done.stdout


def interpreters(module):
    """Pythons that have a module: the tests' own, SIGNUM_TORCH_PYTHON, Debian's."""
    wanted = [sys.executable, os.environ.get("SIGNUM_TORCH_PYTHON"), "/usr/bin/python3"]
    found = [p for p in dict.fromkeys(wanted) if p and shutil.which(p)
             and subprocess.run([p, "-c", f"import {module}"], capture_output=True).returncode == 0]
    return found


@pytest.mark.parametrize("what", ["modules", "llama"])
def test_torch(installed, zoo, what, tmp_path):
    """Every weight rebuilt, every module's answer, and a transformers Llama's logits: see torch_check.py."""
    pythons = interpreters("torch" if what == "modules" else "torch, transformers")
    if not pythons:
        pytest.skip("no Python with torch" + ("" if what == "modules" else " and transformers") +
                    " here (SIGNUM_TORCH_PYTHON names one)")
    for model in MODELS:
        (tmp_path / f"{model}.safetensors").write_bytes(zoo.checkpoint(model))
    # The package alone, not numpy and its like of another Python.
    shutil.copytree(installed / "signum", tmp_path / "path/signum")
    here = pathlib.Path(__file__).parent
    # One thread: more of them than free cores wait for each other.
    env = {"PYTHONPATH": f"{tmp_path / 'path'}:{here}", "SIGNUM_LIBRARY": "", "OMP_NUM_THREADS": "1"}
    for python in pythons:
        done = run(python, here / "torch_check.py", what, zoo.registry.url, zoo.token, FAMILY / "base", tmp_path,
                   *MODELS, env=env, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1] == f"checked {len(MODELS)} models", done.stdout


def test_the_interpreter_ends_well_with_everything_open(installed, zoo, tmp_path):
    """Arrays, capsules, leases and the node are all there when Python ends."""
    code = ("import sys, signum, numpy\n"
            "node = signum.Node(sys.argv[1], ['acme'], token=sys.argv[2], cache=sys.argv[3], memory=64 << 20)\n"
            "lease = node.acquire('acme/signs')\n"
            "tensors = list(lease.tensors.values())\n"
            "capsules = [t.__dlpack__() for t in tensors] + [t.__dlpack__(max_version=(1, 0)) for t in tensors]\n"
            "arrays = [t.numpy() for t in tensors]\n"
            "print(len(arrays))\n")
    done = run(installed.parents[2] / "bin/python", "-c", code, zoo.registry.url, zoo.token, tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(parse(zoo.delta("signs"))[0])
    assert done.stderr == ""
