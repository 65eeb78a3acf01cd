"""The program on a real GPU: a kernel that faults costs its own case, and the suite goes on. Skipped without one.

Usage: device_test.py CHOKEPOINT_FAULTY [DEVICE]
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77


def run(program, *words):
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "NO_COLOR": "1"})


def main(program, device="cuda:0"):
    if shutil.which("nvidia-smi") is None:
        print("no driver of an NVIDIA GPU here: skipped")
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        suite = os.path.join(folder, "faults.json")
        case = {"operation": "stream", "shape": {"elements": 100000, "pattern": "copy"}, "dtypes": ["f32"]}
        with open(suite, "w") as file:
            json.dump({"id": "faults", "summary": "made by a test", "device": device, "targets": ["host"],
                       "sampling": {"budget_s": 0.3, "half_width": 0.05, "confidence": 0.95, "warm_up_s": 0.1},
                       "cases": [{**case, "kernels": [kernel]} for kernel in ("cuda_simple", "cuda_faults")] +
                                [{**case, "shape": {"elements": 200000, "pattern": "copy"}, "kernels": ["cuda_simple"]}]},
                      file)
        result = run(program, "run", suite, "--out", os.path.join(folder, "out"))
        with open(os.path.join(folder, "out", "records.jsonl")) as file:
            records = [json.loads(line) for line in file]
    print(*(f"{r['kernel']} {r['shape']['elements']}: {r['status']} {r['reason']}" for r in records), sep="\n")
    statuses = [record["status"] for record in records]
    assert statuses == ["ok", "failed", "ok"], (statuses, result.stderr)
    assert "illegal" in records[1]["reason"], records[1]["reason"]
    assert result.returncode == 1, result.returncode
    return 0


sys.exit(main(*sys.argv[1:]))
