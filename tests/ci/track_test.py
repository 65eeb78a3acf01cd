#!/usr/bin/env python3
"""scripts/ci/track.sh with a program that records how it is called: order of runs, exit codes, checkouts, mistakes; and
whether the CI files are valid YAML whose shell lines bash can read.

Usage: track_test.py SOURCE_DIR
"""
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.path.abspath(sys.argv.pop(1))
SCRIPT = f"{SOURCE}/scripts/ci/track.sh"

# Appends its arguments to $LOG; `run` makes the folder after --out; `compare` writes the summary. Ends as told.
STUB = """#!/usr/bin/env bash
echo "$(basename "$0") $*" >>"$LOG"
if [ "$1" = run ]; then
  while [ $# -gt 0 ]; do if [ "$1" = --out ]; then mkdir -p "$2"; fi; shift; done
  exit "${RUN_CODE:-0}"
fi
while [ $# -gt 0 ]; do if [ "$1" = --markdown ]; then echo "a summary" >"$2"; fi; shift; done
exit "${COMPARE_CODE:-0}"
"""


class Track(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="chokepoint_ci.")
        self.addCleanup(shutil.rmtree, self.folder, True)
        for name in ("base", "new"):
            self.program(f"{self.folder}/{name}")

    def program(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(STUB)
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def track(self, *flags, cwd=None, **env):
        environment = {**os.environ, "LOG": f"{self.folder}/log", "BASE_PROGRAM": f"{self.folder}/base",
                       "NEW_PROGRAM": f"{self.folder}/new", **env}
        for name in [name for name, value in environment.items() if value is None]:
            del environment[name]
        return subprocess.run(["bash", SCRIPT, "--out", f"{self.folder}/out", *flags], cwd=cwd or self.folder, text=True,
                              capture_output=True, env=environment, timeout=60)

    def log(self):
        with open(f"{self.folder}/log", encoding="utf-8") as file:
            return file.read().splitlines()

    def refused(self, result, text, code=2):
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertIn("error: ", result.stderr)
        self.assertIn("fix: ", result.stderr)
        self.assertIn(text, result.stderr)

    def test_both_sides_run_in_turn_and_are_compared_at_the_end(self):
        result = self.track("--suite", "ci", "--runs", "3", "--", "--seed", "7")
        self.assertEqual(result.returncode, 0, result.stderr)
        out = f"{self.folder}/out"
        self.assertEqual(self.log(), [
            f"base run ci --out {out}/base/1 --seed 7", f"new run ci --out {out}/new/1 --seed 7",
            f"new run ci --out {out}/new/2 --seed 7", f"base run ci --out {out}/base/2 --seed 7",
            f"base run ci --out {out}/base/3 --seed 7", f"new run ci --out {out}/new/3 --seed 7",
            f"new compare {out}/base {out}/new --gate --markdown {out}/summary.md --junit {out}/junit.xml"])

    def test_a_regression_fails_and_the_summary_is_there_all_the_same(self):
        summary = f"{self.folder}/step_summary"
        with open(summary, "w", encoding="utf-8") as file:
            file.write("before\n")
        result = self.track(COMPARE_CODE="3", GITHUB_STEP_SUMMARY=summary)
        self.assertEqual(result.returncode, 3)
        with open(summary, encoding="utf-8") as file:
            self.assertEqual(file.read(), "before\na summary\n")

    def test_strict_reaches_the_gate_and_its_verdict_comes_back(self):
        self.assertEqual(self.track("--strict", COMPARE_CODE="4").returncode, 4)
        self.assertIn("--gate --strict", self.log()[-1])

    def test_failed_and_invalid_cases_are_judged_by_the_comparison(self):
        for code in ("1", "3"):
            self.assertEqual(self.track(RUN_CODE=code).returncode, 0)
            shutil.rmtree(f"{self.folder}/out")

    def test_a_run_that_could_not_start_ends_it(self):
        self.refused(self.track(RUN_CODE="2"), "base: chokepoint run ended with 2")
        self.assertEqual(len(self.log()), 1)
        shutil.rmtree(f"{self.folder}/out")
        self.assertEqual(self.track(RUN_CODE="77").returncode, 77)

    def test_mistakes_are_named(self):
        self.refused(self.track("--runs", "none"), '--runs is "none"')
        self.refused(self.track("--runs", "0"), '--runs is "0"')
        self.refused(self.track("--bass", "main"), "unknown flag --bass")
        self.refused(self.track(BASE_PROGRAM=f"{self.folder}/gone"), "there is no program at")
        self.assertEqual(self.track().returncode, 0)
        self.refused(self.track(), "holds an earlier comparison")

    def git(self, *words):
        subprocess.run(["git", "-C", f"{self.folder}/repo", "-c", "user.name=t", "-c", "user.email=t@example.org", *words],
                       check=True, capture_output=True)

    def repository(self):
        """Two commits; the build command copies a stub to where the program belongs."""
        os.makedirs(f"{self.folder}/repo")
        self.git("init", "--quiet", "-b", "main")
        for text in ("one", "two"):
            with open(f"{self.folder}/repo/file", "w", encoding="utf-8") as file:
                file.write(text)
            self.git("add", "file")
            self.git("commit", "--quiet", "-m", text)
        return {"cwd": f"{self.folder}/repo", "BASE_PROGRAM": None, "NEW_PROGRAM": None, "PROGRAM": "build/chokepoint",
                "BUILD_COMMAND": f"mkdir -p build && cp {self.folder}/base build/chokepoint && cat file >>{self.folder}/built"}

    def test_both_commits_are_built_and_the_base_is_cleared_away(self):
        result = self.track("--base", "HEAD~1", "--runs", "1", **self.repository())
        self.assertEqual(result.returncode, 0, result.stderr)
        with open(f"{self.folder}/built", encoding="utf-8") as file:
            self.assertEqual(file.read(), "onetwo")
        listing = subprocess.run(["git", "-C", f"{self.folder}/repo", "worktree", "list"], capture_output=True, text=True, check=True)
        self.assertEqual(len(listing.stdout.splitlines()), 1, listing.stdout)

    def test_a_base_that_is_not_there_and_a_build_that_fails_are_named(self):
        settings = self.repository()
        self.refused(self.track("--base", "no-such-branch", **settings), "no-such-branch is no commit of this checkout")
        self.refused(self.track(**settings), "there is no commit to compare with")
        self.refused(self.track("--base", "HEAD~1", **{**settings, "BUILD_COMMAND": "false"}), "building in")


class Files(unittest.TestCase):
    def scripts(self, value):
        """The shell lines of a CI file."""
        if isinstance(value, dict):
            for key, inner in value.items():
                if key == "run":
                    yield inner
                elif key in ("script", "after_script"):
                    yield "\n".join(inner)
                else:
                    yield from self.scripts(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from self.scripts(inner)

    def test_ci_files_are_yaml_with_shell_lines_that_bash_reads(self):
        try:
            import yaml
        except ImportError:
            self.skipTest("python3 has no yaml (Debian, Ubuntu: apt-get install python3-yaml)")
        for name, least in (("github", 4), ("gitlab", 2)):
            with open(f"{SOURCE}/scripts/ci/{name}.yml", encoding="utf-8") as file:
                scripts = list(self.scripts(yaml.safe_load(file)))
            self.assertGreaterEqual(len(scripts), least, name)
            for script in scripts:
                result = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
                self.assertEqual(result.returncode, 0, f"{name}: {script}\n{result.stderr}")


if __name__ == "__main__":
    unittest.main()
