"""Writes RESULTS.md from what the benchmarks left. usage: report.py COMMAND_LINE FOLDER"""

import datetime
import json
import os
import pathlib
import platform
import re
import sys


def machine():
    """Processor, cores and memory in words."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", cpuinfo)
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) / 2**20
    return f"{model[1] if model else platform.processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}"


def number(value):
    return "" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def table(rows):
    yield "| what | figure | reference | ratio | target | |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        reference = f"{row['reference']}: {number(row['reference_value'])}" if row["reference_value"] else ""
        yield (f"| {row['what']} | {number(row['value'])} {row['unit']} | {reference} | {number(row['ratio'])} "
               f"| {row['target'] or ''} | {row['note'].strip('()')} |")


def main(command_line, folder):
    folder = pathlib.Path(folder)
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    print(f"# Results\n\n{today} · `{command_line}` · {machine()}\n")
    print("Figures of one run on one machine; each reference was measured in the same run.\n")
    print("## The running registry\n")
    print("\n".join(table(json.loads((folder / "service.json").read_text()))))
    print("\n## Distillation on the CPU\n")
    print("\n".join(table(json.loads((folder / "distill.json").read_text()))))
    for file in sorted(folder.glob("*_bench.txt")):
        print(f"\n## {file.stem}\n\n```\n{file.read_text().rstrip()}\n```")


if __name__ == "__main__":
    main(*sys.argv[1:])
