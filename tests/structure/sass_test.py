"""Do the kernels for Hopper compile to what they were written as, and would scripts/check_sass.py notice if not?
sass_test.py SOURCE_DIR BUILD_DIR: planted faults have to fail, then the build's own kernels have to pass. Skipped (77)
where nvcc is not there."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

source, build = sys.argv[1:]
script = os.path.join(source, "scripts", "check_sass.py")
with open(os.path.join(build, "compile_commands.json")) as file:
    entries = [entry for entry in json.load(file) if entry["file"].endswith("/hopper/product_low.cu")]
if not entries or shutil.which(entries[0]["command"].split()[0]) is None:
    print("no nvcc, or a build without CUDA: skipped")
    sys.exit(77)


def check(*words):
    result = subprocess.run([sys.executable, "-B", script, *words], capture_output=True, text=True)
    print(result.stdout, result.stderr, sep="")
    return result


def check_planted(name, extra=(), drop=()):
    """The planted source, compiled with the flags of the build."""
    path = os.path.join(source, "tests", "structure", "planted", name)
    command = entries[0]["command"].replace(entries[0]["file"], path)
    for word in drop:
        command = command.replace(word, "")
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "compile_commands.json"), "w") as file:
            json.dump([{**entries[0], "file": path, "command": " ".join([command, *extra])}], file)
        return check("--build", folder, "--messages")


# With the build's flags a spill does not compile; without them the machine code shows it.
strict = check_planted("hopper_spills.cu")
assert strict.returncode == 1 and "does not compile" in strict.stderr, "a planted spill was compiled"
loose = check_planted("hopper_spills.cu", drop=["-Xptxas=-Werror"])
assert loose.returncode == 1 and " STL" in loose.stderr and " LDL" in loose.stderr, "a planted spill was not noticed"
serialised = check_planted("hopper_serialised.cu", drop=["-Xptxas=-Werror"])
assert serialised.returncode == 1 and "serializ" in serialised.stderr, "serialised products were not noticed"
with tempfile.NamedTemporaryFile("w", suffix=".log") as log:  # as a build would have printed it
    log.write(serialised.stderr)
    log.flush()
    told = check("--build", build, "--only", "hopper/product_low", "--log", log.name)
assert told.returncode == 1 and log.name in told.stderr, "a build's own message was not noticed"
with tempfile.NamedTemporaryFile("w", suffix=".log") as log:  # bring-up stages are not timed, what comes after them is
    stages = "[1/2] Building CUDA object CMakeFiles/hopper_stages.dir/tests/device/hopper_stages.cu.o\n"
    kernels = "[2/2] Building CUDA object CMakeFiles/kernels_matmul_hopper.dir/kernels/matmul/hopper.cu.o\n"
    log.write(stages + serialised.stderr + kernels)
    log.flush()
    assert check("--build", build, "--only", "hopper/product_low", "--log", log.name).returncode == 0, "a bring-up stage was blamed"
    log.write(serialised.stderr)
    log.flush()
    assert check("--build", build, "--only", "hopper/product_low", "--log", log.name).returncode == 1, "a kernel went unnoticed"
assert check("--build", build, "--messages").returncode == 0, "a kernel is not what it was written as"
