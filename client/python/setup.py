"""Packages libsignum.so beside the Python files; builds it first where nobody names a built one. The CUDA module of the same
build goes beside it, where there is one.

SIGNUM_LIBRARY   the library to package (any build's lib/libsignum.so); a relative path is one from where pip was started, or from
                 the root of the source tree
SIGNUM_PRESET    else: the CMake preset to build it with, in build/<preset> of the source tree (release)
"""

import os
import pathlib
import shutil
import subprocess

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = pathlib.Path(__file__).resolve().parents[2]


def build_library():
    """The library of the source tree that this folder is part of, built now."""
    if not (ROOT / "CMakePresets.json").exists():
        raise SystemExit("libsignum.so is built from Signum's source tree: install from there "
                         "(pip install ./client/python), or name a built one in SIGNUM_LIBRARY")
    preset = os.environ.get("SIGNUM_PRESET", "release")
    subprocess.run(["cmake", "--preset", preset], cwd=ROOT, check=True)
    subprocess.run(["ninja", "-C", f"build/{preset}", "signum_capi"], cwd=ROOT, check=True)
    if "signum_cuda:" in subprocess.run(["ninja", "-C", f"build/{preset}", "-t", "targets", "all"], cwd=ROOT, check=True,
                                        capture_output=True, text=True).stdout:
        subprocess.run(["ninja", "-C", f"build/{preset}", "signum_cuda"], cwd=ROOT, check=True)
    return ROOT / "build" / preset / "lib/libsignum.so"


def given_library(given):
    """pip builds in this folder, so a relative path would be looked for here; the shell's PWD stays."""
    places = [pathlib.Path(place) / given for place in (os.environ.get("PWD", "."), ROOT)]
    for place in places:
        if place.exists():
            return place
    raise SystemExit(f"SIGNUM_LIBRARY {given}: there is no {' nor '.join(map(str, dict.fromkeys(places)))}")


class BuildWithLibrary(build_py):
    def run(self):
        super().run()
        given = os.environ.get("SIGNUM_LIBRARY")
        library = (given_library(given) if given else build_library()).resolve(strict=True)
        package = pathlib.Path(self.build_lib) / "signum"
        shutil.copyfile(library, package / "libsignum.so")
        module = library.parents[1] / "bin/libsignum_cuda.so"
        if module.exists():
            shutil.copyfile(module, package / "libsignum_cuda.so")


class PlatformWheel(bdist_wheel):
    """The library is of this platform and of no particular Python."""

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


class BinaryDistribution(Distribution):
    def has_ext_modules(self):
        return True


setup(cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel}, distclass=BinaryDistribution)
