#!/usr/bin/env python3
"""Do the tools we export to read our files? The golden files of export_test.cpp, given to each tool's own reader where it is
installed (prometheus_client, junitparser, Google Benchmark's compare.py), and to a schema of ours in any case.

    consumers_test.py SOURCE_DIR
"""

import importlib.util
import json
import math
import os
import re
import subprocess
import sys
import unittest
import xml.etree.ElementTree as ElementTree

SOURCE = sys.argv.pop(1)
GOLDEN = os.path.join(SOURCE, "tests", "golden")
COMPARE = "/usr/share/benchmark/compare.py"  # of Debian's libbenchmark-tools


def text_of(name):
    with open(os.path.join(GOLDEN, name), encoding="utf-8") as file:
        return file.read()


def refuse_constant(name):
    raise ValueError(f"{name} is no JSON")


def json_of(name):
    return json.loads(text_of(name), parse_constant=refuse_constant)


def has(module):
    return importlib.util.find_spec(module) is not None


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


class GoogleBenchmark(unittest.TestCase):
    report = json_of("report_gbench.json")

    def test_has_what_its_readers_ask_for(self):
        context = self.report["context"]
        self.assertIsInstance(context["caches"], list)  # Bencher's cpp_google reader wants an array
        self.assertEqual(context["json_schema_version"], 1)
        self.assertIsInstance(context["date"], str)
        self.assertGreater(len(self.report["benchmarks"]), 4)
        for entry in self.report["benchmarks"]:
            self.assertEqual(entry["run_type"], "iteration")
            self.assertEqual(entry["time_unit"], "ns")
            for key in ("real_time", "cpu_time", "iterations", "threads", "repetitions"):
                self.assertTrue(is_number(entry[key]), (key, entry[key]))
            self.assertGreater(entry["real_time"], 0)

    def test_names_are_unique(self):
        names = [entry["name"] for entry in self.report["benchmarks"]]
        self.assertEqual(len(names), len(set(names)))

    def test_the_figure_is_the_median_in_nanoseconds(self):
        # 5.8 ms of the host, 1:5800: one microsecond on the target
        first = self.report["benchmarks"][0]
        self.assertAlmostEqual(first["real_time"], 1000.0, places=6)
        self.assertAlmostEqual(first["items_per_second"], 64e6, places=0)

    @unittest.skipUnless(os.path.exists(COMPARE) and has("scipy"), "compare.py or scipy is not installed (libbenchmark-tools, python3-scipy)")
    def test_compare_py_reads_it(self):
        path = os.path.join(GOLDEN, "report_gbench.json")
        done = subprocess.run([sys.executable, COMPARE, "--no-color", "benchmarks", path, path], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        for entry in self.report["benchmarks"]:
            self.assertIn(entry["name"], done.stdout)
        self.assertRegex(done.stdout, r"\+0\.0000\s+\+0\.0000")


class GithubActionBenchmark(unittest.TestCase):
    """src/extract.ts of benchmark-action/github-action-benchmark: an array of {name, unit, value, range?, extra?}."""

    def check(self, name):
        entries = json_of(name)
        self.assertGreater(len(entries), 3)
        for entry in entries:
            self.assertLessEqual(set(entry), {"name", "unit", "value", "range", "extra"})
            self.assertTrue(is_number(entry["value"]))
            for key in ("name", "unit", "extra"):
                self.assertIsInstance(entry[key], str)
            if "range" in entry:
                self.assertRegex(entry["range"], r"^± \S+$")
        names = [entry["name"] for entry in entries]
        self.assertEqual(len(names), len(set(names)))
        return {re.search(r": (\w+)$", entry).group(1) for entry in names}

    def test_each_metric_is_in_the_file_of_its_direction(self):
        smaller, bigger = self.check("report_custom_smaller.json"), self.check("report_custom_bigger.json")
        self.assertIn("target_time_s", smaller)
        self.assertIn("tokens_per_s", bigger)
        self.assertFalse(smaller & bigger)


BENCHER_SCHEMA = {  # bencher.dev, reference of the Bencher Metric Format
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "minProperties": 1,
    "propertyNames": {"minLength": 1, "maxLength": 1024},
    "additionalProperties": {
        "type": "object",
        "propertyNames": {"pattern": "^[a-z0-9_-]{1,64}$"},
        "additionalProperties": {
            "type": "object",
            "required": ["value"],
            "additionalProperties": False,
            "properties": {"value": {"type": "number"}, "lower_value": {"type": "number"}, "upper_value": {"type": "number"}},
        },
    },
}


class Bencher(unittest.TestCase):
    report = json_of("report_bencher.json")

    @unittest.skipUnless(has("jsonschema"), "jsonschema is not installed (python3-jsonschema)")
    def test_follows_the_schema(self):
        import jsonschema

        jsonschema.Draft7Validator(BENCHER_SCHEMA).validate(self.report)

    def test_intervals_hold_their_values(self):
        with_intervals = 0
        for measures in self.report.values():
            for figure in measures.values():
                if "lower_value" in figure:
                    with_intervals += 1
                    self.assertLessEqual(figure["lower_value"], figure["value"])
                    self.assertLessEqual(figure["value"], figure["upper_value"])
        self.assertGreater(with_intervals, 10)


class OpenMetrics(unittest.TestCase):
    text = text_of("report_openmetrics.txt")

    def check(self, families):
        samples = {family.name: family.samples for family in families}
        self.assertIn("chokepoint_target_time_seconds", samples)
        self.assertIn("chokepoint_tokens_per_joule", samples)
        for name, members in samples.items():
            self.assertTrue(members, name)
            for sample in members:
                self.assertTrue(math.isfinite(sample.value))
                self.assertIn(sample.labels["basis"], {"measured", "emulated", "scaled", "none"})
        first = [sample for sample in samples["chokepoint_target_time_seconds"] if sample.labels["estimate"] == "median"][0]
        self.assertAlmostEqual(first.value, 1e-6)

    @unittest.skipUnless(has("prometheus_client"), "prometheus_client is not installed (python3-prometheus-client)")
    def test_the_openmetrics_parser_reads_it(self):
        from prometheus_client.openmetrics.parser import text_string_to_metric_families

        families = list(text_string_to_metric_families(self.text))
        self.check(families)
        units = {family.name: family.unit for family in families}
        self.assertEqual(units["chokepoint_target_time_seconds"], "seconds")

    @unittest.skipUnless(has("prometheus_client"), "prometheus_client is not installed (python3-prometheus-client)")
    def test_the_older_text_parser_reads_it_too(self):
        from prometheus_client.parser import text_string_to_metric_families

        self.check(text_string_to_metric_families(self.text))

    def test_ends_with_eof_and_every_line_is_a_comment_or_a_sample(self):
        lines = self.text.splitlines()
        self.assertEqual(lines[-1], "# EOF")
        label = r'[a-z_]+="(?:[^"\\\n]|\\["\\n])*"'
        sample = re.compile(r"^[a-z_:][a-z0-9_:]*\{%s(?:,%s)*\} -?[0-9.e+-]+$" % (label, label))
        for line in lines[:-1]:
            if not line.startswith("#"):
                self.assertRegex(line, sample)
            else:
                self.assertRegex(line, r"^# (TYPE|UNIT|HELP) chokepoint_\w+ .+$")


class JUnit(unittest.TestCase):
    path = os.path.join(GOLDEN, "report_junit.xml")

    def test_counts_are_those_of_the_cases(self):
        root = ElementTree.parse(self.path).getroot()
        self.assertEqual(root.tag, "testsuites")
        for counter, elements in (("tests", ["testcase"]), ("failures", ["failure"]), ("errors", ["error"]), ("skipped", ["skipped"])):
            total = sum(len(list(root.iter(element))) for element in elements)
            self.assertEqual(int(root.get(counter)), total, counter)
            self.assertEqual(sum(int(suite.get(counter)) for suite in root), total, counter)
        for case in root.iter("testcase"):
            self.assertTrue(case.get("name") and case.get("classname"))
            self.assertGreaterEqual(float(case.get("time")), 0.0)

    def test_reasons_keep_their_markup_as_text(self):
        reasons = [element.get("message") for element in ElementTree.parse(self.path).getroot().iter("error")]
        self.assertTrue(any("<b>now</b>" in reason for reason in reasons), reasons)

    @unittest.skipUnless(has("junitparser"), "junitparser is not installed (python3-junitparser)")
    def test_junitparser_reads_it(self):
        import junitparser

        report = junitparser.JUnitXml.fromfile(self.path)
        self.assertEqual((report.failures, report.errors, report.skipped), (1, 1, 2))
        kinds = {type(result) for suite in report for case in suite for result in case.result}
        self.assertEqual(kinds, {junitparser.Failure, junitparser.Error, junitparser.Skipped})


if __name__ == "__main__":
    unittest.main()
