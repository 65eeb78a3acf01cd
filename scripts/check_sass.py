#!/usr/bin/env python3
"""Do the kernels for Hopper compile to what they were written as? Reads machine code, and what ptxas says in passing.

check_sass.py FILE..               objects or cubins: a table of what each kernel holds; rules are checked
check_sass.py --build DIR          the objects of each hopper source in DIR/compile_commands.json, with their own rules
    --messages                     compiles them again instead, to cubins with -Xptxas=-v, and checks what ptxas says
    --only TEXT                    those whose path holds TEXT
    --log FILE                     also what the build printed: the messages that need no -Xptxas=-v
Rules for every kernel: no local memory (LDL, STL), no stack frame, no HMMA (the path of older GPUs), nothing that ptxas
calls a serialised or ignored instruction. Rules of one source are in its comments, for kernels whose mangled name
contains the word; products that ptxas serialised show as more WARPGROUP:
    // sass: product_kernel HGMMA.n256>=4 UTMALDG>=2 WARPGROUP<=3
Needs no tool of the toolkit but nvcc, and that only with --messages.
Opcodes: the low 12 bits of each 16-byte instruction, seen by compiling one PTX instruction at a time (ptxas 13.0.88).
"""
import argparse
import json
import os
import re
import shlex
import struct
import subprocess
import sys
import tempfile

EM_CUDA = 190
OPCODES = {0x9F0: "HGMMA", 0xDF0: "HGMMA.rs", 0x9F3: "QGMMA", 0xDF3: "QGMMA.rs", 0x9C5: "WARPGROUP",
           0x9C8: "USETMAXREG", 0x5B4: "UTMALDG", 0x3B4: "UTMALDG", 0x3B5: "UTMASTG", 0x3B6: "UTMAREDG", 0x3BA: "UBLKCP", 0x844: "STSM",
           0x83B: "LDSM", 0x23C: "HMMA", 0x308: "MUFU", 0x983: "LDL", 0x387: "STL", 0x9A7: "SYNCS.ARRIVE",
           0x5A7: "SYNCS.PHASECHK"}
FORBIDDEN = ("LDL", "STL", "HMMA")
FRAME_SIZE, REGISTER_COUNT = 0x11, 0x2F  # attributes in .nv.info: (symbol, value)
# What ptxas only mentions: C75xx and C76xx say that wgmma is serialised or setmaxnreg ignored.
BAD_MESSAGE = re.compile(r"C7[56]\d\d|Potential Performance Loss|serializ|setmaxnreg.*ignored|"
                         r"[1-9]\d* bytes (stack frame|spill stores|spill loads|lmem)", re.IGNORECASE)


def cubins(data):
    """Each CUDA ELF image in the bytes of an object, a fatbin or a cubin."""
    at = -1
    while (at := data.find(b"\x7fELF\x02", at + 1)) >= 0:
        if len(data) >= at + 64 and struct.unpack_from("<H", data, at + 18)[0] == EM_CUDA:
            yield data[at:]


def sections(image):
    """name -> bytes; the symbol table's names in order as well."""
    table, = struct.unpack_from("<Q", image, 40)
    count, names_at = struct.unpack_from("<HH", image, 60)
    headers = [struct.unpack_from("<IIQQQQIIQQ", image, table + 64 * i) for i in range(count)]

    def text(section, offset):
        start = headers[section][4] + offset
        return image[start:image.index(b"\0", start)].decode()

    found = {}
    symbols = []
    for header in headers:
        found[text(names_at, header[0])] = image[header[4]:header[4] + header[5]]
        if header[1] == 2:  # SHT_SYMTAB
            for at in range(header[4], header[4] + header[5], 24):
                symbols.append(text(header[6], struct.unpack_from("<I", image, at)[0]))
    return found, symbols


def attributes(info, symbols):
    """(attribute, kernel) -> value, of those that are pairs of a symbol and a number."""
    values, at = {}, 0
    while at + 4 <= len(info):
        form, attribute, size = struct.unpack_from("<BBH", info, at)
        at += 4
        if form != 4:  # the value is in the header
            continue
        if size == 8:
            symbol, value = struct.unpack_from("<II", info, at)
            if symbol < len(symbols):
                values[attribute, symbols[symbol]] = value
        at += size
    return values


def counts(code):
    """Instructions by name; products also by width: HGMMA counts all, HGMMA.n256 those of that width."""
    result = {"instructions": len(code) // 16}
    for at in range(0, len(code) - 15, 16):
        word, = struct.unpack_from("<Q", code, at)
        name = OPCODES.get(word & 0xFFF)
        if name is None:
            continue
        names = [name]
        if "GMMA" in name:
            names = [name.split(".")[0], f"{name.split('.')[0]}.n{8 * ((word >> 53 & 127) + 1)}"]
            names += [name] if name.endswith(".rs") else []
        for each in names:
            result[each] = result.get(each, 0) + 1
    return result


def kernels(data):
    """mangled name -> counts, registers and frame."""
    found = {}
    for image in cubins(data):
        parts, symbols = sections(image)
        values = attributes(parts.get(".nv.info", b""), symbols)
        for name, code in parts.items():
            if not name.startswith(".text."):
                continue
            kernel = name[len(".text."):]
            found[kernel] = {**counts(code), "registers": values.get((REGISTER_COUNT, kernel)),
                             "frame": values.get((FRAME_SIZE, kernel), 0)}
    return found


def rules_of(source):
    """[(word, instruction, "<=" or ">=", limit)] from the comments of a source."""
    rules = []
    with open(source) as file:
        for line in file:
            match = re.match(r"\s*// sass: (\S+) (.*)", line)
            for name, sign, limit in re.findall(r"(\S+?)([<>]=)(\d+)", match.group(2)) if match else []:
                rules.append((match.group(1), name, sign, int(limit)))
    return rules


def complaints(found, rules):
    said = [] if found else ["there is no machine code"]
    for kernel, seen in found.items():
        said += [f"{kernel}: {seen[name]} {name}" for name in FORBIDDEN if seen.get(name)]
        if seen["frame"]:
            said.append(f"{kernel}: a stack frame of {seen['frame']} bytes")
    for word, name, sign, limit in rules:
        matching = [kernel for kernel in found if word in kernel]
        if not matching:
            said.append(f"there is no kernel named {word}")
        for kernel in matching:
            count = found[kernel].get(name, 0)
            if count < limit if sign == ">=" else count > limit:
                said.append(f"{kernel}: {count} {name}, where {sign} {limit} are meant")
    return said


def show(path, found):
    for kernel, seen in found.items():
        print(f"{os.path.basename(path)} {kernel}")
        print("  " + ", ".join(f"{name} {value}" for name, value in sorted(seen.items()) if value not in (0, None)))


def compile_again(entry, folder):
    """(cubin or None, what nvcc said)."""
    words = shlex.split(entry["command"])
    if os.path.basename(words[0]) == "ccache":
        words = words[1:]
    out = os.path.join(folder, "out.cubin")
    words[words.index("-o") + 1] = out
    words[words.index("-c")] = "-cubin"
    result = subprocess.run([*words, "-Xptxas=-v"], cwd=entry["directory"], capture_output=True, text=True)
    return (out if result.returncode == 0 else None), result.stdout + result.stderr


def is_hopper(path):
    """kernels/matmul/hopper.cu, kernels/common/cuda/hopper/product_wide.cu, and what tests have planted."""
    return re.search(r"/(kernels|planted)/(.*/)?hopper(/[^/]+|[^/]*)\.cu$", path) is not None


def machine_code(entry, messages):
    """(kernels, complaints) of one compile command."""
    if not messages:
        words = shlex.split(entry["command"])
        path = os.path.join(entry["directory"], words[words.index("-o") + 1])
        if not os.path.exists(path):
            return {}, [f"{path} was not built"]
        with open(path, "rb") as file:
            return kernels(file.read()), []
    with tempfile.TemporaryDirectory() as folder:
        cubin, text = compile_again(entry, folder)
        bad = [line.strip() for line in text.splitlines() if BAD_MESSAGE.search(line)]
        if not cubin:
            return {}, [*bad, "it does not compile: " + text[-2000:]]
        with open(cubin, "rb") as file:
            return kernels(file.read()), bad


def check_build(build, only, messages):
    with open(os.path.join(build, "compile_commands.json")) as file:
        entries = [entry for entry in json.load(file) if is_hopper(entry["file"]) and only in entry["file"]]
    said = [] if entries else [f"{build} has no hopper source"]
    for entry in entries:
        found, mine = machine_code(entry, messages)
        rules = rules_of(entry["file"])
        show(entry["file"], found)
        if found or rules:
            mine += complaints(found, rules)
        said += [f"{entry['file']}: {what}" for what in mine]
    return said


def check_files(paths):
    said = []
    for path in paths:
        with open(path, "rb") as file:
            found = kernels(file.read())
        show(path, found)
        said += [f"{path}: {what}" for what in complaints(found, [])]
    return said


def bad_lines(path):
    """What ptxas mentioned in a build's output and no kernel may be built with. Bring-up stages (tests/) may: their waits
    are bounded, which takes registers, and nobody times them."""
    bad, of_test = [], False
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if re.match(r"\[\d+/\d+\] ", line):
                of_test = re.search(r"Building CUDA object \S*\.dir/tests/", line) is not None
            elif BAD_MESSAGE.search(line) and not of_test:
                bad.append(f"{path}: {line.strip()}")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--build")
    parser.add_argument("--messages", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--log")
    flags = parser.parse_args()
    if bool(flags.files) == bool(flags.build):
        parser.error("name files, or a build folder with --build")
    said = check_build(flags.build, flags.only, flags.messages) if flags.build else check_files(flags.files)
    if flags.log:
        said += bad_lines(flags.log)
    for what in said:
        print("error:", what, file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
