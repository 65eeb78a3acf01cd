"""The program with CUDA inside on a machine without a GPU's driver: it starts, says what is missing and what to do, and
refuses politely. Skipped where a driver is.

Usage: no_driver_test.py SOURCE_DIR CHOKEPOINT
"""
import ctypes
import json
import os
import subprocess
import sys
import tempfile

SKIPPED = 77
source, program = sys.argv[1:]
MISSING = "no NVIDIA driver is loaded, and this build needs one for CUDA "
REMEDY = "install the NVIDIA driver, or start the container with the GPU"


def run(*words, code):
    result = subprocess.run([program, *words], capture_output=True, text=True, timeout=60,
                            env={**os.environ, "NO_COLOR": "1", "CHOKEPOINT_CONFIGS": f"{source}/configs"})
    assert result.returncode == code, (words, result.returncode, result.stdout, result.stderr)
    return result


def refused(*words):
    """One line of error and one with the remedy, and nothing else that looks like a fault."""
    result = run(*words, code=1)
    lines = [line for line in result.stderr.splitlines() if line]
    assert lines[-2].startswith(f"error: {MISSING}") and lines[-1].startswith(f"  fix: {REMEDY}"), result.stderr
    assert "error" not in result.stdout, result.stdout


try:
    ctypes.CDLL("libcuda.so.1")
    print("a driver is here: skipped")
    sys.exit(SKIPPED)
except OSError:
    pass

doctor = json.loads(run("doctor", "--json", code=0).stdout)
assert doctor["cuda"].startswith(MISSING) and REMEDY in doctor["cuda"], doctor["cuda"]
needs = {kernel["kernel"]: kernel["needs"] for kernel in json.loads(run("list", "kernels", "--json", code=0).stdout)}
assert needs["matmul/hopper"] == "sm_90a only" and needs["matmul/cuda_simple"] == "sm_80+" and needs["matmul/cpu_native"] == "", needs
for operation in ("attention", "matmul", "moe_layer", "tp_block", "rms_norm", "stream", "loopback"):
    assert f"{operation}/cuda_simple" in needs, operation
refused("verify_all", f"{source}/tests/device/stream.txt", "--device", "cuda:0")
refused("calibrate", "--device", "cuda:0")
with tempfile.NamedTemporaryFile("w", suffix=".txt") as cases:  # the CPU's side is as it was
    cases.write("stream cpu_native f32 elements=1000,pattern=copy\n")
    cases.flush()
    assert run("verify_all", cases.name, "--device", "cpu", code=0).stdout.startswith("ok "), "the CPU does not run"
