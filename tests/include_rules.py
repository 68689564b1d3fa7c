"""Checks every #include of the tree against the folder table of architecture.md.

usage: include_rules.py ROOT      prints each violation as path:line, exits 1 where there is one
"""

import pathlib
import re
import sys

# Folder -> folders it may include. The longest matching folder decides.
ALLOWED = {
    "storage/base": {"storage/base"},
    "storage/format": {"storage/base", "storage/format"},
    "storage": {"storage/base", "storage/format", "storage"},
    "gpu": {"storage/base", "storage/format", "gpu"},
    "server": {"storage/base", "storage/format", "storage", "gpu", "server", "server/http", "server/settings"},
    "client": {"storage/base", "storage/format", "gpu", "client", "server/http", "server/settings"},
    "tests": None,  # sees everything
}
# server/http is the transport alone: clients (signum-node) use it too, so it may not see the rest.
ALLOWED["server/http"] = {"storage/base", "server/http"}
# So with the table of settings that every program which stays has.
ALLOWED["server/settings"] = {"server/settings"}

# What server/ and client/ may see of gpu/: the headers at its top, and of its folders these.
GPU_PUBLIC = {"gpu/distill/" + name + ".h" for name in ("calibration", "distill", "make_delta", "report_json")}
GPU_PUBLIC |= {"gpu/serve/" + name + ".h" for name in ("base_weights", "block_pool", "device_image", "engine", "sampler", "tenant_weights")}
GPU_PUBLIC |= {"gpu/tokenizer/tokenizer.h", "gpu/tokenizer/utf8.h"}
GPU_PUBLIC |= {"gpu/model/generate.h"}

# Headers of a library -> who may include them (pattern over the path).
LIBRARIES = [
    (r"rocksdb/", r"storage/[^/]+\.cc"),
    (r"boost/beast", r"(server|client)/.*"),
    (r"(cuda|cublas|nvrtc|cooperative_groups)", r"gpu/.*\.(cu|cuh)"),
    (r"boost/asio", r"(server|client)/.*"),
]
# storage/base needs the standard library, POSIX, Boost.System (and its Assert) and OpenSSL's digests.
BASE_LIBRARIES = r"(boost/(system|assert)/|openssl/|sys/)"

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')
SUFFIXES = {".h", ".cc", ".cu", ".cuh"}


def folder_of(path):
    """The longest folder of the table that holds `path`, or None."""
    holders = [f for f in ALLOWED if path.startswith(f + "/")]
    return max(holders, key=len, default=None)


def check_own(path, target):
    """Why `path` may not include our own header `target`, or None."""
    source, wanted = folder_of(path), folder_of(target)
    if wanted is None:
        return f'"{target}" is not below a known folder: include from the top of the tree'
    allowed = ALLOWED[source]
    if allowed is not None and wanted not in allowed:
        return f"{source}/ may not include {wanted}/ ({target})"
    inner = target.count("/") > 1 and target not in GPU_PUBLIC
    if wanted == "gpu" and source not in ("gpu", "tests") and inner:
        return f"{target} is not one of gpu's public headers"
    return None


def check_library(path, target):
    """Why `path` may not include the library header `target`, or None."""
    if path.startswith("tests/"):
        return None
    for header, holders in LIBRARIES:
        if re.match(header, target) and not re.fullmatch(holders, path):
            return f"<{target}> belongs to {holders} alone"
    in_base = path.startswith("storage/base/")
    if in_base and "/" in target and not re.match(BASE_LIBRARIES, target):
        return f"storage/base/ may use the standard library, Boost.System and OpenSSL alone (<{target}>)"
    return None


def violations(path, text):
    """(line number, reason) for each include of `text` that the rules refuse."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quoted, target = match[1] == '"', match[2]
        reason = check_own(path, target) if quoted else check_library(path, target)
        if reason:
            found.append((number, reason))
    return found


def main(root):
    root = pathlib.Path(root)
    files = [f for top in {f.split("/")[0] for f in ALLOWED} for f in (root / top).rglob("*")]
    sources = sorted(f for f in files if f.suffix in SUFFIXES)
    bad = 0
    for file in sources:
        path = file.relative_to(root).as_posix()
        for number, reason in violations(path, file.read_text(encoding="utf-8")):
            print(f"{path}:{number}: {reason}")
            bad += 1
    print(f"{len(sources)} files, {bad} includes refused")
    return 0 if sources and not bad else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
