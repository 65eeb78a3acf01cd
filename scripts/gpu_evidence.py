"""What do the folders under results/ say has run on a GPU, and what has not? Used by render_readme.py."""
import collections
import json
import pathlib
import re

# Files of a results folder: verify.txt (verify_all over tests/device/*.txt), sanitizer.txt (compute-sanitizer over
# tests/device/sanitizer.list), ptx*.txt (the same list with CUDA_FORCE_PTX_JIT=1), bringup.txt. Lines of the last runs
# name their case; where they do not, FOLDER-cases/sanitizer.list says which they were, in order.
NAMED = re.compile(r"^ok +(\S+ \S+ \S+ \S+): error")
UNNAMED = re.compile(r"^ok\terror")


def case_lines(path):
    """Cases of a list: "operation kernel dtype shape", comments left out."""
    lines = (" ".join(line.split("#")[0].split()) for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def kernel_of(case):
    return tuple(case.split()[:2])


class Evidence:
    """All that results/ of the checkout `root` says; paths are relative to it."""

    def __init__(self, root, folder="results"):
        self.root = pathlib.Path(root)
        self.folders = sorted(path for path in (self.root / folder).iterdir() if path.is_dir())
        self.cases = [case for path in sorted((self.root / "tests/device").glob("*.txt")) for case in case_lines(path)]
        self.sanitizer_cases = case_lines(self.root / "tests/device/sanitizer.list")
        self.records = collections.defaultdict(list)  # by folder, of GPUs alone
        for path in self.folders:
            if (path / "records.jsonl").is_file():
                lines = (path / "records.jsonl").read_text(encoding="utf-8").splitlines()
                found = [record for record in map(json.loads, lines) if record["device"]["kind"] == "cuda"]
                if found:
                    self.records[path] = found

    def kernels(self):
        """(operation, kernel) of every kernel for a GPU, from the sources: a build without CUDA knows none of them."""
        for source in sorted((self.root / "kernels").glob("*/*.cu")):
            if "Register<Kernel>" in source.read_text(encoding="utf-8"):
                yield source.parent.name, source.stem

    def cards(self):
        return sorted({record["device"]["name"] for records in self.records.values() for record in records})

    def card(self, folder):
        """The GPU of a folder of checks, as summary.txt or calibrate.txt of that folder name it."""
        for name in ("summary.txt", "calibrate.txt"):
            if (folder / name).is_file():
                found = re.search(r"^(?:gpu|cuda:\d+): (.+)$", (folder / name).read_text(encoding="utf-8"), re.MULTILINE)
                if found:
                    return found.group(1).strip()
        raise SystemExit(f"error: {folder} does not say on which GPU it was made\n  fix: add calibrate.txt or summary.txt of that run")

    def build(self, folder):
        """The commit that verify_all of a folder of checks was built from."""
        for name in ("summary.txt", "README.md"):
            if (folder / name).is_file():
                found = re.search(r"\b[Bb]uild ([0-9a-f]{7,40}(?:-dirty)?)", (folder / name).read_text(encoding="utf-8"))
                if found:
                    return found.group(1)
        return "unknown"

    def verified(self):
        """case -> folders whose verify.txt has it right."""
        right = collections.defaultdict(list)
        for folder in self.folders:
            if (folder / "verify.txt").is_file():
                for line in (folder / "verify.txt").read_text(encoding="utf-8").splitlines():
                    found = NAMED.match(line)
                    if found:
                        right[found.group(1)].append(folder)
        return right

    def sections(self, folder, text):
        """(heading, cases that were right, whole text) of each run of the sanitizer's list in `text`."""
        names = next((case_lines(path) for path in (folder / "sanitizer.list", folder.with_name(folder.name + "-cases") / "sanitizer.list")
                      if path.is_file()), [])
        for part in re.split(r"\n\s*\n", text):
            heading, _, rest = part.strip().partition("\n")
            cases, unnamed = [], iter(names)
            for line in rest.splitlines():
                if NAMED.match(line):
                    cases.append(NAMED.match(line).group(1))
                elif UNNAMED.match(line):
                    cases.append(next(unnamed, None))
            yield heading, [case for case in cases if case], rest

    def sanitized(self):
        """case -> folders in which memcheck and racecheck both ran it and found nothing."""
        clean = collections.defaultdict(list)
        for folder in self.folders:
            if not (folder / "sanitizer.txt").is_file():
                continue
            by_tool = {}
            for heading, cases, rest in self.sections(folder, (folder / "sanitizer.txt").read_text(encoding="utf-8")):
                tool = re.match(r"compute-sanitizer --tool (memcheck|racecheck)", heading)
                if tool and re.search(r"SUMMARY: 0 (errors|hazards)", rest):
                    by_tool[tool.group(1)] = set(cases)
            for case in by_tool.get("memcheck", set()) & by_tool.get("racecheck", set()):
                clean[case].append(folder)
        return clean

    def by_ptx(self):
        """case -> folders in which the PTX for older cards, compiled by the driver, had it right."""
        right = collections.defaultdict(list)
        for folder in self.folders:
            for path in sorted(folder.glob("ptx*.txt")):
                for heading, cases, _ in self.sections(folder, path.read_text(encoding="utf-8")):
                    if "CUDA_FORCE_PTX_JIT=1" in heading:
                        for case in cases:
                            right[case].append(folder)
        return right


def share(cases, right, evidence):
    """"5 of 7 on NVIDIA H100 80GB HBM3; ..." of `cases`; "none of 7" where no card had one right."""
    by_card = collections.defaultdict(set)
    for case in cases:
        for folder in right.get(case, []):
            by_card[evidence.card(folder)].add(case)
    if not cases:
        return ""
    if not by_card:
        return f"**none** of {len(cases)}"
    return "; ".join(f"{len(found)} of {len(cases)} on {card}" for card, found in sorted(by_card.items()))


def record_columns(records):
    ran = [r for r in records if r["status"] in ("ok", "invalid")]
    devices = ", ".join(sorted({r["device"]["name"] for r in ran})) or "no GPU yet"
    counts = collections.Counter(r["status"] for r in records)
    outcome = ", ".join(f"{counts[s]} {s}" for s in ("ok", "invalid", "failed", "unsupported") if counts[s])
    errors = [r["verification"]["row_error"] / r["verification"]["tolerance"] for r in ran
              if r["verification"] and r["verification"].get("row_error") is not None and r["verification"]["tolerance"] > 0]
    return f"{devices} | {outcome} | {f'{max(errors):.2f}' if errors else ''}"


def kernel_table(evidence):
    """Per kernel: cards, outcomes and largest error of its records, and its cases of tests/device that were right."""
    records = collections.defaultdict(list)
    for found in evidence.records.values():
        for record in found:
            records[record["operation"], record["kernel"]].append(record)
    verified, sanitized = evidence.verified(), evidence.sanitized()
    rows = ["| operation | kernel | records on | outcomes | largest error / tolerance | right in `tests/device/` | clean under compute-sanitizer |",
            "| --- | --- | --- | --- | ---: | --- | --- |"]
    for key in evidence.kernels():
        cases, checked = ([case for case in known if kernel_of(case) == key] for known in (evidence.cases, evidence.sanitizer_cases))
        rows.append(f"| {' | '.join(key)} | {record_columns(records[key])} | {share(cases, verified, evidence)} | "
                    f"{share(checked, sanitized, evidence)} |")
    folders = sorted({folder for found in verified.values() for folder in found})
    builds = "; ".join(f"{evidence.card(folder)} as built from {evidence.build(folder)}" for folder in folders)
    right, clean = (sum(case in seen for case in known) for known, seen in
                    ((evidence.cases, verified), (evidence.sanitizer_cases, sanitized)))
    ptx = [case for case in evidence.sanitizer_cases if kernel_of(case)[1] != "hopper"]
    rows += ["", f"{right} of the {len(evidence.cases)} cases of `tests/device/` were right on a GPU ({builds}), {clean} of the {len(evidence.sanitizer_cases)} of its "
             f"`sanitizer.list` clean under memcheck and racecheck. The PTX for other cards, compiled by the driver, had {sum(case in evidence.by_ptx() for case in ptx)} of {len(ptx)} right."]
    return "\n".join(rows) + "\n"


def suite_table(evidence):
    """Per suite and card: the build, what was played, and how the records came out."""
    rows = ["| suite | card | build | targets | records |", "| --- | --- | --- | --- | --- |"]
    for folder, records in sorted(evidence.records.items(), key=lambda item: (item[1][0]["provenance"]["suite"], item[0])):
        counts = collections.Counter(record["status"] for record in records)
        name, card = records[0]["provenance"]["suite"], records[0]["device"]["name"]
        builds = ", ".join(sorted({record["provenance"]["git"] for record in records}))
        targets = list(dict.fromkeys(record["target"] for record in records))
        shown = ", ".join(targets[:2]) + (f" and {len(targets) - 2} more" if len(targets) > 2 else "")
        outcome = ", ".join(f"{counts[s]} {s}" for s in ("ok", "invalid", "failed", "unsupported") if counts[s])
        rows.append(f"| {name} | {card} | {builds} | {shown} | [{outcome}]({folder.relative_to(evidence.root)}) |")
    return "\n".join(rows) + "\n"


def plural(count, word):
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def mechanisms(evidence):
    """Ways in which caps act on a GPU, from the sources."""
    found = set()
    for source in (evidence.root / "harness/caps/cuda").glob("*.cpp"):
        found |= set(re.findall(r'\.mechanism = "([^"]+)"', source.read_text(encoding="utf-8")))
    return found


def not_run(evidence):
    """What has no evidence yet. An item leaves this list when a file under results/ speaks of it, not before."""
    records = [record for found in evidence.records.values() for record in found]
    seen = set().union(*(set(record["provenance"]) for record in records)) if records else set()
    verified, sanitized = evidence.verified(), evidence.sanitized()
    items = []
    for operation, kernel in evidence.kernels():
        cases = [case for case in evidence.cases if kernel_of(case) == (operation, kernel)]
        if not any(case in verified for case in cases):
            items.append(f"`{operation}` by `{kernel}`: any of its {plural(len(cases), 'case')}")
        else:
            missing = [case for case in cases if case not in verified]
            if missing:
                items.append(f"`{operation}` by `{kernel}`: {plural(len(missing), 'case')} of {len(cases)}")
    unclean = [case for case in evidence.sanitizer_cases if case not in sanitized]
    if unclean:
        items.append(f"{len(unclean)} of {len(evidence.sanitizer_cases)} cases under compute-sanitizer "
                     f"({', '.join(dict.fromkeys(' by '.join(kernel_of(case)) for case in unclean))})")
    stages = [path.read_text(encoding="utf-8") for folder in evidence.folders for path in folder.glob("bringup.txt")]
    if not any(re.search(r"^ok +S\d", text, re.MULTILINE) for text in stages):
        items.append("the bring-up stages of Hopper's instructions (`hopper_stages`)")
    if "configuration" not in seen and not any(folder.name.endswith("_tune") for folder in evidence.folders):
        items.append("`tune`, and launches that `configs/tuning` chose")
    if "wire_multiprocessors" not in seen:
        items.append("a wire with SMs of its own beside products")
    unused = sorted(mechanisms(evidence) - {cap["mechanism"] for record in records for cap in record["caps"]})
    if unused:
        items.append(f"in a suite's records, caps by {' and by '.join(unused)}; calibrate.txt has probes of them")
    if "privileged" not in seen:
        items.append("the root-only knobs (`--allow-privileged`)")
    cards = evidence.cards()
    items.append(f"cards other than {' and '.join(cards)}" if cards else "any card")
    items.append("more than one card: peers are played on one")
    return "\n".join(f"- {item}" for item in items) + "\n"
