#!/usr/bin/env python3
"""`compare` and `history` as a user and a CI meet them, on records written here: verdicts, exit codes, Markdown, JUnit
XML read by an XML parser, annotations, hostile names, bad input, kill -9 and two writers.

Usage: track_test.py CHOKEPOINT
"""
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

PROGRAM = os.path.abspath(sys.argv[1])
del sys.argv[1:2]


def run(*words, timeout=120, **env):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GITHUB_")}
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=timeout,
                          env={**clean, "COLUMNS": "160", "NO_COLOR": "1", **env})


def record(case, seconds, run_id, source, noise=0.002, samples=60, **changes):
    times = [seconds * (1 + noise * source.gauss(0, 1)) for _ in range(samples)]
    ordered = sorted(times)
    value = {
        "schema": "chokepoint/record/1", "run_id": run_id, "case_id": case, "attempt": 1, "operation": "matmul",
        "kernel": "cpu_native", "shape": {"m": 4}, "dtype": "f32",
        "device": {"kind": "cpu", "name": "test machine", "architecture": "x86_64", "workers": 2}, "target": "host",
        "basis": "measured", "status": "ok", "reason": "", "dilation": 1.0, "caps": [],
        "time_s": {"median": ordered[samples // 2], "ci_low": ordered[samples // 3], "ci_high": ordered[2 * samples // 3],
                   "mean": None, "mean_ci_low": None, "mean_ci_high": None, "n": samples, "ess": None, "cv": None,
                   "stopped_by": "precision", "regime": "burst", "window_s": 0.5, "samples": times},
        "interleave_group": "", "verification": None,
        "work": {"flop": 1, "memory_bytes": 1, "link_bytes": 0, "network_bytes": 0, "tokens": 0, "link_messages": 0,
                 "network_messages": 0},
        "energy": {"basis": "absent", "power_w": None, "scope": "", "source": "", "verified": True,
                   "host_joule_per_launch": None},
        "metrics": {},
        "provenance": {"seed": 7, "input_distribution": "normal", "git": "aaaa111", "finished": "2026-01-01T00:00:00Z"}}
    value.update(changes)
    return value


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def case_name(i):
    return f"matmul/cpu_native/f32/k=64,m={i},n=64@host#{i:08x}"


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="chokepoint_track.")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write_run(self, name, scales, seed=1, cases=12, tail="", git="aaaa111", finished="2026-01-01T00:00:00Z", names=None, **changes):
        """A folder with one run; `scales` are by case number."""
        source = random.Random(seed)
        os.makedirs(self.path(name))
        with open(os.path.join(self.path(name), "records.jsonl"), "w", encoding="utf-8") as file:
            for i in range(cases):
                one = record(names[i] if names else case_name(i), 1e-3 * (i + 1) * scales.get(i, 1.0), name, source, **changes)
                one["provenance"] = {**one["provenance"], "git": git, "finished": finished}
                file.write(json.dumps(one) + "\n")
            file.write(tail)
        return self.path(name)

    def assert_refused(self, result, *texts, code=2):
        self.assertEqual(result.returncode, code, result.stderr + result.stdout)
        self.assertIn("error: ", result.stderr)
        self.assertIn("fix: ", result.stderr)
        for text in texts:
            self.assertIn(text, result.stderr)


class Compare(Folder):
    def pair(self, scales, **more):
        return self.write_run("base", {}, seed=1), self.write_run("new", scales, seed=2, **more)

    def test_equal_runs_pass_every_gate(self):
        base, new = self.pair({}, git="bbbb222")
        result = run("compare", base, new, "--gate", "--strict")
        self.assertEqual(result.returncode, 0, result.stderr + result.stdout)
        self.assertIn("0 slower, 0 faster, 0 ambiguous, 12 same", result.stdout)
        self.assertIn("git aaaa111", result.stdout)
        self.assertIn("git bbbb222", result.stdout)

    def test_a_regression_is_three_only_with_the_gate(self):
        base, new = self.pair({3: 1.1})
        result = run("compare", base, new)
        self.assertEqual(result.returncode, 0)
        self.assertIn("slower", result.stdout.splitlines()[6])
        self.assertIn("m=3,", result.stdout.splitlines()[6])
        self.assertEqual(run("compare", base, new, "--gate").returncode, 3)
        self.assertEqual(run("compare", new, base, "--gate").returncode, 0, "faster is no regression")

    def test_what_is_undecided_is_four_only_when_strict(self):
        base, new = self.write_run("base", {}, cases=1), self.write_run("new", {0: 1.03}, cases=1)
        result = run("compare", base, new, "--gate")
        self.assertEqual(result.returncode, 0)
        self.assertIn("2 % is assumed", result.stdout)
        self.assertEqual(run("compare", base, new, "--gate", "--strict").returncode, 4)
        self.assertEqual(run("compare", base, new, "--gate", "--run-noise", "0.1%").returncode, 3)
        self.assertEqual(run("compare", base, new, "--gate", "--run-noise", "0.1%", "--margin", "5%").returncode, 0)

    def test_json_says_everything(self):
        base, new = self.pair({3: 1.1, 5: 0.9})
        document = json.loads(run("compare", base, new, "--json").stdout)
        self.assertEqual(document["schema"], "chokepoint/compare/1")
        self.assertEqual(document["gate"], "regression")
        self.assertEqual(document["verdicts"], {"slower": 1, "faster": 1, "ambiguous": 0, "not_comparable": 0, "same": 10})
        slow = document["cases"][3]
        self.assertEqual(slow["verdict"], "slower")
        self.assertAlmostEqual(slow["time_ratio_new_over_base"], 1.1, delta=0.005)
        self.assertTrue(slow["ci_low"] < slow["time_ratio_new_over_base"] < slow["ci_high"])
        self.assertLess(slow["q"], 0.05)

    def test_several_runs_a_side(self):
        for i in range(3):
            self.write_run(f"all_base/b{i}", {}, seed=10 + i)
        new = ",".join(self.write_run(f"n{i}", {3: 1.05}, seed=20 + i) for i in range(3))
        document = json.loads(run("compare", self.path("all_base"), new, "--json").stdout)
        self.assertEqual((document["base"]["runs"], document["new"]["runs"]), (3, 3))
        self.assertEqual(document["cases"][3]["verdict"], "slower")
        self.assertEqual(document["cases"][3]["noise"], "runs")
        # The same as one file of all runs.
        with open(self.path("all.jsonl"), "w", encoding="utf-8") as file:
            for i in range(3):
                with open(os.path.join(self.path(f"all_base/b{i}"), "records.jsonl"), encoding="utf-8") as part:
                    file.write(part.read())
        joined = json.loads(run("compare", self.path("all.jsonl"), new, "--json").stdout)
        self.assertEqual([one["time_ratio_new_over_base"] for one in joined["cases"]],
                         [one["time_ratio_new_over_base"] for one in document["cases"]])

    def test_calibration_is_kept_and_used(self):
        source = random.Random(5)
        runs = [self.write_run(f"a{i}", {k: 1 + source.gauss(0, 0.03) for k in range(12)}, seed=30 + i) for i in range(6)]
        saved = self.path("noise.json")
        result = run("compare", "--calibrate", *runs, "--save", saved)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("found 1+1", result.stdout)
        noise = json.loads(read(saved))
        self.assertEqual(noise["schema"], "chokepoint/noise/1")
        deviations = sorted(case["run_deviation"] for case in noise["cases"])
        self.assertAlmostEqual(deviations[6], 0.03, delta=0.012)
        base, new = self.pair({3: 1.06})
        self.assertEqual(run("compare", base, new, "--gate").returncode, 3, "the other cases show no noise")
        with_noise = json.loads(run("compare", base, new, "--noise", saved, "--json").stdout)
        self.assertEqual(with_noise["cases"][3]["verdict"], "ambiguous")
        self.assertEqual(with_noise["cases"][3]["noise"], "calibration")
        self.assert_refused(run("compare", "--calibrate", runs[0]), "needs 2")
        other = self.write_run("other", {}, device={"kind": "cpu", "name": "other", "architecture": "x", "workers": 1})
        self.assert_refused(run("compare", other, other, "--noise", saved), "the noise is that of")

    def test_a_condition_that_differs_is_named_and_refused_unless_allowed(self):
        base = self.write_run("base", {})
        new = self.write_run("new", {}, seed=2, device={"kind": "cpu", "name": "other", "architecture": "x86_64", "workers": 2})
        self.assert_refused(run("compare", base, new, "--gate"), "device differs in 12 cases", "--allow device")
        result = run("compare", base, new, "--gate", "--allow", "device")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("device differs in 12 cases (allowed)", result.stdout)
        path = os.path.join(new, "records.jsonl")
        write(path, read(path).replace("cpu_native", "hopper"))
        self.assert_refused(run("compare", base, new), "no case can be compared: base ran on cpu, ")
        self.assert_refused(run("compare", base, new, "--allow", "devise"), 'did you mean "device"')

    def test_environment_json_is_read(self):
        base, new = self.pair({})
        for folder, driver in ((base, "12.4"), (new, "13.0")):
            with open(os.path.join(folder, "environment.json"), "w", encoding="utf-8") as file:
                json.dump({"device": {"more": {"cuda_driver": driver}}}, file)
        self.assert_refused(run("compare", base, new), "driver differs in 12 cases (12.4 and 13.0)")

    def test_what_broke_fails_the_gate(self):
        base, new = self.pair({})
        path = os.path.join(new, "records.jsonl")
        lines = read(path).splitlines()
        one = json.loads(lines[4])
        one.update(status="failed", basis=None, reason="killed by signal 11")
        lines[4] = json.dumps(one)
        write(path, "\n".join(lines) + "\n")
        result = run("compare", base, new, "--gate")
        self.assertEqual(result.returncode, 3)
        self.assertIn("killed by signal 11", result.stdout)

    def test_junit_is_xml_with_a_failure_per_regression(self):
        base, new = self.pair({3: 1.1})
        result = run("compare", base, new, "--junit", self.path("j.xml"))
        self.assertEqual(result.returncode, 0)
        suite = xml.etree.ElementTree.parse(self.path("j.xml")).getroot().find("testsuite")
        self.assertEqual((suite.get("tests"), suite.get("failures"), suite.get("skipped")), ("12", "1", "0"))
        failed = [case for case in suite.findall("testcase") if case.find("failure") is not None]
        self.assertEqual([case.get("name") for case in failed], [case_name(3)])
        self.assertEqual(run("compare", base, new, "--format", "junit").stdout, read(self.path("j.xml")))

    def test_markdown_is_added_to_githubs_summary_and_replaces_other_files(self):
        base, new = self.pair({3: 1.1})
        summary, page = self.path("summary.md"), self.path("page.md")
        for path in (summary, page):
            write(path, "before\n")
            run("compare", base, new, "--markdown", path, GITHUB_STEP_SUMMARY=summary)
        text = read(summary)
        self.assertTrue(text.startswith("before\n"))
        self.assertIn("| **slower** | <code>matmul/cpu&#95;native/f32/k=64,m=3,n=64@host</code> |", text)
        self.assertFalse(read(page).startswith("before"))

    def test_markdown_stays_within_githubs_limit(self):
        base, new = self.pair({i: 1.1 for i in range(5)}, )
        summary = self.path("summary.md")
        for taken in (1024 * 1024 - 3000, 1024 * 1024 - 900, 1024 * 1024 - 10):
            write(summary, "x" * taken)
            result = run("compare", base, new, "--markdown", summary, GITHUB_STEP_SUMMARY=summary)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertLessEqual(os.path.getsize(summary), 1024 * 1024)
        self.assertIn("nothing added", result.stderr)

    def test_markdown_shows_twenty_rows(self):
        base = self.write_run("base", {}, cases=60)
        new = self.write_run("new", {i: 1.2 for i in range(25)}, seed=2, cases=60)
        text = run("compare", base, new, "--format", "markdown").stdout
        self.assertEqual(text.count("| **slower** |"), 20)
        self.assertIn("5 more that are not the same", text)

    def test_annotations_are_few_worst_first_and_only_on_github(self):
        base = self.write_run("base", {}, cases=60)
        new = self.write_run("new", {i: 1.1 + 0.01 * i for i in range(20)}, seed=2, cases=60)
        self.assertNotIn("::error", run("compare", base, new).stderr)
        lines = run("compare", base, new, GITHUB_ACTIONS="true").stderr.splitlines()
        errors = [line for line in lines if line.startswith("::error title=chokepoint%3A slower::")]
        self.assertEqual(len(errors), 8)
        self.assertIn("m=19,", errors[0])
        self.assertIn("::notice title=chokepoint::12 more regressions", lines[-1])

    def test_hostile_names_act_nowhere(self):
        hostile = "matmul/</testcase><script>alert(1)</script>|`x`|@everyone\u202e\u0007\r\n::error::boo% ,:#00000000"
        names = [hostile] + [case_name(i) for i in range(1, 12)]
        base, new = self.write_run("base", {}, names=names), self.write_run("new", {0: 1.5}, seed=2, names=names)
        result = run("compare", base, new, "--junit", self.path("j.xml"), "--markdown", self.path("m.md"), GITHUB_ACTIONS="true")
        self.assertEqual(result.returncode, 0, result.stderr)
        suite = xml.etree.ElementTree.parse(self.path("j.xml")).getroot().find("testsuite")
        self.assertEqual(len(suite.findall("testcase")), 12)
        text = read(self.path("m.md"))
        self.assertNotIn("<script", text)
        row = [line for line in text.splitlines() if "slower" in line and line.startswith("|")]
        self.assertEqual(len(row), 1)
        self.assertEqual(row[0].count("|"), 5)
        commands = [line for line in result.stderr.splitlines() if line.startswith("::")]
        self.assertEqual(len(commands), 1, result.stderr)
        for output in (result.stdout, result.stderr, text):
            self.assertNotIn("\x07", output)
            self.assertNotIn("\u202e", output)

    def test_bad_input_is_one_clear_error(self):
        base = self.write_run("base", {})
        self.assert_refused(run("compare", base), "BASE and NEW")
        self.assert_refused(run("compare", base, self.path("none")), "none")
        self.assert_refused(run("compare", base, self.write_run("empty", {}, cases=0)), "holds no records")
        self.assert_refused(run("compare", base, base, "--margin", "much"), "much")
        self.assert_refused(run("compare", base, base, "--margin", "0"), "margin")
        self.assert_refused(run("compare", base, self.write_run("elsewhere", {}, names=["other/" + case_name(i) for i in range(12)])),
                            "no case can be compared")
        cut = self.write_run("cut", {}, tail='{"schema": "chokepoint/rec')
        self.assert_refused(run("compare", base, cut), "records.jsonl:13", "--skip-unreadable")
        corrupt = self.write_run("corrupt", {}, tail='{"schema": \x01}\n')
        self.assert_refused(run("compare", base, corrupt), "records.jsonl:13: not valid JSON")
        newer = self.write_run("newer", {}, tail=json.dumps({**record(case_name(0), 1, "r", random.Random(1)), "schema": "chokepoint/record/2"}) + "\n")
        self.assert_refused(run("compare", base, newer), "records.jsonl:13", 'is "chokepoint/record/2"', "reads chokepoint/record/1")
        for broken in (cut, corrupt, newer):
            result = run("compare", base, broken, "--skip-unreadable", "--gate")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("warning: skipped", result.stderr)
            self.assertIn("records.jsonl:13", result.stderr)
            self.assertIn("12 same", result.stdout)


class History(Folder):
    def setUp(self):
        super().setUp()
        if "not in this build" in json.loads(run("doctor", "--json").stdout)["sqlite"]:
            self.skipTest("SQLite is not in this build")
        self.database = self.path("h.sqlite")

    def bytes_of(self, path):
        with open(path, "rb") as file:
            return file.read()

    def history(self, *words, **env):
        return run("history", *words, CHOKEPOINT_HISTORY=self.database, **env)

    def fill(self, runs=20, step_at=12, **more):
        source = random.Random(4)
        folders = []
        for i in range(runs):
            scales = {k: (1.05 if k == 3 and i >= step_at else 1.0) * (1 + source.gauss(0, 0.004)) for k in range(4)}
            if i == 6:
                scales[1] = 1.5  # a spike
            folders.append(self.write_run(f"r{i:02}", scales, seed=100 + i, cases=4, git=f"c{i:02}", finished=f"2026-01-{i + 1:02}T00:00:00Z", **more))
        return folders

    def test_add_show_and_detect(self):
        folders = self.fill()
        result = self.history("add", *folders)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("20 runs with 80 results are new", result.stdout)
        self.assertIn("20 runs and 80 results were there already", self.history("add", *folders).stdout)
        shown = self.history("show", case_name(3))
        self.assertEqual(shown.returncode, 0, shown.stderr)
        marked = [line for line in shown.stdout.splitlines() if "slower by" in line]
        self.assertEqual(len(marked), 1, shown.stdout)
        self.assertIn("c12", marked[0])
        self.assertIn("spike", self.history("show", "*m=1,*").stdout)
        found = self.history("detect")
        self.assertIn("1 changes of 2 % or more in 4 series", found.stdout)
        document = json.loads(self.history("detect", "--json").stdout)
        changes = {one["case_id"]: one["changes"] for one in document["series"]}
        self.assertEqual([len(changes[case_name(i)]) for i in range(4)], [0, 0, 0, 1])
        self.assertEqual(changes[case_name(3)][0]["git"], "c12")
        self.assertAlmostEqual(changes[case_name(3)][0]["time_ratio_new_over_old"], 1.05, delta=0.01)

    def test_a_change_of_the_machine_is_doubted(self):
        for i in range(16):
            folder = self.write_run(f"r{i:02}", {0: 1.0 if i < 8 else 1.1}, seed=i, cases=1, git=f"c{i}", finished=f"2026-01-{i + 1:02}T00:00:00Z")
            with open(os.path.join(folder, "environment.json"), "w", encoding="utf-8") as file:
                json.dump({"device": {"more": {"cuda_driver": "12.4" if i < 8 else "13.0"}}}, file)
            self.history("add", folder)
        self.assertIn("environment changed", json.loads(self.history("detect", "--json").stdout)["series"][0]["changes"][0]["doubt"])

    def test_what_cannot_be_read_leaves_the_history_as_it_was(self):
        good = self.write_run("good", {}, cases=2)
        bad = self.write_run("bad", {}, cases=2, tail="{broken}\n")
        self.history("add", good)
        before = self.bytes_of(self.database)
        self.assert_refused(self.history("add", good, bad), "records.jsonl:3")
        self.assertEqual(self.bytes_of(self.database), before)
        result = self.history("add", bad, "--skip-unreadable")
        self.assertEqual(result.returncode, 0)
        self.assertIn("warning: skipped", result.stderr)
        self.assertIn("1 runs with 2 results are new", result.stdout)

    def test_names_and_files_that_are_not_there(self):
        self.assert_refused(self.history("show", "x"), "there is no history")
        self.history("add", self.write_run("r", {}, cases=2))
        self.assert_refused(self.history("show", "matmul/cpu_native/f32/k=64,m=0,n=65@host"), "did you mean")
        self.assert_refused(self.history("show", "zzz"), "none of the 2 cases")
        self.assertNotEqual(self.history().returncode, 0)

    def test_damaged_newer_foreign_and_locked_files(self):
        folder = self.write_run("r", {}, cases=2)
        self.history("add", folder)
        again = self.write_run("again", {}, cases=2)
        lock = sqlite3.connect(self.database, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        started = time.time()
        self.assert_refused(self.history("add", again, "--wait", "200ms"), "is locked by another program")
        self.assertLess(time.time() - started, 20)
        lock.execute("ROLLBACK")
        lock.execute("PRAGMA user_version = 7")
        lock.close()
        self.assert_refused(self.history("add", again), "has schema version 7 and this program knows 1")
        foreign = sqlite3.connect(self.path("foreign.sqlite"))
        foreign.execute("CREATE TABLE t (x)")
        foreign.commit()
        foreign.close()
        self.assert_refused(self.history("add", again, "--db", self.path("foreign.sqlite")), "no history of chokepoint")
        write(self.path("text.sqlite"), "dear reader, " * 100)
        self.assert_refused(self.history("add", again, "--db", self.path("text.sqlite")), "is not a database")

    def test_kill_during_an_import_leaves_all_or_nothing(self):
        folders = [self.write_run(f"big{i}", {}, cases=400, samples=6) for i in range(6)]
        finished = killed = 0
        for attempt in range(14):
            database = self.path(f"kill{attempt}.sqlite")
            self.history("add", folders[0], "--db", database)
            process = subprocess.Popen([PROGRAM, "history", "add", *folders[1:], "--db", database], stdout=subprocess.DEVNULL)
            time.sleep(0.02 + 0.03 * attempt)
            process.send_signal(signal.SIGKILL)
            (killed, finished) = (killed + 1, finished) if process.wait() < 0 else (killed, finished + 1)
            connection = sqlite3.connect(database)
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchone()[0], "ok")
            self.assertIn(connection.execute("SELECT count(*) FROM results").fetchone()[0], (400, 2400))
            connection.close()
            self.assertEqual(self.history("add", *folders, "--db", database).returncode, 0)
            connection = sqlite3.connect(database)
            self.assertEqual(connection.execute("SELECT count(*) FROM results").fetchone()[0], 2400)
            connection.close()
        self.assertGreater(killed, 0)

    def test_two_writers_at_once(self):
        folders = [self.write_run(f"w{i}", {}, cases=50, samples=6) for i in range(12)]
        writers = [subprocess.Popen([PROGRAM, "history", "add", folder, "--db", self.database], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                   for folder in folders]
        for writer in writers:
            self.assertEqual(writer.wait(), 0, writer.stderr.read())
            writer.stderr.close()
        connection = sqlite3.connect(self.database)
        self.assertEqual(connection.execute("SELECT count(*) FROM results").fetchone()[0], 600)
        connection.close()


if __name__ == "__main__":
    unittest.main()
