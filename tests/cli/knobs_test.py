#!/usr/bin/env python3
"""Knobs that only root may turn, in a whole run: never touched without --allow-privileged, put back on every way out.
NVML is the fake one, the GPU pretends to be one (tests/faulty/cuda_pretended.cpp).

Usage: knobs_test.py CHOKEPOINT_FAULTY FAKE_NVML
"""
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM, FAKE_NVML = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
del sys.argv[1:3]

KNOBS = ["--lock-sm-clock", "1200", "--lock-memory-clock", "1593", "--power-limit", "500", "--nvlink-mode", "half"]
TURNED = ["GPU-a lock_sm 1200 1200", "GPU-a lock_memory 1593 1593", "GPU-a limit_power 500000", "GPU-a nvlink_mode 3"]
BACK = ["GPU-a nvlink_mode 0", "GPU-a limit_power 650000", "GPU-a reset_memory", "GPU-a reset_sm"]
SUITE = {"id": "tiny", "summary": "made by a test", "device": "cuda_pretended:0", "targets": ["host"],
         "sampling": {"budget_s": 0.2, "warm_up_s": 0.01},
         "cases": [{"operation": "stream", "shape": {"elements": [1000], "pattern": "copy"}, "dtypes": ["f32"],
                    "kernels": ["cuda_pretended"]}]}


# Background jobs of a shell are started with some of them ignored, and what they start inherits that.
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)


def holds_within(seconds, condition):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


class Knobs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="chokepoint_knobs.")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.log = self.path("log")
        gpu = "[gpu]\nuuid = GPU-a\nbus = 00000000:01:00.0\nlimit_w = 650\n"
        self.script = self.write("script", f"log = {self.log}\n{gpu}")
        self.suite = self.write("tiny.json", json.dumps(SUITE))

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def start(self, *words, fault="", **streams):
        names = {"CHOKEPOINT_NVML": FAKE_NVML, "CHOKEPOINT_FAKE_NVML": self.script, "PRETENDED_FAULT": fault}
        return subprocess.Popen([PROGRAM, "run", self.suite, "--out", self.path("out"), *words], text=True,
                                env={**os.environ, **names},
                                **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams})

    def run_to_its_end(self, *words, **how):
        process = self.start(*words, **how)
        text, talk = process.communicate(timeout=60)
        return process.returncode, text, talk

    def calls(self):
        if not os.path.exists(self.log):
            return []
        with open(self.log, encoding="utf-8") as file:
            return file.read().splitlines()

    # A keeper has the environment of the run it belongs to.
    def keepers(self):
        found = []
        for folder in glob.glob("/proc/[0-9]*"):
            try:
                with open(folder + "/comm", encoding="utf-8") as comm, open(folder + "/environ", "rb") as environ:
                    if comm.read().strip() == "knob_keeper" and self.script.encode() in environ.read():
                        found.append(folder)
            except OSError:
                pass  # ended meanwhile
        return found

    def assert_all_is_back(self):
        self.assertTrue(holds_within(1.0, lambda: len(self.calls()) >= 8 and not self.keepers()), self.calls())
        self.assertEqual(self.calls(), TURNED + BACK)

    def test_without_the_flag_the_knobs_are_refused_and_nothing_is_touched(self):
        for i in range(0, len(KNOBS), 2):
            code, _, talk = self.run_to_its_end(*KNOBS[i:i + 2])
            self.assertEqual(code, 2, talk)
            self.assertIn("--allow-privileged", talk)
        self.assertEqual(self.calls(), [])
        self.assertFalse(os.path.exists(self.path("out")))

    def test_a_run_that_asks_for_no_knob_touches_none(self):
        for words in ([], ["--allow-privileged"]):
            code, _, talk = self.run_to_its_end(*words)
            self.assertEqual(code, 0, talk)
            shutil.rmtree(self.path("out"))
        self.assertEqual(self.calls(), [])

    def test_records_tell_the_knobs_and_nothing_is_left_after_the_run(self):
        code, text, talk = self.run_to_its_end("--allow-privileged", *KNOBS)
        self.assertEqual(code, 0, talk)
        self.assertIn("stream", text)
        self.assertEqual(self.calls(), TURNED + BACK)
        self.assertEqual(self.keepers(), [])
        with open(self.path("out/records.jsonl"), encoding="utf-8") as file:
            asked = json.loads(file.readline())["provenance"]["privileged"]
        self.assertEqual(asked, {"sm_clock_hz": 1.2e9, "memory_clock_hz": 1.593e9, "power_limit_w": 500,
                                 "nvlink_mode": "half"})

    def test_knobs_are_back_before_the_report_is_written(self):
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        filled = 0
        try:
            while True:
                filled += os.write(writer, bytes(4096))
        except BlockingIOError:
            os.set_blocking(writer, True)
        process = self.start("--json", "--allow-privileged", *KNOBS, stdout=writer)  # longer than a buffer of stdio
        os.close(writer)
        self.assertTrue(holds_within(30, lambda: len(self.calls()) == 8), self.calls())
        self.assertEqual(self.calls(), TURNED + BACK)
        self.assertIsNone(process.poll())  # its report has no room yet
        with os.fdopen(reader, "rb") as file:
            report = file.read()[filled:]
        self.assertIn(b"stream", report)
        self.assertGreater(len(report), 8192)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)

    def test_knobs_go_back_when_nobody_reads_the_report(self):
        reader, writer = os.pipe()
        os.close(reader)
        process = self.start("--allow-privileged", *KNOBS, stdout=writer)
        os.close(writer)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGPIPE)
        self.assert_all_is_back()

    def test_knobs_go_back_when_a_child_is_lost(self):
        code, _, talk = self.run_to_its_end("--allow-privileged", *KNOBS, fault="crash")
        self.assertEqual(code, 1, talk)
        self.assert_all_is_back()

    def test_knobs_go_back_when_the_run_is_ended_by_a_signal(self):
        one, group = os.kill, os.killpg  # a terminal sends to the group
        for send, number in ((one, signal.SIGKILL), (one, signal.SIGTERM), (one, signal.SIGHUP), (one, signal.SIGABRT),
                             (one, signal.SIGSEGV), (group, signal.SIGINT), (group, signal.SIGKILL)):
            with self.subTest(number.name):
                process = self.start("--allow-privileged", *KNOBS, fault="hang", start_new_session=True)
                self.assertTrue(holds_within(30, lambda: len(self.calls()) == 4), self.calls())
                self.assertEqual(len(self.keepers()), 1)
                time.sleep(0.3)  # into the hanging case
                send(process.pid, number)
                self.assertEqual(process.wait(timeout=30), -number)
                self.assert_all_is_back()
                process.communicate(timeout=30)
                os.unlink(self.log)
                shutil.rmtree(self.path("out"))

    def test_a_value_that_the_gpu_lacks_is_refused_before_anything_is_turned(self):
        code, _, talk = self.run_to_its_end("--allow-privileged", *KNOBS[2:], "--lock-sm-clock", "1201")
        self.assertEqual(code, 2, talk)
        self.assertIn("choose 1200, 1215", talk)
        self.assertEqual(self.calls(), [])
        self.assertEqual(self.keepers(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
