#!/usr/bin/env python3
"""What scripts/gpu_evidence.py makes of a folder of results: what counts as having run on a GPU, and what does not.

Usage: evidence_test.py SOURCE_DIR
"""
import json
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

SOURCE = os.path.abspath(sys.argv.pop(1))
sys.dont_write_bytecode = True
sys.path.insert(0, f"{SOURCE}/scripts")
import gpu_evidence  # noqa: E402

LIST = "# matmul\nmatmul fast bf16 m=1,n=1,k=1\nmatmul fast bf16 m=2,n=2,k=2   # a reason\nmatmul new bf16 m=1,n=1,k=1\n"
CLEAN = "compute-sanitizer --tool {}, verify_all over tests/device/sanitizer.list\n{}========= {} SUMMARY: 0 {}\n"


def record(**changes):
    return {"operation": "matmul", "kernel": "fast", "device": {"kind": "cuda", "name": "NVIDIA A1"}, "target": "host", "status": "ok",
            "verification": {"row_error": 0.5, "tolerance": 1.0}, "provenance": {"suite": "kernels", "git": "abcdefabcdef"},
            "caps": [{"mechanism": "native"}], **changes}


class Evidence(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="chokepoint_evidence."))
        self.addCleanup(shutil.rmtree, self.root, True)
        for name in ("fast", "new"):
            self.write(f"kernels/matmul/{name}.cu", "const Register<Kernel> kernel{};\n")
        self.write("harness/caps/cuda/green.cpp", '.mechanism = "green context",\n')
        self.write("tests/device/matmul.txt", LIST)
        self.write("tests/device/sanitizer.list", "matmul fast bf16 m=3,n=3,k=3\nmatmul new bf16 m=3,n=3,k=3\n")
        self.write("results/day_a1_checks/README.md", "Made on one card. Build 0123456789ab.\n")
        self.write("results/day_a1_checks/calibrate.txt", "cuda:0: NVIDIA A1\n  compute\n")
        self.verify("ok       matmul fast bf16 m=1,n=1,k=1: error 0, tolerance 1, 1 of 1 rows\n")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def verify(self, text):
        self.write("results/day_a1_checks/verify.txt", text)

    def records(self, folder, *found):
        self.write(f"results/{folder}/records.jsonl", "".join(json.dumps(each) + "\n" for each in found))

    def table(self):
        return gpu_evidence.kernel_table(gpu_evidence.Evidence(self.root))

    def missing(self):
        return gpu_evidence.not_run(gpu_evidence.Evidence(self.root)).splitlines()

    def test_only_right_cases_that_are_still_in_the_lists_count_and_the_build_is_named(self):
        self.verify("ok       matmul fast bf16 m=1,n=1,k=1: error 0, tolerance 1, 1 of 1 rows\n"
                    "WRONG    matmul fast bf16 m=2,n=2,k=2: error 9, tolerance 1, 2 of 2 rows\n"
                    "ok       matmul fast bf16 m=77,n=2,k=2: error 0, tolerance 1, 2 of 2 rows\n"
                    "skipped  matmul new bf16 m=1,n=1,k=1: kernel new needs sm_90\n")
        table = self.table()
        self.assertIn("| 1 of 2 on NVIDIA A1 |", table)
        self.assertIn("1 of the 3 cases of `tests/device/` were right on a GPU (NVIDIA A1 as built from 0123456789ab)", table)
        self.assertIn("- `matmul` by `new`: any of its 1 case", self.missing())
        self.assertIn("- `matmul` by `fast`: 1 case of 2", self.missing())

    def test_a_kernel_added_to_the_lists_shows_as_not_run(self):
        self.write("tests/device/more.txt", "matmul new bf16 m=5,n=5,k=5\n")
        self.assertIn("| matmul | new | no GPU yet |  |  | **none** of 2 | **none** of 1 |", self.table())

    def sanitize(self, text, names=""):
        self.write("results/day_a1_checks/sanitizer.txt", text)
        if names:
            self.write("results/day_a1_checks-cases/sanitizer.list", names)

    def test_sanitized_means_that_both_tools_ran_the_case_and_found_nothing(self):
        line = "ok       matmul fast bf16 m=3,n=3,k=3: error 0, tolerance 1, 3 of 3 rows\n"
        both = CLEAN.format("memcheck", line, "ERROR", "errors") + "\n" + CLEAN.format("racecheck", line, "RACECHECK", "hazards displayed")
        self.sanitize(both)
        self.assertIn("1 of the 2 of its `sanitizer.list` clean", self.table())
        self.sanitize(both.replace("SUMMARY: 0 hazards", "SUMMARY: 4 hazards"))
        self.assertIn("0 of the 2 of its", self.table())
        self.sanitize(both.split("\n\n")[0])
        self.assertIn("0 of the 2 of its", self.table())

    def test_lines_without_names_are_those_of_the_list_kept_beside_them(self):
        both = "\n".join(CLEAN.format(tool, "ok\terror 0, tolerance 1, 3 of 3 rows\n", "X", "errors") for tool in ("memcheck", "racecheck"))
        self.sanitize(both)
        self.assertIn("0 of the 2 of its", self.table())
        self.sanitize(both, "matmul fast bf16 m=3,n=3,k=3\n")
        self.assertIn("1 of the 2 of its", self.table())

    def test_a_folder_that_does_not_name_its_card_is_refused(self):
        os.remove(self.root / "results/day_a1_checks/calibrate.txt")
        with self.assertRaisesRegex(SystemExit, "does not say on which GPU"):
            self.table()
        self.write("results/day_a1_checks/summary.txt", "gpu: NVIDIA B2\nprogram: x, build fedcba987654\n")
        self.assertIn("1 of 2 on NVIDIA B2", self.table())
        self.assertIn("NVIDIA B2 as built from fedcba987654", self.table())

    def test_suites_are_listed_by_card_and_build_and_those_of_a_cpu_are_not(self):
        self.records("day_a1_kernels", record(), record(status="invalid"))
        self.records("day_cpu_kernels", record(device={"kind": "cpu", "name": "CPU"}))
        table = gpu_evidence.suite_table(gpu_evidence.Evidence(self.root))
        self.assertIn("| kernels | NVIDIA A1 | abcdefabcdef | host | [1 ok, 1 invalid](results/day_a1_kernels) |", table)
        self.assertNotIn("CPU", table)

    def test_an_item_leaves_the_list_of_what_has_not_run_when_a_result_speaks_of_it(self):
        self.write("results/day_a1_checks/bringup.txt", "skipped: no GPU\n")
        words = {"bring-up": lambda: self.write("results/day_a1_checks/bringup.txt", "ok       S1 a box\n"),
                 "`tune`": lambda: self.records("day_a1_tune", record(provenance={"suite": "tune", "git": "a", "configuration": "x"})),
                 "a wire with SMs": lambda: self.records("a", record(provenance={"suite": "s", "git": "a", "wire_multiprocessors": 20})),
                 "green context": lambda: self.records("b", record(caps=[{"mechanism": "green context"}])),
                 "root-only": lambda: self.records("c", record(provenance={"suite": "s", "git": "a", "privileged": {}}))}
        for word, happen in words.items():
            self.assertIn(word, "\n".join(self.missing()))
            happen()
            self.assertNotIn(word, "\n".join(self.missing()))
        self.assertIn("- cards other than NVIDIA A1", self.missing())


class Readme(unittest.TestCase):
    def test_the_readme_says_what_results_say_today(self):
        import render_readme
        text = (pathlib.Path(SOURCE) / "README.md").read_text(encoding="utf-8")
        kinds = {"gpu", "suites", "not_run"}
        for found in render_readme.MARKER.finditer(text):
            if found.group(2) in kinds:
                kinds.remove(found.group(2))
                self.assertEqual(found.group(0), found.group(1) + render_readme.rendered(*found.group(2, 3)) + found.group(4))
        self.assertEqual(kinds, set(), "a block is missing")


if __name__ == "__main__":
    unittest.main()
