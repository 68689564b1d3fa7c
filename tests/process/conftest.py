"""Fixtures: a fresh registry for tests that change it, and one with the whole family published."""

import shutil

import pytest

from api import Api
from programs import BIN, FAMILY, FINE_TUNES, Node, Registry
from proxy import Proxy


def pytest_sessionstart():
    missing = [name for name in ("signumd", "signum-node", "signum") if not (BIN / name).exists()]
    if missing:
        pytest.exit(f"not built in {BIN}: {', '.join(missing)}", returncode=3)


@pytest.fixture
def start(tmp_path):
    """start(kind, ...) for Registry and Node: stopped, or killed, when the test ends."""
    running = []

    def begin(kind, *arguments, **options):
        folder = options.pop("folder", tmp_path)
        program = kind(folder, *arguments, **options)
        running.append(program)
        return program

    yield begin
    for program in reversed(running):
        if program.running():
            program.kill()


@pytest.fixture
def registry(start):
    return start(Registry)


@pytest.fixture
def admin(registry):
    return Api(registry.url, registry.token)


@pytest.fixture
def start_node(start, tmp_path):
    """start_node(registry, tenants, via=url): a node with a token of its own for these tenants."""

    def begin(registry, tenants, *options, via=None, name="node", env=None):
        token = Api(registry.url, registry.token).create_token("node", *tenants)
        return start(Node, via or registry.url, token, tenants, *options, name=name,
                     folder=tmp_path / "nodes" / name, env=env)

    return begin


@pytest.fixture
def published(registry, admin):
    """A registry whose tenant kjv has version 1 live."""
    admin.push_base("base", FAMILY / "base")
    admin.publish("kjv/model", FAMILY / "kjv")
    return registry


@pytest.fixture
def proxy(published):
    """A proxy before `published`, which can damage and cut what passes."""
    proxy = Proxy(published.url)
    yield proxy
    proxy.close()


class Family:
    """A registry with the base and each fine-tune published as <name>/model."""

    def __init__(self, folder, *options):
        self.registry = Registry(folder, *options)
        self.admin = Api(self.registry.url, self.registry.token)
        self.base = self.admin.push_base("base", FAMILY / "base")
        self.versions = {name: self.admin.publish(f"{name}/model", FAMILY / name) for name in FINE_TUNES}
        self.folder = folder

    def path(self, name, rest=""):
        return f"/v1/tenants/{name}/models/model/versions/1{rest}"


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """Shared by a file's tests: read it, don't change it."""
    folder = tmp_path_factory.mktemp("family")
    family = Family(folder)
    yield family
    family.registry.kill()
    shutil.rmtree(folder, ignore_errors=True)
