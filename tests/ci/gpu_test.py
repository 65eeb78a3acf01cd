#!/usr/bin/env python3
"""scripts/gpu.sh with programs that only say how they were called: its plan, which program and card it takes, how it
shares out the budget, and what its summary keeps.

Usage: gpu_test.py SOURCE_DIR
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.path.abspath(sys.argv.pop(1))
STAGES = ["doctor", "bringup", "verify", "faults", "ptx", "sanitizer", "calibrate", "selftest", "h800", "kernels", "energy", "link",
          "fidelity", "quick", "tune"]
COMMIT = "0123456789ab"

# Appends its arguments to $LOG. `run` leaves a record; verify_all answers; FAIL names a word of a call that fails.
PROGRAM = """#!/usr/bin/env bash
if [ "$1" = --version ]; then echo "0.1.0, git {commit}"; exit 0; fi
echo "$(basename "$0") $* [${{CUDA_VISIBLE_DEVICES-unset}}]${{CUDA_FORCE_PTX_JIT:+ ptx}}" >>"$LOG"
if [ -n "${{IDLE:-}}" ] && [ "$(basename "$0")" = hopper_stages ]; then echo "skipped: no driver"; exit 77; fi
if [ -n "${{FAIL:-}}" ] && [[ "$*" = *$FAIL* ]]; then echo "error: configs/x.json: no such key" >&2; exit 2; fi
if [ -n "${{SLOW:-}}" ] && [[ "$*" = *$SLOW* ]]; then echo begun; sleep 60; fi
case "$1" in
  run) while [ $# -gt 0 ]; do if [ "$1" = --out ]; then mkdir -p "$2"; echo "{{}}" >"$2/records.jsonl"; fi; shift; done ;;
  report) printf 'wall time: 6 s, of which 58 %% under load of the\\nkernels measured; prepare 33 %%\\n' ;;
  verify_all)
    if [ "$2" = --worker ]; then while read -r line; do case "$line" in "#"*) ;; *) printf 'ok\\terror 0, tolerance 1\\n' ;; esac; done
    else sed -n 's/^[a-z].*/ok       &: error 0, tolerance 1/p' "$2"; fi ;;
  *) echo "$1 says so" ;;
esac
"""
NVIDIA_SMI = """#!/usr/bin/env bash
echo "nvidia-smi $*" >>"$LOG"
echo "NVIDIA H100 80GB HBM3"
"""
SANITIZER = """#!/usr/bin/env bash
echo "sanitizer $*" >>"$LOG"
while [ "${1#--}" != "$1" ]; do case "$1" in --tool | --error-exitcode) shift 2 ;; *) shift ;; esac; done
echo "========= COMPUTE-SANITIZER"
"$@"
echo "========= ERROR SUMMARY: 0 errors"
"""


class Gpu(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="chokepoint_gpu.")
        self.addCleanup(shutil.rmtree, self.folder, True)
        shutil.copytree(f"{SOURCE}/scripts", f"{self.folder}/scripts")
        for name in ("sanitizer.list", "matmul.txt"):
            os.makedirs(f"{self.folder}/tests/device", exist_ok=True)
            shutil.copy(f"{SOURCE}/tests/device/{name}", f"{self.folder}/tests/device/{name}")
        self.write("tests/cli/device_test.py", "import sys\nprint('faults of', *sys.argv[1:])\n")
        self.write("offline/version", COMMIT + "\n")
        for name, text in {"nvidia-smi": NVIDIA_SMI, "compute-sanitizer": SANITIZER, "cmake": "#!/bin/sh\necho cmake >>$LOG\nexit 1\n"}.items():
            self.script(f"bin/{name}", text)
        self.programs("build/cuda")

    def write(self, name, text):
        os.makedirs(os.path.dirname(f"{self.folder}/{name}"), exist_ok=True)
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    def script(self, name, text):
        self.write(name, text)
        os.chmod(f"{self.folder}/{name}", 0o755)

    def programs(self, folder, commit=COMMIT):
        for name in ("chokepoint", "chokepoint-faulty", "hopper_stages"):
            self.script(f"{folder}/{name}", PROGRAM.format(commit=commit))

    def gpu(self, *flags, **env):
        path = ":".join([f"{self.folder}/bin", *(part for part in os.environ["PATH"].split(":") if not os.path.exists(f"{part}/nvcc"))])
        environment = {**os.environ, "PATH": path, "LOG": f"{self.folder}/log", "CHOKEPOINT_LIBRARY_PATH": "none", **env}
        for name in ("CUDA_VISIBLE_DEVICES",):
            if name not in env:
                environment.pop(name, None)
        return subprocess.run(["bash", f"{self.folder}/scripts/gpu.sh", *flags], text=True, capture_output=True, env=environment,
                              timeout=100)

    def run_out(self, *flags, **env):
        return self.gpu("--out", f"{self.folder}/out", *flags, **env)

    def log(self):
        with open(f"{self.folder}/log", encoding="utf-8") as file:
            return file.read().splitlines()

    def checks(self, name):
        folder = next(entry for entry in os.listdir(f"{self.folder}/out") if entry.endswith("_h100_checks"))
        with open(f"{self.folder}/out/{folder}/{name}", encoding="utf-8") as file:
            return file.read()

    def refused(self, result, *texts):
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        self.assertIn("  fix: ", result.stderr)
        for text in texts:
            self.assertIn(text, result.stderr)

    def plan(self, *flags):
        result = self.gpu("--dry-run", *flags)
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = [re.match(r"(\S+) +(\d+) s  (.*)", line).groups() for line in result.stdout.splitlines()]
        self.assertEqual(rows[-1][0], "together")
        return [(name, int(seconds), text) for name, seconds, text in rows[:-1]], int(rows[-1][1])

    def test_the_plan_holds_all_stages_in_order_of_worth_and_shares_out_all_of_the_budget(self):
        for budget, seconds in (("8m", 480), ("97s", 97), ("15m", 900)):
            rows, together = self.plan("--budget", budget)
            self.assertEqual([name for name, _, _ in rows], STAGES)
            self.assertEqual(together, seconds)
            self.assertEqual(sum(share for _, share, _ in rows), seconds)
        self.assertFalse(os.path.exists(f"{self.folder}/log"), "a dry run started something")

    def test_stages_can_be_chosen_and_left_out_and_their_shares_go_to_the_others(self):
        rows, _ = self.plan("--only", "verify,sanitizer", "--budget", "220s")
        self.assertEqual([(name, share) for name, share, _ in rows], [("verify", 143), ("sanitizer", 77)])
        rows, _ = self.plan("--skip", ",".join(STAGES[1:]))
        self.assertEqual([(name, share) for name, share, _ in rows], [("doctor", 480)])

    def test_a_target_is_played_by_the_two_suites_that_compare(self):
        rows, _ = self.plan("--target", "h100-sxm")
        self.assertEqual([name for name, _, text in rows if "(--target h100-sxm)" in text], ["h800", "quick"])
        self.run_out("--only", "h800,kernels,quick", "--target", "h100-sxm")
        told = [line for line in self.log() if line.startswith("chokepoint run")]
        self.assertEqual(["--target h100-sxm" in line for line in told], [True, False, True], told)

    def test_bad_values_are_refused(self):
        for flags, text in ((("--budget", "8"), '--budget is "8"'), (("--budget", "0m"), '--budget is "0m"'), (("--only", "sleep"), 'no stage "sleep"'),
                            (("--skip", "x,verify"), 'no stage "x"'), (("--skip", ",".join(STAGES)), "every stage is skipped"), (("--outt", "x"), "unknown flag"),
                            (("--device", "cpu"), '--device is "cpu"'), (("--device", "cuda:-1"), '--device is "cuda:-1"'), (("--device", "1"), '--device is "1"')):
            self.refused(self.gpu("--dry-run", *flags), text)
        result = self.gpu("--out")
        self.assertEqual((result.returncode, "--out needs a value" in result.stderr), (2, True))

    def bring_up_card(self, device, **env):
        result = self.run_out("--only", "bringup", "--device", device, **env)
        self.assertEqual(result.returncode, 0, result.stderr)
        smi = next(line for line in self.log() if line.startswith("nvidia-smi")).split(" -i ")[1]
        stages = next(line for line in self.log() if line.startswith("hopper_stages"))
        os.remove(f"{self.folder}/log")
        self.assertEqual(stages.split("[")[1], smi + "]", "two cards in one run")
        return smi

    def test_cuda_n_is_the_nth_card_of_those_that_the_user_shows(self):
        self.assertEqual(self.bring_up_card("cuda:1"), "1")
        self.assertEqual(self.bring_up_card("cuda:0", CUDA_VISIBLE_DEVICES="3"), "3")
        self.assertEqual(self.bring_up_card("cuda:1", CUDA_VISIBLE_DEVICES="3,GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"), "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6")
        for shown, device in (("3", "cuda:1"), ("", "cuda:0"), ("0,-1,2", "cuda:2"), ("NoDevFiles", "cuda:0")):
            self.refused(self.run_out("--only", "bringup", "--device", device, CUDA_VISIBLE_DEVICES=shown), f"CUDA_VISIBLE_DEVICES={shown} shows no {device}")

    def test_a_program_of_another_commit_is_refused_where_it_cannot_be_built_anew(self):
        self.programs("build/cuda", "aaaaaaaaaaaa")
        self.refused(self.run_out("--only", "doctor"), f"build/cuda/chokepoint is of aaaaaaaaaaaa; this checkout is {COMMIT}")
        self.script("build/cuda/chokepoint", "#!/bin/sh\necho 0.1.0\n")
        self.refused(self.run_out("--only", "doctor"), "does not start here or does not say its commit")
        self.assertFalse(os.path.exists(f"{self.folder}/log"), "a stale program was started")

    def test_the_program_that_was_brought_along_is_taken_where_the_one_built_here_is_stale(self):
        self.programs("build/cuda", "aaaaaaaaaaaa")
        self.programs("offline", COMMIT + "-dirty")
        result = self.run_out("--only", "doctor")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f"program: build {COMMIT}-dirty\n", result.stdout)

    def test_a_stale_program_is_built_anew_where_nvcc_is(self):
        self.programs("build/cuda", "aaaaaaaaaaaa")
        self.script("bin/nvcc", "#!/bin/sh\n")
        self.programs("fresh")
        self.script("bin/cmake", f"#!/bin/sh\necho cmake $* >>$LOG\ncp {self.folder}/fresh/* {self.folder}/build/cuda/\n")
        result = self.run_out("--only", "doctor")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f"program: build {COMMIT}\n", result.stdout)
        self.assertIn("--target chokepoint hopper_stages chokepoint-faulty", "\n".join(self.log()))

    def test_every_stage_leaves_its_evidence_and_the_summary_its_duration(self):
        result = self.run_out()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        summary = self.checks("summary.txt")
        self.assertEqual(summary, result.stdout[-len(summary):])
        self.assertIn(f"gpu: NVIDIA H100 80GB HBM3\nprogram: build {COMMIT}\n", summary)
        rows = [line.split() for line in summary.splitlines()[3:]]
        self.assertEqual([(row[0], row[2], row[3].rstrip(";")) for row in rows], [(stage, "s", "ok") for stage in STAGES])
        self.assertTrue(all(row[1].isdigit() for row in rows), rows)
        for row in rows:
            shared = "58 % under load of the kernels measured" in " ".join(row)
            self.assertEqual(shared, row[0] in ("h800", "kernels", "energy", "link", "fidelity", "quick"), row)
        self.assertIn("ok       matmul cuda_simple f32 m=1,n=1,k=1: error 0", self.checks("verify.txt"))
        self.assertIn(f"faults of {self.folder}/build/cuda/chokepoint-faulty cuda:0", self.checks("faults.txt"))
        self.assertTrue(any(line.startswith("chokepoint verify_all") and line.endswith(" ptx") for line in self.log()))

    def test_sanitized_cases_are_named_and_both_tools_run(self):
        self.run_out("--only", "sanitizer")
        text = self.checks("sanitizer.txt")
        self.assertEqual(re.findall(r"--tool (\S+),", text), ["memcheck", "racecheck"])
        with open(f"{SOURCE}/tests/device/sanitizer.list", encoding="utf-8") as file:
            cases = [line.strip() for line in file if line.strip() and not line.startswith("#")]
        self.assertEqual(re.findall(r"(?m)^ok       (.*): error", text), cases + cases)

    def test_hopper_kernels_which_have_no_ptx_are_left_out_of_the_run_of_ptx(self):
        self.run_out("--only", "ptx")
        self.assertIn("matmul cuda_simple", self.checks("ptx.txt"))
        self.assertNotIn(" hopper ", self.checks("ptx.txt"))

    def test_the_instruments_of_the_card_are_probed_and_trouble_with_them_shows(self):
        self.run_out("--only", "doctor")
        self.assertIn("chokepoint doctor --probe cuda:0", "\n".join(self.log()))
        self.assertNotEqual(self.run_out("--only", "doctor", FAIL="--probe").returncode, 0)

    def test_a_stage_that_cannot_run_here_says_why(self):
        self.assertEqual(self.run_out("--only", "bringup", IDLE="1").returncode, 0)
        self.assertRegex(self.checks("summary.txt"), r"bringup +\d+ s  nothing could run here: \S*hopper_stages found no GPU to run on")

    def test_the_first_error_of_a_stage_stands_in_the_table(self):
        result = self.run_out("--only", "doctor,kernels,quick", FAIL="run kernels")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(self.checks("summary.txt"), r"kernels +\d+ s  exit code 2: error: configs/x.json: no such key")
        self.assertRegex(self.checks("summary.txt"), r"quick +\d+ s  ok")

    def test_a_stage_that_hangs_costs_its_own_share_and_keeps_what_it_said(self):
        result = self.run_out("--only", "calibrate,selftest,quick", "--budget", "17s", SLOW="calibrate")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(self.checks("summary.txt"), r"calibrate +[89] s  stopped: its share of 17s was spent")
        self.assertRegex(self.checks("summary.txt"), r"quick +\d+ s  ok")
        self.assertEqual(self.checks("calibrate.txt"), "begun\n")

    def test_what_a_stage_leaves_goes_to_those_after_it(self):
        result = self.run_out("--only", "doctor,verify,quick", "--budget", "21s")
        self.assertEqual(re.findall(r"== (\S+) \(at most (\d+) s\)", result.stderr)[0], ("doctor", "4"))
        name, seconds = re.findall(r"== (\S+) \(at most (\d+) s\)", result.stderr)[2]
        self.assertEqual(name, "quick")
        self.assertGreaterEqual(int(seconds), 15)


if __name__ == "__main__":
    unittest.main()
