#!/usr/bin/env python3
"""scripts/ci/track.sh with a program that records how it is called: order of runs, exit codes, checkouts, mistakes; with
the real program, in a repository of two commits; and whether the CI files are valid YAML whose shell lines bash can read.

Usage: track_test.py SOURCE_DIR [PROGRAM]
"""
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

PROGRAM = os.path.abspath(sys.argv.pop(2)) if len(sys.argv) > 2 and not sys.argv[2].startswith("-") else None
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


# The real program; what a run recorded gets times that follow from the commit's file `factor` and the run's number alone,
# since a test must not hang on how busy a machine is.
WRAPPER = """#!/usr/bin/env python3
import json, os, random, subprocess, sys
code = subprocess.call([{program!r}, *sys.argv[1:]])
if sys.argv[1] == "run" and code in (0, 1, 3):
    path = os.path.join(sys.argv[sys.argv.index("--out") + 1], "records.jsonl")
    records = [json.loads(line) for line in open(path, encoding="utf-8")]
    for case, record in enumerate(records):
        source = random.Random(path + str(case))
        level = 1e-3 * (case + 1) * ({factor} if case == 0 else 1.0) * source.gauss(1, 0.0005)
        record["time_s"]["samples"] = [level * source.gauss(1, 0.002) for _ in range(100)]
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\\n" for record in records)
sys.exit(code)
"""


def suite(k):
    return {"id": "suite", "summary": "for a test", "device": "cpu", "targets": ["host"],
            "sampling": {"budget_s": 0.05, "half_width": 0.5, "confidence": 0.95, "warm_up_s": 0.01},
            "cases": [{"operation": "matmul", "shape": {"m": 16, "n": n, "k": k}, "dtypes": ["f32"],
                       "kernels": {"cpu": ["cpu_native"]}} for n in (16, 32, 48)]}


@unittest.skipUnless(PROGRAM, "no program was named")
class RealProgram(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="chokepoint_ci.")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.repo, self.out = f"{self.folder}/repo", f"{self.folder}/out"
        os.makedirs(self.repo)
        self.git("init", "--quiet", "-b", "main")
        with open(f"{self.repo}/build.py", "w", encoding="utf-8") as file:
            file.write(f"import os\nWRAPPER = {WRAPPER!r}\nos.makedirs('build', exist_ok=True)\n"
                       f"text = WRAPPER.format(program={PROGRAM!r}, factor=open('factor').read().strip())\n"
                       "open('build/chokepoint', 'w').write(text)\nos.chmod('build/chokepoint', 0o755)\n")
        self.write("suite.json", json.dumps(suite(32)))
        self.commit("1.0")

    def git(self, *words):
        subprocess.run(["git", "-C", self.repo, "-c", "user.name=t", "-c", "user.email=t@example.org", *words], check=True,
                       capture_output=True)

    def write(self, name, text):
        with open(f"{self.repo}/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    def commit(self, factor):
        self.write("factor", factor)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", f"factor {factor}")

    def track(self, *flags, **env):
        environment = {**os.environ, "PROGRAM": "build/chokepoint", "BUILD_COMMAND": f"{sys.executable} build.py",
                       "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": f"{self.folder}/step.md", **env}
        for name in ("BASE_PROGRAM", "NEW_PROGRAM"):
            environment.pop(name, None)
        return subprocess.run(["bash", SCRIPT, "--base", "HEAD~1", "--suite", "suite.json", "--out", self.out, *flags],
                              cwd=self.repo, text=True, capture_output=True, env=environment, timeout=120)

    def read(self, path):
        with open(path, encoding="utf-8") as file:
            return file.read()

    def failures(self):
        root = xml.etree.ElementTree.parse(f"{self.out}/junit.xml").getroot()
        self.assertEqual(len(list(root.iter("testcase"))), 3)
        return [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None]

    def test_a_slower_commit_is_found_named_and_fails_the_job(self):
        self.commit("1.1")
        result = self.track("--runs", "3")
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn("1 slower, 0 faster, 0 ambiguous, 2 same, 0 not comparable of 3 cases", result.stdout)
        self.assertEqual(["n=16" in name for name in self.failures()], [True])
        self.assertIn("| **slower** |", self.read(f"{self.out}/summary.md"))
        self.assertEqual(self.read(f"{self.out}/summary.md"), self.read(f"{self.folder}/step.md"))
        annotations = [line for line in result.stderr.splitlines() if line.startswith("::error")]
        self.assertEqual(len(annotations), 1, result.stderr)
        self.assertIn("n=16", annotations[0])

    def test_an_equal_commit_passes_strictly_too(self):
        self.commit("1.0")
        result = self.track("--runs", "3", "--strict")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("3 same", result.stdout)
        self.assertEqual(self.failures(), [])
        self.assertNotIn("::error", result.stderr)

    def test_one_run_a_side_is_undecided_and_says_what_would_help(self):
        self.commit("1.03")
        result = self.track("--runs", "1", "--strict")
        self.assertEqual(result.returncode, 4, result.stdout + result.stderr)
        self.assertIn("2 % is assumed; give several runs a side", " ".join(result.stdout.split()))

    def test_a_changed_suite_compares_nothing_and_says_so(self):
        self.commit("1.0")
        self.assertEqual(self.track("--runs", "1").returncode, 0)
        self.write("suite.json", json.dumps(suite(64)))
        os.rename(self.out, f"{self.folder}/before")
        self.assertEqual(self.track("--runs", "1").returncode, 0)
        result = subprocess.run([PROGRAM, "compare", f"{self.folder}/before/base", f"{self.out}/new", "--gate"], text=True,
                                capture_output=True)
        self.assertEqual(result.returncode, 2)
        self.assertIn("absent in new", result.stderr)

    def test_a_full_step_summary_is_left_alone(self):
        self.commit("1.0")
        self.write("../step.md", "x" * (1024 * 1024 - 10))
        result = self.track("--runs", "1")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("no room", result.stderr)
        self.assertEqual(os.path.getsize(f"{self.folder}/step.md"), 1024 * 1024 - 10)


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
