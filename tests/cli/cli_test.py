#!/usr/bin/env python3
"""The program as a user meets it: help, lists, dumps recomputed by numpy, bad input, crashes, kill -9 and resume.

Usage: cli_test.py SOURCE_DIR CHOKEPOINT CHOKEPOINT_FAULTY
Uses tiny cases on the host target, so that it needs no idle machine.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE, PROGRAM, FAULTY = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), os.path.abspath(sys.argv[3])
del sys.argv[1:4]


def run(*words, program=None, timeout=120, **env):
    return subprocess.run([program or PROGRAM, *words], capture_output=True, text=True, timeout=timeout,
                          env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1", **env})


def suite_text(**changes):
    suite = {"id": "tiny", "summary": "made by a test", "device": "cpu", "targets": ["host"],
             "sampling": {"budget_s": 0.2, "warm_up_s": 0.01},
             "cases": [{"operation": "stream", "shape": {"elements": [1000, 2000, 3000], "pattern": "copy"},
                        "dtypes": ["f32"], "kernels": ["cpu_native"]}]}
    suite.update(changes)
    return json.dumps(suite, indent=1)


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="chokepoint_cli.")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def records(self, folder="out"):
        with open(os.path.join(self.path(folder), "records.jsonl"), encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    def assert_refused(self, result, *texts, code=2):
        self.assertEqual(result.returncode, code, result.stderr + result.stdout)
        self.assertIn("error: ", result.stderr)
        self.assertIn("fix: ", result.stderr)
        for text in texts:
            self.assertIn(text, result.stderr)


class Help(Folder):
    def test_help_names_every_subcommand_and_the_exit_codes(self):
        result = run("--help")
        self.assertEqual(result.returncode, 0)
        for word in ("run", "plan", "list", "calibrate", "verify", "report", "doctor", "selftest", "Exit codes"):
            self.assertIn(word, result.stdout)

    def test_an_unknown_subcommand_is_a_usage_error(self):
        self.assertEqual(run("frobnicate").returncode, 2)
        self.assertEqual(run().returncode, 2)

    def test_lists_are_there_as_text_and_as_json(self):
        for kind in ("operations", "kernels", "profiles", "prices", "costs", "rules", "suites", "models", "claims", "caps", "metrics", "formats"):
            self.assertEqual(run("list", kind).returncode, 0, kind)
            self.assertTrue(json.loads(run("list", kind, "--json").stdout), kind)
        self.assert_refused(run("list", "kernel"), 'did you mean "kernels"')

    def test_doctor_is_one_line_per_subject(self):
        lines = run("doctor").stdout.splitlines()
        for subject in ("cpu", "cuda", "rapl", "openblas", "onednn"):
            self.assertEqual(sum(line.startswith(subject + " ") for line in lines), 1, subject)


class Fleet(Folder):
    def test_a_fleet_has_a_cheapest_plan_per_link_rate_and_counts_what_rules_the_others_out(self):
        out = json.loads(run("fleet", "--gpus", "2048", "--link", "200GB/s,50GB/s", "--json").stdout)
        fast, slow = out["points"]
        self.assertEqual(fast["link_bytes_per_s"], 200e9)
        self.assertEqual(fast["within_limits"] + sum(fast["rejected"].values()), fast["plans"])
        self.assertLess(fast["cheapest"]["gpu_hours_per_trillion_tokens"], slow["cheapest"]["gpu_hours_per_trillion_tokens"])
        self.assertIn("ruled out by ", run("fleet", "--gpus", "2048", "--link", "200GB/s").stdout)

    def test_what_a_fleet_search_cannot_do_is_refused(self):
        self.assert_refused(run("fleet", "--set", "schedule=1f1b"), "the search chooses schedule itself")
        self.assert_refused(run("fleet", "--link", "fast"), "fast")
        self.assert_refused(run("fleet", "--profile", "a100-sxm-80gb"), "compute in fp8_e4m3")


class Dump(Folder):
    def load(self, numpy, folder):
        with open(os.path.join(folder, "problem.json"), encoding="utf-8") as file:
            problem = json.load(file)
        arrays = {}
        for array in problem["arrays"]:
            values = numpy.load(os.path.join(folder, array["file"]))
            self.assertEqual(list(values.shape), array["shape"])
            if array["dtype"] == "bf16":
                values = (values.astype(numpy.uint32) << 16).view(numpy.float32)
            arrays[array["role"]] = values
        return problem, arrays

    def test_numpy_recomputes_a_bf16_product(self):
        try:
            import numpy
        except ImportError:
            self.skipTest("numpy is not installed")
        result = run("verify", "matmul", "--shape", "m=17,n=33,k=65", "--dtype", "bf16", "--dump", self.path("d"))
        self.assertEqual(result.returncode, 0, result.stderr + result.stdout)
        _, arrays = self.load(numpy, self.path("d"))
        expected = arrays["a"].astype(numpy.float64) @ arrays["b"].astype(numpy.float64).T
        numpy.testing.assert_allclose(arrays["reference"], expected, rtol=1e-12, atol=1e-12)
        numpy.testing.assert_allclose(arrays["output"], expected, rtol=2 ** -8, atol=2 ** -8)

    def test_numpy_recomputes_causal_grouped_query_attention(self):
        try:
            import numpy
        except ImportError:
            self.skipTest("numpy is not installed")
        shape = "batch=2,heads_q=6,heads_kv=3,qk_dim=20,v_dim=12,seq_q=5,context=37,causal=1"
        result = run("verify", "attention", "--shape", shape, "--dump", self.path("d"))
        self.assertEqual(result.returncode, 0, result.stderr + result.stdout)
        _, arrays = self.load(numpy, self.path("d"))
        q, k, v = (arrays[name].astype(numpy.float64) for name in "qkv")
        for batch in range(2):
            for head in range(6):
                scores = q[batch, :, head] @ k[batch, :, head // 2].T / numpy.sqrt(20)
                allowed = numpy.arange(37)[None, :] <= 37 - 5 + numpy.arange(5)[:, None]
                scores = numpy.where(allowed, scores, -numpy.inf)
                weights = numpy.exp(scores - scores.max(axis=1, keepdims=True))
                weights /= weights.sum(axis=1, keepdims=True)
                numpy.testing.assert_allclose(arrays["output"][batch, :, head], weights @ v[batch, :, head // 2],
                                              rtol=1e-4, atol=1e-5)


class BadInput(Folder):
    def refused(self, suite, *texts):
        result = run("run", self.write("tiny.json", suite), "--out", self.path("out"))
        self.assert_refused(result, *texts)
        self.assertFalse(os.path.exists(os.path.join(self.path("out"), "records.jsonl")), "something was measured")

    def case(self, **changes):
        entry = {"operation": "moe_layer", "dtypes": ["f32"], "kernels": ["cpu_native"],
                 "shape": {"tokens": 4, "hidden": 8, "intermediate": 8, "experts": 8, "top_k": 2}}
        entry.update(changes)
        return suite_text(cases=[entry])

    def test_an_unknown_key_names_file_line_and_the_nearest_key(self):
        self.refused(suite_text().replace('"kernels"', '"kernles"'), "tiny.json:", "kern")

    def test_a_wrong_type_is_named(self):
        self.refused(suite_text(targets="host"), "targets", "not a list")
        self.refused(self.case(shape={"tokens": "four", "hidden": 8, "intermediate": 8, "experts": 8, "top_k": 2}),
                     "tokens")

    def test_zero_and_negative_shapes_are_named(self):
        for value in (0, -5):
            self.refused(self.case(shape={"tokens": value, "hidden": 8, "intermediate": 8, "experts": 8, "top_k": 2}),
                         "tokens is %d" % value)

    def test_top_k_above_the_experts_says_both_numbers(self):
        self.refused(self.case(shape={"tokens": 4, "hidden": 8, "intermediate": 8, "experts": 8, "top_k": 9}),
                     "top_k is 9", "8 experts")

    def test_an_unknown_kernel_operation_target_or_model_gets_a_suggestion(self):
        self.refused(self.case(kernels=["cpu_nativ"]), 'did you mean "cpu_native"')
        self.refused(self.case(operation="moe_laier"), 'did you mean "moe_layer"')
        self.refused(self.case(targets=["h100-sxn"]), 'did you mean "h100-sxm"')
        self.refused(self.case(model="deepseek-v33"), "deepseek-v3")

    def test_a_file_that_is_not_json_names_line_and_column(self):
        self.refused("{\n \"id\": ,}", "line 2, column")

    def test_a_profile_without_a_needed_resource_is_known_before_measuring(self):
        configs = self.path("configs")
        shutil.copytree(os.path.join(SOURCE, "configs"), configs)
        path = os.path.join(configs, "profiles", "h20.json")
        with open(path, encoding="utf-8") as file:
            profile = json.load(file)
        del profile["resources"]["memory"]
        with open(path, "w", encoding="utf-8") as file:
            json.dump(profile, file)
        result = run("--configs", configs, "run", self.write("tiny.json", suite_text(targets=["h20"])), "--out",
                     self.path("out"))
        self.assert_refused(result, "h20", "memory")

    def test_an_output_folder_that_cannot_be_written_is_known_before_measuring(self):
        result = run("run", self.write("tiny.json", suite_text()), "--out", "/proc/nowhere")
        self.assert_refused(result, "/proc/nowhere")

    def test_a_suite_that_does_not_exist_gets_a_suggestion(self):
        self.assert_refused(run("run", "quik", "--out", self.path("out")), "quick")

    def test_a_dilation_that_is_too_small_is_refused_with_the_numbers(self):
        result = run("run", self.write("tiny.json", suite_text(targets=["h100-sxm"])), "--out", self.path("out"),
                     "--dilation", "1")
        self.assertEqual(result.returncode, 77, result.stderr)
        self.assertIn("at dilation 1", self.records()[0]["reason"])
        self.assertEqual(self.records()[0]["status"], "unsupported")


class Records(Folder):
    def test_a_run_writes_one_record_per_case_and_a_second_run_does_not_touch_it(self):
        suite = self.write("tiny.json", suite_text())
        self.assertEqual(run("run", suite, "--out", self.path("out")).returncode, 0)
        self.assertEqual([record["status"] for record in self.records()], ["ok"] * 3)
        self.assertEqual([record["basis"] for record in self.records()], ["measured"] * 3)
        self.assert_refused(run("run", suite, "--out", self.path("out")), "--resume")
        self.assertEqual(len(self.records()), 3)

    def test_a_run_is_not_resumed_on_another_machine(self):
        suite = self.write("tiny.json", suite_text())
        self.assertEqual(run("run", suite, "--out", self.path("out")).returncode, 0)
        path = os.path.join(self.path("out"), "environment.json")
        with open(path, encoding="utf-8") as file:
            environment = json.load(file)
        environment["device"]["name"] = "another machine"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(environment, file)
        self.assert_refused(run("run", suite, "--out", self.path("out"), "--resume"), "begun on another machine")
        self.assertEqual(len(self.records()), 3)

    def test_fewer_samples_than_buffers_are_still_checked_and_no_failure(self):
        # Inputs rotate through up to 32 copies; a budget that ends at once leaves most of them unmeasured.
        for warm_up_s in (0.001, 0.002, 0.003):
            suite = self.write("tiny.json", suite_text(sampling={"budget_s": 1e-6, "warm_up_s": warm_up_s}))
            result = run("run", suite, "--out", self.path("out%g" % warm_up_s))
            self.assertEqual(result.returncode, 0, result.stderr)
            for record in self.records("out%g" % warm_up_s):
                self.assertEqual(record["status"], "ok", record["reason"])
                self.assertTrue(record["verification"]["passed"])

    def test_case_ids_are_the_same_in_every_run(self):
        suite = self.write("tiny.json", suite_text())
        run("run", suite, "--out", self.path("a"))
        run("run", suite, "--out", self.path("b"))
        self.assertEqual([r["case_id"] for r in self.records("a")], [r["case_id"] for r in self.records("b")])

    def test_a_run_killed_in_the_middle_is_finished_by_resume_and_repeats_nothing(self):
        suite = self.write("tiny.json", suite_text(sampling={"budget_s": 1.0, "half_width": 1e-6, "warm_up_s": 0.01}))
        process = subprocess.Popen([PROGRAM, "run", suite, "--out", self.path("out")], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        path = os.path.join(self.path("out"), "records.jsonl")
        deadline = time.time() + 60
        while time.time() < deadline and not (os.path.exists(path) and os.path.getsize(path) > 0):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = self.records()
        self.assertIn(len(before), (1, 2))
        with open(path, "r+", encoding="utf-8") as file:
            text = file.read()
            file.truncate(text.rfind("\n") + 1)
            file.seek(0, os.SEEK_END)
            file.write('{"schema": "chokepoint/rec')  # as if the kill had come during a write
        result = run("report", self.path("out"))
        self.assertEqual(result.returncode, 2)
        self.assertIn("ends too soon", result.stderr)
        self.assertIn("stream", result.stdout)  # what is intact is shown
        result = run("run", suite, "--out", self.path("out"), "--resume")
        self.assertEqual(result.returncode, 0, result.stderr)
        after = self.records()
        self.assertEqual(after[:len(before)], before)
        self.assertEqual(len({record["case_id"] for record in after}), 3)
        self.assertEqual(len(after), 3)
        with open(path + ".cut", encoding="utf-8") as file:
            self.assertEqual(file.read(), '{"schema": "chokepoint/rec\n')

    def test_reports_of_all_formats_come_from_records(self):
        run("run", self.write("tiny.json", suite_text()), "--out", self.path("out"))
        for name in ("table", "markdown", "csv", "json"):
            result = run("report", self.path("out"), "--format", name)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("stream", result.stdout)
        self.assert_refused(run("report", self.path("out"), "--format", "tabel"), "table")
        self.assert_refused(run("report", self.path("nowhere")))

    def test_a_full_disk_is_an_error_and_not_a_silent_loss(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full here")
        os.mkdir(self.path("out"))
        os.symlink("/dev/full", os.path.join(self.path("out"), "records.jsonl"))
        result = run("run", self.write("tiny.json", suite_text()), "--out", self.path("out"))
        self.assert_refused(result, "No space left")

    def test_filter_target_and_seed_bend_a_suite(self):
        suite = self.write("tiny.json", suite_text())
        run("run", suite, "--out", self.path("out"), "--filter", "*elements=2000*", "--seed", "7")
        self.assertEqual([r["shape"]["elements"] for r in self.records()], [2000])
        self.assertEqual(self.records()[0]["provenance"]["seed"], 7)
        self.assert_refused(run("run", suite, "--out", self.path("none"), "--filter", "nothing*"), "no case")


class Tune(Folder):
    """On decode shapes so small that a launch takes microseconds."""

    def setUp(self):
        super().setUp()
        self.configs = self.path("configs")
        shutil.copytree(f"{SOURCE}/configs", self.configs, ignore=shutil.ignore_patterns("tuning", "traces"))
        self.suite = self.write("tiny.json", suite_text(cases=[
            {"operation": "attention", "dtypes": ["f32"], "kernels": ["cpu_native"],
             "shape": {"mode": "decode", "variant": "gqa", "heads_q": 2, "qk_dim": 16, "v_dim": 16, "context": [256, 384]}},
            {"operation": "stream", "shape": {"elements": 1000}, "dtypes": ["f32"], "kernels": ["cpu_native"]}]))

    def tune(self, *words, **env):
        return run("tune", self.suite, "--budget", "4s", *words, CHOKEPOINT_CONFIGS=self.configs, **env)

    def file(self):
        return os.path.join(self.configs, "tuning", os.listdir(os.path.join(self.configs, "tuning"))[0])

    def choices(self):
        with open(self.file(), encoding="utf-8") as file:
            return json.load(file)["choices"]

    def run_suite(self, out):
        return run("run", self.suite, "--out", self.path(out), CHOKEPOINT_CONFIGS=self.configs)

    def test_choices_are_kept_with_their_records_and_taken_by_a_run(self):
        result = self.tune("--out", self.path("out"))
        self.assertEqual(result.returncode, 0, result.stderr)
        choices = self.choices()
        self.assertEqual(["context=256" in c["shape"] for c in choices], [True, False])
        known = {record["case_id"] for record in self.records()}
        for choice in choices:
            self.assertEqual(choice["time_ratio"] is None, choice["configuration"] == choice["planned"])
            self.assertLessEqual(set(choice["records"]), known)
        with open(self.file(), encoding="utf-8") as file:
            value = json.load(file)
        value["choices"] = value["choices"][:1]
        other = next(name for record in self.records() if (name := record["provenance"]["configuration"]) !=
                     choices[0]["configuration"])
        value["choices"][0].update(configuration=other, planned=other, time_ratio=None)
        with open(self.file(), "w", encoding="utf-8") as file:
            json.dump(value, file)
        self.assertEqual(self.run_suite("run").returncode, 0)
        taken = [record["provenance"].get("configuration") for record in self.records("run")]
        self.assertEqual(taken, [other, None, None])

    def test_a_resumed_run_measures_what_has_no_choice_yet(self):
        self.assertEqual(self.tune("--filter", "*context=256*", "--out", self.path("a")).returncode, 0)
        first = self.choices()
        result = self.tune("--resume", "--out", self.path("b"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.count("(before)"), 1)
        self.assertEqual(self.choices()[0], first[0])
        self.assertTrue(all("context=384" in record["case_id"] for record in self.records("b")))

    def test_what_cannot_be_right_is_refused_with_its_file(self):
        self.assert_refused(self.tune("--filter", "stream*"), "has anything to choose")
        os.mkdir(os.path.join(self.configs, "tuning"))
        bad = os.path.join(self.configs, "tuning", "a_b_c.json")
        with open(bad, "w", encoding="utf-8") as file:
            file.write('{"schema": "chokepoint/tuning/1", "device": "a", "operation": "b", "kernel": "c", "choice": []}')
        self.assert_refused(self.run_suite("out"), bad, "choice")

    def test_a_choice_that_the_kernel_does_not_offer_is_a_failed_case_with_its_file(self):
        self.assertEqual(self.tune("--filter", "*context=256*", "--out", self.path("a")).returncode, 0)
        with open(self.file(), encoding="utf-8") as file:
            text = file.read()
        name = self.choices()[0]["configuration"]
        with open(self.file(), "w", encoding="utf-8") as file:
            file.write(text.replace(f'"configuration": "{name}"', '"configuration": "keys=17"')
                       .replace(f'"planned": "{name}"', '"planned": "keys=17"'))
        self.run_suite("out")
        failed = [record for record in self.records() if record["status"] == "failed"]
        self.assertEqual(len(failed), 1)
        self.assertIn('no configuration "keys=17"', failed[0]["reason"])
        self.assertIn(self.file(), failed[0]["reason"])


class RulesAndCosts(Folder):
    RESULTS = f"{SOURCE}/results/2026-11-26_h100_h800-vs-h100"

    def test_machines_by_rule_as_text_and_as_json(self):
        text = run("list", "profiles", "--rules").stdout
        self.assertIn("not controlled", text)
        h800 = next(entry for entry in json.loads(run("list", "profiles", "--rules", "--json").stdout)["profiles"]
                    if entry["profile"] == "h800-sxm")
        self.assertEqual([rule["verdict"] for rule in h800["rules"]], ["not controlled", "controlled", None, "case by case"])
        self.assert_refused(run("list", "kernels", "--rules"), "not kernels")

    def test_what_a_rule_cost(self):
        rows = json.loads(run("claims", "--rule", "2022-10-07", "--json").stdout)["rows"]
        hours = {(row["cut"], row["parallel"]): row["gpu_hours_ratio"]["mid"] for row in rows}
        self.assertAlmostEqual(hours["h800-sxm", "expert"], 1.0, places=9)
        self.assertAlmostEqual(hours["h800-sxm", "tensor"], 1.185, places=3)
        self.assertIn("h800-sxm instead of h100-sxm", run("claims", "--rule", "2022-10-07").stdout)
        self.assert_refused(run("claims", "--rule", "2026-01-15"), "names no machine that was cut for it")
        self.assert_refused(run("claims", "--rule", "2022-10-06"), "is not known")
        self.assert_refused(run("claims", "dsv3.train.mfu", "--rule", "2022-10-07"), "not about claims")

    def test_what_a_rule_cost_at_prices_of_ones_own(self):
        cost = json.loads(run("claims", "--rule", "2023-10-17", "--price", "h20=1.2", "--json").stdout)
        self.assertEqual([row["parallel"] for row in cost["rows"]], ["expert", "tensor", "data", "prefill", "decode"])
        for row in cost["rows"]:
            cut, full = row["cut_side"], row["full_side"]
            self.assertAlmostEqual(cut["usd_per_million_tokens"], 1.2 / 3600 / cut["tokens_per_s_per_gpu"] * 1e6)
            self.assertAlmostEqual(row["usd_per_token_ratio"]["mid"],
                                   cut["usd_per_million_tokens"] / full["usd_per_million_tokens"])
            joules = cut["joule_per_token"] / full["joule_per_token"]
            self.assertAlmostEqual(row["joule_per_token_ratio"]["mid"], joules)
        self.assertIn("given as --price h20", cost["prices"][0])
        self.assertIn("J per token", run("claims", "--rule", "2023-10-17", "--price", "h20=1.2").stdout)
        self.assert_refused(run("claims", "--rule", "2023-10-17", "--price", "h2o=1.2"), "h20, h100-sxm")
        self.assert_refused(run("claims", "--price", "h20=1.2"), "go with --rule")

    def test_the_energy_behind_a_claim(self):
        def consumption(*flags):
            text = run("claims", "dsv3.train.gpuh_per_T", "--draws", "100", "--json", *flags).stdout
            return json.loads(text)["claims"][0]["consumption"]
        usual, better = consumption(), consumption("--set", "pue=1.1", "--set", "electricity=0.05")
        self.assertAlmostEqual(usual["facility_kwh"]["mid"] / usual["gpu_hours"]["mid"], 1.275 * 0.75 * 1.25)
        self.assertAlmostEqual(better["facility_kwh"]["mid"] / usual["facility_kwh"]["mid"], 1.1 / 1.25)
        self.assertAlmostEqual(better["electricity_usd"]["mid"] / better["facility_kwh"]["mid"], 0.05)
        self.assertIn("MWh", run("claims", "dsv3.train.gpuh_per_T", "--draws", "100").stdout)
        self.assert_refused(run("claims", "dsv3.train.gpuh_per_T", "--set", "pue=0.9"), "pue is 0.9")
        self.assert_refused(run("claims", "dsv3.train.total_usd", "--set", "pue=1.1"), "depends on it")

    def test_a_trace_of_routing_is_an_input_with_a_grade(self):
        trace = f"{SOURCE}/configs/traces/default.json"
        text = run("claims", "dsv3.train.gpuh_per_T", "--routing-trace", trace, "--draws", "100").stdout
        self.assertIn("routing.trace", text)
        self.assert_refused(run("claims", "dsv3.train.total_usd", "--routing-trace", trace), "routes tokens to experts")
        self.assert_refused(run("claims", "--routing-trace", self.path("none.json")), "none.json")

    def test_the_same_records_cost_something_else_at_another_price(self):
        def ratio(*flags):
            row = json.loads(run("cost", self.RESULTS, "--json", *flags).stdout)["rows"][0]
            return row["cost_ratio"] and row["cost_ratio"]["mid"], row
        self.assertIsNone(ratio()[0])  # nobody offers an H800
        once, row = ratio("--price", "h800-sxm=1.5")
        self.assertAlmostEqual(ratio("--price", "h800-sxm=3")[0], 2 * once, places=9)
        self.assertAlmostEqual(once, 1.5 / row["break_even_usd_per_h"]["mid"], places=9)
        owned, row = ratio("--owned", "--purchase", "h800-sxm=30000", "--purchase", "h100-sxm=40000")
        self.assertIn("electricity price", row["assumptions"])
        self.assertGreater(owned, 0)

    def test_costs_in_every_format_and_mistakes_named(self):
        for format in ("table", "markdown", "json"):
            self.assertEqual(run("cost", self.RESULTS, "--format", format).returncode, 0, format)
        self.assert_refused(run("cost", self.RESULTS, "--format", "csv"), 'format "csv" is unknown')
        self.assert_refused(run("cost", self.RESULTS, "--price", "h800-sxm"), "gives nothing a value")
        self.assert_refused(run("cost", self.RESULTS, "--price", "h800-sxm=cheap"), "--price h800-sxm")
        self.assert_refused(run("cost", self.RESULTS, "--price", "h20=1"), "no record ran on")
        self.assert_refused(run("cost", self.RESULTS, "--set", "peu=1.1"), 'did you mean "pue"')
        self.assert_refused(run("cost", self.RESULTS, "--purchase", "h800-sxm=30000"), "add --owned")
        self.assert_refused(run("cost", self.RESULTS, "--prices", "2026-05_markt"), "did you mean")
        self.assert_refused(run("cost", self.path("nowhere")))


class VerifyAll(Folder):
    LINES = ["stream cpu_native f32 elements=1000,pattern=copy", "stream {} f32 elements=1000,pattern=copy",
             "stream cpu_native f32 elements=2000,pattern=copy"]

    def cases(self, kernel):
        return self.write("cases.txt", "\n".join(self.LINES).format(kernel) + "   # the last\n")

    def test_a_kernel_that_crashes_or_lies_costs_its_own_case(self):
        for kernel, verdict in (("crashes", "FAILED"), ("lies", "WRONG")):
            result = run("verify_all", self.cases(kernel), program=FAULTY)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertEqual([(line.split()[0], line.split(":")[0].split(maxsplit=1)[1]) for line in result.stdout.splitlines()],
                             list(zip(("ok", verdict, "ok"), (line.format(kernel) for line in self.LINES))))

    def test_what_is_known_is_told_at_once_and_outlasts_whoever_stops_it(self):
        with subprocess.Popen([FAULTY, "verify_all", self.cases("hangs")], stdout=subprocess.PIPE, text=True) as process:
            first = process.stdout.readline()
            process.terminate()
            self.assertEqual(process.stdout.read(), "")
        self.assertTrue(first.startswith("ok       stream cpu_native f32 elements=1000,pattern=copy: error"), first)


class Faulty(Folder):
    """Kernels that crash, hang, lie or evade their cap cost one case each; the suite goes on."""

    def test_each_fault_is_a_record_and_the_rest_is_measured(self):
        cases = [{"operation": "stream", "shape": {"elements": 100000, "pattern": "copy"}, "dtypes": ["f32"],
                  "kernels": [kernel]} for kernel in ("crashes", "lies", "cpu_native")]
        suite = self.write("tiny.json", suite_text(cases=cases))
        result = run("run", suite, "--out", self.path("out"), program=FAULTY)
        self.assertEqual(result.returncode, 1, result.stderr)
        by_kernel = {record["kernel"]: record for record in self.records()}
        self.assertEqual(by_kernel["crashes"]["status"], "failed")
        self.assertIn("signal 11", by_kernel["crashes"]["reason"])
        self.assertEqual(by_kernel["lies"]["status"], "failed")
        self.assertIn("off by", by_kernel["lies"]["reason"])
        self.assertFalse(by_kernel["lies"]["verification"]["passed"])
        self.assertEqual(by_kernel["cpu_native"]["status"], "ok")

    def test_a_hanging_kernel_is_stopped(self):
        case = {"operation": "stream", "shape": {"elements": 1000, "pattern": "copy"}, "dtypes": ["f32"],
                "kernels": ["hangs"]}
        result = run("run", self.write("tiny.json", suite_text(cases=[case])), "--out", self.path("out"),
                     "--case-timeout", "1s", program=FAULTY)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("timed out", self.records()[0]["reason"])

    def test_a_kernel_that_charges_less_than_it_moves_is_no_result(self):
        case = {"operation": "stream", "shape": {"elements": 4000000, "pattern": "copy"}, "dtypes": ["f32"],
                "kernels": ["evades"], "targets": ["h100-sxm"]}
        result = run("run", self.write("tiny.json", suite_text(cases=[case])), "--out", self.path("out"), program=FAULTY)
        record = self.records()[0]
        self.assertEqual(record["status"], "invalid", record["reason"])
        self.assertIsNone(record["basis"])
        self.assertIn("the kernel charged", record["reason"])
        self.assertEqual(result.returncode, 3)

    def test_a_kernel_that_does_not_pace_a_capped_resource_is_unsupported(self):
        case = {"operation": "matmul", "shape": {"m": 8, "n": 8, "k": 8}, "dtypes": ["f32"], "kernels": ["openblas"],
                "targets": ["h100-sxm"]}
        result = run("run", self.write("tiny.json", suite_text(cases=[case])), "--out", self.path("out"))
        record = self.records()[0]
        self.assertEqual(record["status"], "unsupported", record["reason"])
        self.assertEqual(result.returncode, 77)


if __name__ == "__main__":
    unittest.main(verbosity=2)
