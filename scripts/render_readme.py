#!/usr/bin/env python3
"""Writes every figure in README.md from committed results, between markers; --check fails if that would change anything.

  <!-- claim:report results/DIR -->   table of the records in DIR, as `chokepoint report --format markdown` prints it
  <!-- claim:file results/FILE -->    the file as it is, as a block of text
  <!-- /claim -->                     the end of either
"""
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


def rendered(kind, path):
    if kind == "file":
        return "```text\n" + (ROOT / path).read_text(encoding="utf-8").rstrip() + "\n```\n"
    if kind == "report":
        command = [program(), "report", path, "--format", "markdown"]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            sys.exit(result.stderr)
        return result.stdout.rstrip() + "\n"
    sys.exit(f"error: README.md has a marker of unknown kind {kind}\n  fix: use report or file")


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
