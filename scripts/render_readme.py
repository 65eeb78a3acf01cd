#!/usr/bin/env python3
"""Writes every figure in README.md from committed results, between markers; --check fails if that would change anything.

  <!-- claim:report results/DIR -->   table of the records in DIR, as `chokepoint report --format markdown` prints it
  <!-- claim:file results/FILE -->    the file as it is, as a block of text
  <!-- claim:gpu results -->          per GPU kernel: cards, outcomes of its records, its cases of tests/device that were right, and sanitized
  <!-- claim:suites results -->       per suite and card: which build, which targets, how its records came out
  <!-- claim:not_run results -->      what has no evidence from a GPU under results/
  <!-- claim:ratios results/DIR -->   two targets case by case: times, throughput ratio with interval, break-even price, caps
  <!-- claim:sweep results/DIR -->    throughput of each case against that of the first target, one row per target
  <!-- claim:rates results/DIR -->    every ok case of uncapped kernels: time, rates, and the share of the best in the same run
  <!-- claim:joules results/DIR -->   joules per launch with both errors
  <!-- claim:fidelity results/A,results/B -->  the same cases played by another card (A) and run on the real one (B)
  <!-- claim:verdicts ID,ID or all --> published numbers with what they are derived to be: `chokepoint claims`
  <!-- /claim -->                     the end of any
"""
import collections
import json
import pathlib
import re
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True
import gpu_evidence  # noqa: E402  (beside this file; nothing is to be written there)

ROOT = pathlib.Path(__file__).resolve().parent.parent
MARKER = re.compile(r"(<!-- claim:(\w+) (\S+) -->\n).*?(<!-- /claim -->)", re.DOTALL)


def program():
    built = [path for path in (ROOT / "build").glob("*/chokepoint") if path.is_file()]
    if not built:
        sys.exit("error: chokepoint is not built\n  fix: run scripts/run.sh or scripts/test.sh first")
    return max(built, key=lambda path: path.stat().st_mtime)


def records_of(folder):
    return [json.loads(line) for line in (ROOT / folder / "records.jsonl").read_text(encoding="utf-8").splitlines()]


SHOWN = ("m", "n", "k", "tokens", "ep", "tp", "overlap", "batch", "seq_q", "context", "elements", "bytes", "pattern")


def case_text(record):
    label = record["provenance"].get("label") or record["operation"]
    shape = ", ".join(f"{key} {record['shape'][key]}" for key in SHOWN if key in record["shape"])
    return f"{record['operation']} {label}" if record["operation"] != label else label, f"{record['dtype']}, {shape}"


def time_text(seconds):
    scale, unit = next((s, u) for s, u in ((1, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")) if seconds >= s)
    return f"{seconds / scale:.4g} {unit}"


def preface(report, known):
    """What the two targets are, and at which price they are compared."""
    a, b = (report["comparisons"][0][key] for key in ("target_a", "target_b"))
    rates = [", ".join(dict.fromkeys(f"{cap['resource']} {cap['target_rate'] / 1e9:.0f} GB/s" for record in known.values()
                                     if record["target"] == target for cap in record["caps"]
                                     if cap["resource"] in ("link", "network"))) for target in (a, b)]
    text = f"{b} ({rates[1]}) against {a} ({rates[0]}), per direction."
    price = next((pair["price_a"] for pair in report["comparisons"] if pair["price_a"]), None)
    if price:
        text += (f" Break-even: what an hour of {b} may cost at \\${price['usd_per_gpu_h']:.2f} for {a} ({price['date']} {price['seller']}, "
                 f"{price['term']}, {price['source_kind']}).")
    return [text, ""]


def ratios(folder):
    command = [program(), "report", folder, "--format", "json"]
    report = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    known = {record["case_id"]: record for record in records_of(folder)}
    unverified = set()
    rows = [*preface(report, known), "| case | kernel | times | throughput ratio (95 %) | break-even | caps, largest deviation of those held |",
            "| --- | --- | --- | --- | --- | --- |"]
    ties = []
    for pair in report["comparisons"]:
        a, b = known[pair["a"]], known[pair["b"]]
        if pair["same_caps"]:
            ties.append(pair["throughput_ratio_b_over_a"])
            continue
        ratio, price = pair["throughput_ratio_b_over_a"], pair["break_even_b_usd_per_h"]
        name, shape = case_text(a)
        caps = [cap for r in (a, b) for cap in r["caps"]]
        off = max(abs(cap[key] / cap["requested"] - 1) for cap in caps if cap["mechanism"] != "native"
                  for key in ("delivered_before", "delivered_during", "delivered_after")
                  if cap[key] is not None and (key != "delivered_during" or cap["resource"] in ("link", "network")))
        held = ", ".join(dict.fromkeys(f"{cap['resource']} {'native' if cap['mechanism'] == 'native' else cap['status']}"
                                       for cap in caps))
        unverified |= {f"{cap['resource']} {cap['target_rate'] / 1e9:.0f} GB/s of {r['target']}" for r in (a, b)
                       for cap in r["caps"] if not cap["target_rate_verified"]}
        rows.append(
            f"| {name}: {shape} | {a['kernel']} | {time_text(a['time_s']['median'] / a['dilation'])}, "
            f"{time_text(b['time_s']['median'] / b['dilation'])} | {ratio['value']:.4f} \\[{ratio['ci_low']:.4f}, "
            f"{ratio['ci_high']:.4f}] | " + (f"\\${price['value']:.2f}/h" if price else "") +
            f" | {held}; {100 * off:.1f} % |")
    if ties:
        off = max(abs(tie["value"] - 1) for tie in ties)
        outside = sum(not tie["ci_low"] <= 1 <= tie["ci_high"] for tie in ties if tie["ci_low"])
        rows += ["", f"{len(ties)} more cases use nothing in which the two differ. They came out within {100 * off:.1f} %, {outside} of them with 1 outside "
                 "the interval: smaller differences than that are no differences."]
    invalid = [f"{case_text(r)[0]}, {case_text(r)[1]}, {r['kernel']} as {r['target']}" for r in known.values() if r["status"] == "invalid"]
    if invalid:
        rows += ["", "Left out because a cap did not hold: " + "; ".join(invalid) + "."]
    if unverified:
        rows += ["", "Figures of profiles in use that nobody could verify: " + ", ".join(sorted(unverified)) + "."]
    return "\n".join(rows) + "\n"


def sweep(folder):
    records = records_of(folder)
    targets = list(dict.fromkeys(r["target"] for r in records))
    cases = {}
    for record in records:
        if record["status"] == "ok":
            cases.setdefault((case_text(record), record["kernel"]), {})[record["target"]] = record["time_s"]["median"] / record["dilation"]
    cases = {key: times for key, times in cases.items() if targets[0] in times}
    rows = ["| target | " + " | ".join(f"{name}: {shape}, {kernel}" for ((name, shape), kernel) in cases) + " |",
            "| --- |" + " ---: |" * len(cases)]
    for target in targets:
        cells = [f"{times[targets[0]] / times[target]:.3f}" if target in times else "" for times in cases.values()]
        rows.append(f"| {target} | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def rates(folder):
    ok = [record for record in records_of(folder) if record["status"] == "ok"]
    best = {}
    for record in ok:
        key = case_text(record)
        best[key] = min(best.get(key, 1e300), record["time_s"]["median"])
    rows = ["| case | kernel | time | ± | TFLOP/s | GB/s | of the fastest here |", "| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for record in sorted(ok, key=lambda r: (*case_text(r), r["kernel"])):
        time, work = record["time_s"], record["work"]
        width = (f"{50 * (time['ci_high'] - time['ci_low']) / time['median']:.2g} %" if time["ci_high"] else "")
        name, shape = case_text(record)
        flop = f"{work['flop'] / time['median'] / 1e12:.3g}" if work["flop"] else ""
        rows.append(f"| {name}: {shape} | {record['kernel']} | {time_text(time['median'])} | {width} | {flop} | "
                    f"{work['memory_bytes'] / time['median'] / 1e9:.4g} | {best[case_text(record)] / time['median']:.2f} |")
    return "\n".join(rows) + "\n"


def joules(folder):
    rows = ["| case | kernel | J per launch | random | systematic | idle share | power | FLOP per J of the window |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for record in records_of(folder):
        energy = record["energy"]
        if record["status"] != "ok" or energy.get("gross_j_per_launch") is None:
            continue
        name, shape = case_text(record)
        rows.append(f"| {name}: {shape} | {record['kernel']} | {energy['gross_j_per_launch']:.4g} | ± {100 * energy['random_error']:.2g} % | "
                    f"± {100 * energy['systematic_error']:.2g} % | {100 * energy['static_share']:.0f} % | {energy['power_w']:.0f} W | "
                    f"{record['work']['flop'] / energy['gross_j_per_launch'] / 1e9:.4g} G |")
    return "\n".join(rows) + "\n"


def fidelity(folders):
    """Times of targets played on another card beside the card itself; a difference above both intervals is the emulation's."""
    played, real = ({r["case_id"].rsplit("#", 1)[0]: r for r in records_of(folder) if r["status"] == "ok"}
                    for folder in folders.split(","))
    common = [key for key in played if key in real]
    if not common:
        sys.exit(f"error: {folders} have no ok case in common\n  fix: run the same suite with the same target in both")
    cards = [next(iter(records.values()))["device"]["name"] for records in (played, real)]
    target = real[common[0]]["target"]
    rows = [f"| case | kernel | {cards[0]} as {target} | {cards[1]} | played / real | SM clocks, MHz |",
            "| --- | --- | ---: | ---: | ---: | ---: |"]
    worst, middle = 0.0, []
    for key in common:
        a, b = played[key]["time_s"], real[key]["time_s"]
        ratio = a["median"] / played[key]["dilation"] / (b["median"] / real[key]["dilation"])
        worst = max(worst, abs(ratio - 1))
        middle.append(ratio)
        spread = [100 * (t["ci_high"] - t["ci_low"]) / 2 / t["median"] if t["ci_high"] else None for t in (a, b)]
        text = [f"{time_text(t['median'] / r['dilation'])}" + (f" ± {w:.2g} %" if w is not None else "")
                for t, r, w in ((a, played[key], spread[0]), (b, real[key], spread[1]))]
        name, shape = case_text(real[key])
        mhz = ", ".join(f"{r['provenance']['clocks']['sm_clock_hz']['median'] / 1e6:.0f}" for r in (played[key], real[key]))
        rows.append(f"| {name}: {shape} | {real[key]['kernel']} | {text[0]} | {text[1]} | {ratio:.3f} | {mhz} |")
    left_out = len(played.keys() | real.keys()) - len(common)
    rows += ["", f"{len(common)} cases, median {statistics.median(middle):.3f}, largest difference {100 * worst:.1f} %"
             + (f"; {left_out} more have no valid record on one of the two." if left_out else ".")]
    return "\n".join(rows) + "\n"


def scaled(value):
    for scale, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= max(scale, 1e4):
            return f"{value / scale:.4g}{letter}"
    return f"{value:.4g}"


def inputs_of(claim):
    """Sources by grade: published figures first, then what is assumed."""
    by_grade = collections.defaultdict(list)
    for entry in claim["inputs"]:
        by_grade[entry["grade"]].append(entry["source"].split(": ")[0])
    for entry in claim["assumptions"]:
        by_grade[entry["grade"]].append(f"{entry['key']} {entry['lo']:.3g} to {entry['hi']:.3g} ({entry['basis']})")
    parts = []
    for grade in sorted(by_grade):
        names = list(dict.fromkeys(by_grade[grade]))
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        parts.append(f"{grade}: " + "; ".join(names[:2]) + more)
    return ". ".join(parts)


def with_instead(claim):
    if not claim["what_if"]:
        return ""
    largest = max(claim["what_if"], key=lambda entry: abs(entry["change"]))
    return f"with {largest['with']}: {100 * largest['change']:+.1f} %"


def verdicts(names):
    """One row per published number. Failed claims are rows too: the exit code 3 says so and is expected."""
    chosen = [] if names == "all" else names.split(",")
    result = subprocess.run([program(), "claims", *chosen, "--format", "json"], cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode not in (0, 3):
        sys.exit(result.stderr)
    claims = json.loads(result.stdout)["claims"]
    rows = ["| claim | published | derived \\[5 %, 95 %\\] | verdict | inputs by grade | what matters most |", "| --- | ---: | ---: | --- | --- | --- |"]
    for claim in claims:
        for row in claim["rows"] or [None]:
            name = claim["statement"] + (f" ({row['row']})" if row and row["row"] else "")
            published = f"{scaled(row['published'])} {claim['unit']}" if row else ""
            derived = scaled(row["derived"]) + (f" \\[{scaled(row['p5'])}, {scaled(row['p95'])}\\]" if row["p5"] is not None else "") if row else ""
            verdict = row["verdict"] if row else f"{claim['verdict']}: {claim['reason']}"
            rows.append(f"| {name.replace('$', chr(92) + '$')} | {published} | {derived} | {verdict} | {inputs_of(claim)} | {with_instead(claim)} |")
    seeds = {claim["seed"] for claim in claims if claim["seed"] is not None}
    if seeds:
        rows += ["", f"Assumptions are drawn {max(c['draws'] or 0 for c in claims)} times, seed {', '.join(map(str, sorted(seeds)))}. Grades: A measured on the claimed "
                 "GPU, B on a sibling and capped, C published, D a prior or a fit; where D makes more than a third of the variance, no verdict is better "
                 "than CONSISTENT_BUT_WIDE."]
    return "\n".join(rows) + "\n"


def evidence(table):
    return lambda folder: table(gpu_evidence.Evidence(ROOT, folder))


TABLES = {"verdicts": verdicts, "fidelity": fidelity, "gpu": evidence(gpu_evidence.kernel_table), "suites": evidence(gpu_evidence.suite_table),
          "not_run": evidence(gpu_evidence.not_run), "ratios": ratios, "sweep": sweep, "rates": rates, "joules": joules}


def rendered(kind, path):
    if kind in TABLES:
        return TABLES[kind](path)
    if kind == "file":
        return "```text\n" + (ROOT / path).read_text(encoding="utf-8").rstrip() + "\n```\n"
    if kind == "report":
        command = [program(), "report", path, "--format", "markdown"]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            sys.exit(result.stderr)
        return result.stdout.rstrip() + "\n"
    sys.exit(f"error: README.md has a marker of unknown kind {kind}\n  fix: use report, file, {', '.join(TABLES)}")


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
