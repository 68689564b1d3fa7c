"""Each rule of include_rules.py refuses what it must and lets the rest pass."""

import pytest
from include_rules import main, violations

REFUSED = [
    ("storage/base/a.h", '#include "storage/format/tensor.h"'),
    ("storage/format/a.cc", '#include "storage/engine.h"'),
    ("storage/a.cc", '#include "gpu/compress.h"'),
    ("storage/a.cc", '#include "server/app.h"'),
    ("gpu/a.cc", '#include "storage/catalog.h"'),
    ("gpu/cpu/a.cc", '#include "client/node.h"'),
    ("server/a.cc", '#include "client/node.h"'),
    ("server/http/a.cc", '#include "storage/engine.h"'),
    ("server/http/a.cc", '#include "server/app.h"'),
    ("client/a.cc", '#include "storage/engine.h"'),
    ("client/a.cc", '#include "server/app.h"'),
    ("storage/a.h", "#include <rocksdb/db.h>"),
    ("storage/format/a.cc", "#include <rocksdb/db.h>"),
    ("server/a.cc", "#include <rocksdb/db.h>"),
    ("storage/a.cc", "#include <boost/beast/http.hpp>"),
    ("storage/a.cc", "#include <boost/asio.hpp>"),
    ("gpu/a.cc", "#include <cuda_runtime.h>"),
    ("gpu/a.h", "  #  include <cuda_bf16.h>"),
    ("storage/base/a.cc", "#include <nlohmann/json.hpp>"),
    ("server/a.cc", '#include "app.h"'),
    ("server/a.cc", '#include "gpu/cpu/sign1.h"'),
]
ALLOWED = [
    ("storage/base/a.cc", "#include <boost/system/result.hpp>"),
    ("storage/base/a.cc", "#include <sys/mman.h>"),
    ("storage/format/a.cc", '#include "storage/base/result.h"'),
    ("storage/a.cc", "#include <rocksdb/db.h>"),
    ("gpu/a.cc", '#include "storage/format/tensor.h"'),
    ("storage/base/a.h", "#include <boost/assert/source_location.hpp>"),
    ("server/a.h", '#include "server/http/message.h"'),
    ("gpu/cpu/a.cc", '#include "gpu/cpu/sign1.h"'),
    ("gpu/cuda/a.cu", "#include <cuda_runtime.h>"),
    ("server/a.cc", '#include "gpu/compress.h"'),
    ("client/a.cc", '#include "server/http/server.h"'),
    ("client/a.cc", "#include <boost/beast/http.hpp>"),
    ("tests/server/a.cc", '#include "storage/engine.h"'),
    ("storage/base/a.cc", '// #include "server/app.h"'),
]


@pytest.mark.parametrize("path,line", REFUSED)
def test_refused(path, line):
    found = violations(path, "#pragma once\n\n" + line + "\n")
    assert [number for number, _ in found] == [3]


@pytest.mark.parametrize("path,line", ALLOWED)
def test_allowed(path, line):
    assert violations(path, line) == []


def test_main_names_the_line_and_fails(tmp_path, capsys):
    (tmp_path / "storage/base").mkdir(parents=True)
    (tmp_path / "storage/base/a.h").write_text('#include "server/app.h"\n')
    assert main(tmp_path) == 1
    assert "storage/base/a.h:1: storage/base/ may not include server/" in capsys.readouterr().out


def test_main_refuses_an_empty_tree(tmp_path):
    assert main(tmp_path) == 1
