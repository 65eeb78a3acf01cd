"""Which GPU code does a program carry? Read from its section .nv_fatbin, without the toolkit's tools.
fatbin_test.py PROGRAM: it has to hold machine code for sm_90a and PTX for compute_80."""
import struct
import sys

MAGIC = 0xBA55ED50
PTX, ELF = 1, 2  # kinds of entries
ARCHITECTURE_SPECIFIC = 1 << 20  # set in an entry's flags for sm_90a, clear for sm_90: seen in what nvcc 13.0 writes


def section(program, wanted):
    """Bytes of an ELF64 section; none when there is no such section."""
    table, = struct.unpack_from("<Q", program, 40)
    count, names = struct.unpack_from("<HH", program, 60)
    headers = [struct.unpack_from("<IIQQQQIIQQ", program, table + 64 * i) for i in range(count)]
    for header in headers:
        start = headers[names][4] + header[0]
        if program[start:program.index(b"\0", start)] == wanted:
            return program[header[4]:header[4] + header[5]]
    return b""


def entries(fatbin):
    """(kind, architecture, is architecture-specific) of each entry; containers begin at multiples of 8 bytes."""
    at = 0
    while at + 16 <= len(fatbin):
        magic, _, header, size = struct.unpack_from("<IHHQ", fatbin, at)
        if magic != MAGIC:
            at += 8
            continue
        entry, at = at + header, at + header + size
        while entry < at:
            kind, _, header, size = struct.unpack_from("<HHIQ", fatbin, entry)
            architecture, = struct.unpack_from("<I", fatbin, entry + 28)
            flags, = struct.unpack_from("<Q", fatbin, entry + 40)
            yield kind, architecture, bool(flags & ARCHITECTURE_SPECIFIC)
            entry += header + size


with open(sys.argv[1], "rb") as file:
    found = sorted(set(entries(section(file.read(), b".nv_fatbin"))))
missing = [text for text, entry in {"machine code for sm_90a": (ELF, 90, True),
                                    "PTX for compute_80": (PTX, 80, False)}.items() if entry not in found]
print("found (kind, architecture, architecture-specific):", found)
sys.exit(f"no {' and no '.join(missing)} in {sys.argv[1]}" if missing else 0)
