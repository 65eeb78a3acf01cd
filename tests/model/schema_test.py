"""Do the JSON Schemas in configs/schema describe the files we ship, write and accept?

    schema_test.py SOURCE_DIR CONFIG_PROBE

Every shipped config and every committed record is valid; files with one mistake are not; and whatever the C++ reader
accepts, the schema accepts too (seeded mutations of the shipped files), so that an editor with the schema never flags
a file that runs. Exits 77 where the jsonschema package is missing.
"""
import copy
import glob
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

try:
    import jsonschema
except ImportError:
    print("skipped: python3 has no jsonschema (Debian, Ubuntu: apt-get install python3-jsonschema)")
    sys.exit(77)

SOURCE, PROBE = sys.argv[1:3]
FOLDER_OF = {"profile": "profiles", "price": "prices", "rule": "rules", "cost": "costs", "model": "models",
             "suite": "suites", "trace": "traces", "claims": "claims", "kernel": "kernels", "tuning": "tuning"}
MUTATIONS_PER_FILE = 60


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def schema(kind):
    return read(f"{SOURCE}/configs/schema/{kind}.json")


def shipped(kind):
    return sorted(glob.glob(f"{SOURCE}/configs/{FOLDER_OF[kind]}/*.json"))


def complaints(kind, value):
    validator = jsonschema.Draft7Validator(schema(kind))
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in validator.iter_errors(value)]


def probe(*arguments):
    return subprocess.run([PROBE, *arguments], check=True, capture_output=True, text=True).stdout.splitlines()


def trace_of_power(points):
    return {"source": "rapl", "load": "sampling", "t_s": list(range(points)), "power_w": [55.5] * points,
            "sm_clock_hz": None, "temperature_c": None, "windows_s": [[0, points]]}


def places(value, at=()):
    """Paths of all values inside, containers included."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, at + (key,))


def put(value, at, new):
    for key in at[:-1]:
        value = value[key]
    value[at[-1]] = new


def take(value, at):
    for key in at:
        value = value[key]
    return value


def mutated(value, chance):
    """A copy with one value replaced, one key added or one key removed."""
    value = copy.deepcopy(value)
    at = chance.choice([place for place in places(value) if place])
    inner = take(value, at)
    action = chance.randrange(3)
    if action == 0 and isinstance(inner, dict):
        inner["surprise"] = 1
    elif action == 1 and isinstance(inner, dict) and inner:
        del inner[chance.choice(sorted(inner))]
    else:
        odd = [True, 0, -1, 1.5, 1e308, 2**63, "", "x", "GB/s", "W", "bf16", [], {}, [1, 1], {"value": 1}, "rental_spot"]
        put(value, at, chance.choice(odd))
    return value


class Schemas(unittest.TestCase):
    def test_schemas_are_draft_07_and_closed(self):
        for path in sorted(glob.glob(f"{SOURCE}/configs/schema/*.json")):
            value = read(path)
            jsonschema.Draft7Validator.check_schema(value)
            self.assertEqual(value["$schema"], "http://json-schema.org/draft-07/schema#", path)
            for at in places(value):
                inner = take(value, at)
                if isinstance(inner, dict) and inner.get("type") == "object" and "required" in inner:
                    self.assertIs(inner.get("additionalProperties"), False, f"{path} {at}")

    def test_every_kind_of_shipped_file_has_a_schema(self):
        folders = {name for name in os.listdir(f"{SOURCE}/configs") if glob.glob(f"{SOURCE}/configs/{name}/*.json")}
        folders -= {"schema"}
        self.assertLessEqual(folders, set(FOLDER_OF.values()))
        for kind in FOLDER_OF:
            schema(kind)

    def test_shipped_files_are_valid(self):
        for kind in FOLDER_OF:
            for path in shipped(kind):
                self.assertEqual(complaints(kind, read(path)), [], path)
        for kind in ("profile", "price", "rule", "cost", "model", "suite", "claims"):
            self.assertTrue(shipped(kind), kind)

    def test_records_as_written_are_valid(self):
        for line in probe("records"):
            self.assertEqual(complaints("record", json.loads(line)), [])
        for line in probe("environment"):
            self.assertEqual(complaints("environment", json.loads(line)), [])

    def test_committed_results_are_valid(self):
        for path in sorted(glob.glob(f"{SOURCE}/results/*/records.jsonl")):
            with open(path, encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    self.assertEqual(complaints("record", json.loads(line)), [], f"{path}:{number}")
        for path in sorted(glob.glob(f"{SOURCE}/results/*/environment.json")):
            self.assertEqual(complaints("environment", read(path)), [], path)


class Mistakes(unittest.TestCase):
    """One mistake each, in an otherwise valid file."""

    def reject(self, kind, value, change):
        self.assertEqual(complaints(kind, value), [])
        change(value)
        self.assertNotEqual(complaints(kind, value), [], kind)

    def each(self, kind, name, *changes):
        for change in changes:
            self.reject(kind, read(f"{SOURCE}/configs/{FOLDER_OF[kind]}/{name}.json"), change)

    def test_in_a_profile(self):
        self.each(
            "profile", "h800-sxm",
            lambda p: p.update(nickname="x"),
            lambda p: p.pop("power_w"),
            lambda p: p["resources"]["link"]["datasheet"].pop("source"),
            lambda p: p["resources"]["link"]["datasheet"].update(unit="GiB/s"),
            lambda p: p["resources"]["link"]["datasheet"].update(unit="TFLOP/s"),
            lambda p: p["resources"]["link"]["datasheet"].update(kind="measured"),
            lambda p: p["resources"]["link"]["achieved"].update(kind="datasheet"),
            lambda p: p["resources"]["link"].clear(),
            lambda p: p["resources"]["memory"]["achieved"].update(value=0),
            lambda p: p["resources"]["compute"].update(bf61=p["resources"]["compute"].pop("bf16")),
            lambda p: p["latency"]["link"].update(unit="GB/s"))

    def test_in_a_price_book(self):
        self.each(
            "price", "2026-05_market",
            lambda p: p.pop("date"),
            lambda p: p.update(date="2026-13"),
            lambda p: p.update(currency="EUR"),
            lambda p: p.update(source_kind="rumour"),
            lambda p: p["items"][0].update(term="rental_2y"),
            lambda p: p["items"][0].update(usd_per_gpu_h=2.95),
            lambda p: p["items"][0]["usd_per_gpu_h"].pop("low"),
            lambda p: p["items"][0].update(source=""))

    def test_in_a_rule(self):
        self.each(
            "rule", "2023-10-17_3a090",
            lambda r: r.pop("source"),
            lambda r: r.update(evidence="hearsay"),
            lambda r: r["categories"][0].pop("when_not"),
            lambda r: r["categories"][0].update(any_of=[]),
            lambda r: r["categories"][0]["any_of"][0]["all_of"][0].pop("at_least"),
            lambda r: r["categories"][0]["any_of"][0]["all_of"][0].update(quantity="ttp"),
            lambda r: r["categories"][0]["any_of"][0]["all_of"][0].update(at_least=0))

    def test_in_a_cost_book(self):
        self.each(
            "cost", "2026-11_estimates",
            lambda c: c.update(currency="EUR"),
            lambda c: c["load_share"].pop("low"),
            lambda c: c["load_share"].pop("source"),
            lambda c: c["load_share"].update(mid=-1),
            lambda c: c.update(facilities=[]),
            lambda c: c["machines"][0].pop("host_w"),
            lambda c: c["ownership"].pop("life_years"))

    def test_in_a_model(self):
        self.each(
            "model", "deepseek-v3",
            lambda m: m.pop("layers"),
            lambda m: m.update(layers=0),
            lambda m: m["shapes"]["matmul"][0]["shape"].update(n=-1),
            lambda m: m["shapes"]["matmul"][0]["shape"].update(n=1.5),
            lambda m: m["shapes"].update(matmul=[]),
            lambda m: m["shapes"]["matmul"][0].update(shapes={}))

    def test_in_a_suite(self):
        self.each(
            "suite", "quick",
            lambda s: s["cases"][0].update(dtypes=["bf61"]),
            lambda s: s["cases"][0].update(dtypes=[]),
            lambda s: s["cases"][0].update(kernel="cpu_native"),
            lambda s: s["cases"][0].pop("kernels"),
            lambda s: s["cases"][0].update(shape={"m": [-1]}),
            lambda s: (s["cases"][0].pop("model"), s["cases"][0].pop("only"), s["cases"][0].pop("shape")),
            lambda s: s["cases"][0].pop("model"),
            lambda s: s.update(cases=[]),
            lambda s: s["sampling"].update(half_width=1))

    def test_in_a_file_of_claims(self):
        first = lambda c: c["claims"][0]
        self.each(
            "claims", "deepseek_v3_report",
            lambda c: c.update(schema="claims/2"),
            lambda c: first(c).update(id="two words"),
            lambda c: first(c).pop("statement"),
            lambda c: first(c).update(tier="T6"),
            lambda c: first(c).update(verdict="REPRODUCED"),
            lambda c: first(c)["quantity"].pop("unit"),
            lambda c: first(c)["quantity"].update(value="180K"),
            lambda c: first(c)["quantity"].update(better="more"),
            lambda c: first(c)["source"].pop("grade"),
            lambda c: first(c)["assumptions"][0].pop("basis"),
            lambda c: first(c)["assumptions"][0].update(lo=0),
            lambda c: first(c)["tolerance"].update(rel=0),
            lambda c: first(c)["system"].update(gpus={"h800": 2048}))

    def test_in_a_record(self):
        for change in (
                lambda r: r.pop("caps"),
                lambda r: r.update(schema="chokepoint/record/2"),
                lambda r: r.update(status="fine"),
                lambda r: r.update(status="invalid"),  # and still has a basis
                lambda r: r.update(basis=None),
                lambda r: r.update(dilation=0.5),
                lambda r: r["time_s"].update(median=None),
                lambda r: r["time_s"].update(median_s=1),
                lambda r: r["caps"][0].update(status="ok"),
                lambda r: r["energy"].update(basis="guessed"),
                lambda r: r["provenance"].update(password="x"),
                lambda r: r["provenance"].update(power_trace={"source": "rapl"}),
                lambda r: r["provenance"].update(power_trace=trace_of_power(65)),
                lambda r: r["metrics"].update(flop_per_s=1)):
            self.reject("record", json.loads(probe("records")[1]), change)

    def test_a_trace_of_power_may_stand_in_a_record(self):
        record = json.loads(probe("records")[1])
        record["provenance"]["power_trace"] = trace_of_power(64)
        self.assertEqual(complaints("record", record), [])

    def test_in_an_environment(self):
        for change in (lambda e: e.pop("build"), lambda e: e.update(home="/root"), lambda e: e.update(started="today"),
                       lambda e: e["ceilings"].update(memory_bytes_per_s=0)):
            self.reject("environment", json.loads(probe("environment")[0]), change)


class Agreement(unittest.TestCase):
    def test_shipped_suites_can_be_planned_and_only_missing_libraries_are_unsupported(self):
        for path in shipped("suite"):
            if read(path).get("device", "cpu") != "cpu":
                continue  # its kernels exist in builds with CUDA only
            groups = probe("plan", f"{SOURCE}/configs", path)
            self.assertTrue(groups, path)
            for group in groups:
                if group.split()[0] not in ("openblas", "onednn"):
                    self.assertTrue(group.endswith(": ok"), f"{path}: {group}")

    def test_what_the_program_accepts_the_schema_accepts(self):
        accepted = rejected = 0
        for kind in ("profile", "price", "rule", "cost", "model", "suite", "claims", "kernel", "record"):
            originals = {os.path.basename(path): read(path) for path in (shipped(kind) if kind in FOLDER_OF else [])}
            if kind == "record":
                originals = {f"{i}.json": json.loads(line) for i, line in enumerate(probe("records"))}
            with tempfile.TemporaryDirectory() as folder:
                paths, values = [], []
                for name, original in originals.items():
                    chance = random.Random(f"7/{name}")
                    for round_ in range(MUTATIONS_PER_FILE):
                        os.makedirs(f"{folder}/{round_}", exist_ok=True)
                        paths.append(f"{folder}/{round_}/{name}")
                        values.append(mutated(original, chance))
                        with open(paths[-1], "w", encoding="utf-8") as file:
                            json.dump(values[-1], file)
                verdicts = probe("decode", kind, *paths)
            self.assertEqual(len(verdicts), len(values), kind)
            for verdict, value in zip(verdicts, values):
                if verdict != "ok":
                    rejected += 1
                elif kind != "record":  # its reader leaves ranges to the schema
                    accepted += 1
                    self.assertEqual(complaints(kind, value), [], kind)
        self.assertGreater(rejected, 200)
        self.assertGreater(accepted, 50)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
