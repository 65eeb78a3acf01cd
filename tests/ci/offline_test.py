#!/usr/bin/env python3
"""scripts/prepare_offline.sh with tools that only pretend: what travels, what does not, and what is refused.

Usage: offline_test.py SOURCE_DIR
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.path.abspath(sys.argv.pop(1))
PROGRAMS = ["chokepoint", "hopper_stages", "chokepoint-faulty"]
TOOLS = {  # what each prints or makes in the checkout, which is the working directory
    "nvcc": "exit 0", "dpkg-query": "echo install ok installed",
    "cmake": 'echo "$*" >>cmake.log; mkdir -p build/cuda; cp cache build/cuda/CMakeCache.txt; '
             'for name in chokepoint hopper_stages chokepoint-faulty; do head -c ${SIZE:-1000} /dev/zero >build/cuda/$name; done',
    "strip": 'cp "$3" "$2"', "ldd": "cat needed", "dpkg": "cat packaged", "readelf": "cat versions",
}


class Offline(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="chokepoint_offline.")
        self.addCleanup(shutil.rmtree, self.folder, True)
        shutil.copytree(f"{SOURCE}/scripts", f"{self.folder}/scripts")
        for name, text in TOOLS.items():
            self.write(f"bin/{name}", f"#!/usr/bin/env bash\n{text}\n")
            os.chmod(f"{self.folder}/bin/{name}", 0o755)
        for name in ("libhwy.so.1.0.3", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1", "lib/libfmt.so.9.1", "cudnn/cudnn_graph.h",
                     "cudnn/other.h", "lib/cmake/fmt/fmt-config.cmake", "doc/fmt"):
            self.write(f"system/{name}", name)
        os.symlink("libfmt.so.9.1", f"{self.folder}/system/lib/libfmt.so")
        self.write("needed", "".join(f"\t{name} => {self.folder}/system/{name} (0x1)\n" for name in
                                     ("libhwy.so.1.0.3", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1")) + "\tlinux-vdso.so.1 (0x2)\n")
        self.header = next(path for path in ("/usr/include/fmt/format.h", "/usr/include/stdio.h") if os.path.exists(path))
        self.write("packaged", "/.\n" + "".join(f"{path}\n" for path in (
            self.header, *(f"{self.folder}/system/{name}" for name in ("lib/libfmt.so", "lib/cmake/fmt/fmt-config.cmake", "doc/fmt")))))
        self.write("cache", f"CUDNN_INCLUDE_DIR:PATH={self.folder}/system/cudnn\n")
        self.write("versions", "  0x0010:   Name: GLIBC_2.34  Flags: none  Version: 2\n")
        for words in (("init", "--quiet"), ("add", "scripts"), ("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "x")):
            subprocess.run(["git", "-C", self.folder, *words], check=True, capture_output=True)

    def write(self, name, text):
        os.makedirs(os.path.dirname(f"{self.folder}/{name}"), exist_ok=True)
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    def prepare(self, *flags, **env):
        return subprocess.run(["bash", f"{self.folder}/scripts/prepare_offline.sh", *flags], text=True, capture_output=True, timeout=60,
                              cwd=self.folder, env={**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}", **env})

    def refused(self, result, text, code):
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertIn(text, result.stderr)
        self.assertIn("  fix: ", result.stderr)

    def test_programs_the_libraries_they_need_and_what_building_takes_travel(self):
        result = self.prepare()
        self.assertEqual(result.returncode, 0, result.stderr)
        offline = f"{self.folder}/offline"
        self.assertEqual(sorted(os.listdir(offline)), sorted([*PROGRAMS, "deps", "lib", "version"]))
        self.assertEqual(os.listdir(f"{offline}/lib"), ["libhwy.so.1.0.3"])
        deps = [os.path.relpath(os.path.join(at, name), f"{offline}/deps").replace(self.folder.lstrip("/") + "/", "")
                for at, _, names in os.walk(f"{offline}/deps") for name in names]
        self.assertEqual(sorted(deps), sorted([self.header.removeprefix("/usr/"), "include/cudnn_graph.h", "system/lib/libfmt.so",
                                               "system/lib/libfmt.so.9.1", "system/lib/cmake/fmt/fmt-config.cmake"]))
        head = subprocess.run(["git", "-C", self.folder, "describe", "--always", "--abbrev=12"], capture_output=True, text=True, check=True)
        with open(f"{offline}/version", encoding="utf-8") as file:
            self.assertEqual(file.read().strip().removesuffix("-dirty"), head.stdout.strip())
        with open(f"{self.folder}/cmake.log", encoding="utf-8") as file:
            self.assertIn("-DPORTABLE=ON", file.readline())
            self.assertIn(f"--target {' '.join(PROGRAMS)}", file.readline())

    def test_a_folder_above_the_limit_is_refused(self):
        self.assertEqual(self.prepare(SIZE=str(17 << 20)).returncode, 0)  # three programs
        self.refused(self.prepare(SIZE=str(21 << 20)), "above the 60 that travel", 1)

    def test_a_program_that_needs_the_machines_libstdcxx_is_refused(self):
        self.write("versions", "  0x0010:   Name: GLIBCXX_3.4.30  Flags: none  Version: 2\n")
        self.refused(self.prepare(), "needs the libstdc++ of the machine", 1)

    def test_a_folder_of_somebody_else_is_left_alone(self):
        self.write("mine/file", "x")
        self.refused(self.prepare("mine"), "was not made by this script", 2)
        self.assertEqual(os.listdir(f"{self.folder}/mine"), ["file"])
        self.assertFalse(os.path.exists(f"{self.folder}/cmake.log"), "built before it looked")


if __name__ == "__main__":
    unittest.main()
