#!/usr/bin/env python3
"""Writes every figure in README.md from committed results, between markers; --check fails if that would change anything.

  <!-- claim:report results/DIR -->   table of the records in DIR, as `chokepoint report --format markdown` prints it
  <!-- claim:file results/FILE -->    the file as it is, as a block of text
  <!-- claim:gpu results -->          which GPU kernels the records under results/ have seen run, and on what
  <!-- /claim -->                     the end of either
"""
import collections
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MARKER = re.compile(r"(<!-- claim:(\w+) (\S+) -->\n).*?(<!-- /claim -->)", re.DOTALL)


def program():
    built = [path for path in (ROOT / "build").glob("*/chokepoint") if path.is_file()]
    if not built:
        sys.exit("error: chokepoint is not built\n  fix: run scripts/run.sh or scripts/test.sh first")
    return max(built, key=lambda path: path.stat().st_mtime)


def gpu_kernels():
    """(operation, kernel) of every kernel for a GPU, from the sources: a build without CUDA knows none of them."""
    for source in sorted((ROOT / "kernels").glob("*/*.cu")):
        if "Register<Kernel>" in source.read_text(encoding="utf-8"):
            yield source.parent.name, source.stem


def gpu_runs(folder):
    """A table: kernel, GPUs it has run on, records by outcome, largest error against its tolerance."""
    seen = collections.defaultdict(list)
    for file in sorted((ROOT / folder).glob("*/records.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record["device"]["kind"] == "cuda":
                seen[record["operation"], record["kernel"]].append(record)
    rows = ["| operation | kernel | has run on | records | largest error / tolerance |", "| --- | --- | --- | --- | --- |"]
    for operation, kernel in gpu_kernels():
        records = seen[operation, kernel]
        ran = [r for r in records if r["status"] in ("ok", "invalid")]
        devices = ", ".join(sorted({r["device"]["name"] for r in ran})) or "no GPU yet"
        counts = collections.Counter(r["status"] for r in records)
        outcome = ", ".join(f"{counts[s]} {s}" for s in ("ok", "invalid", "failed", "unsupported") if counts[s])
        errors = [r["verification"]["row_error"] / r["verification"]["tolerance"] for r in ran
                  if r["verification"] and r["verification"].get("row_error") is not None
                  and r["verification"]["tolerance"] > 0]
        rows.append(f"| {operation} | {kernel} | {devices} | {outcome} | {f'{max(errors):.2f}' if errors else ''} |")
    return "\n".join(rows) + "\n"


def rendered(kind, path):
    if kind == "gpu":
        return gpu_runs(path)
    if kind == "file":
        return "```text\n" + (ROOT / path).read_text(encoding="utf-8").rstrip() + "\n```\n"
    if kind == "report":
        command = [program(), "report", path, "--format", "markdown"]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            sys.exit(result.stderr)
        return result.stdout.rstrip() + "\n"
    sys.exit(f"error: README.md has a marker of unknown kind {kind}\n  fix: use report, file or gpu")


def main():
    readme = ROOT / "README.md"
    before = readme.read_text(encoding="utf-8")
    after = MARKER.sub(lambda m: m.group(1) + rendered(m.group(2), m.group(3)) + m.group(4), before)
    if "--check" in sys.argv[1:]:
        if before != after:
            sys.exit("error: figures in README.md differ from results/\n  fix: run scripts/render_readme.py and commit")
        print(f"README.md: {len(MARKER.findall(before))} blocks of figures are as results/ say")
        return
    readme.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
