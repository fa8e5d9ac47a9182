"""house_test.py - the rules of the tree that a compiler does not check: layers, format, names."""

import pathlib
import re
import shutil
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"

STAGES = ["decode", "features", "duplicate", "influence", "decide"]
SERVICES = ["wire", "spool", "watch", "ingest", "egress"]
BASE = ["status", "arena", "rng", "quantile", "bytes", "nearest"]
SHARED = ["record", "log", "ring", "job", "fault", "counters"]  # between the services

# Foreign headers and who may include them; what is not named here is nobody's.
FOREIGN = {
    "protobuf-c": ["decode", "record", "wire", "command"],
    "sluice/v1/": ["decode", "record", "wire", "command"],
    "xxhash.h": ["features", "duplicate", "decide", "wire", "spool", "ingest", "egress", "job", "watch", "command"],
    "utf8proc.h": ["features"],
    "cblas.h": ["influence"],
    "lapacke.h": ["influence"],
    "libfyaml.h": ["config"],
    "lua.h": ["decide"],
    "lauxlib.h": ["decide"],
    "lualib.h": ["decide"],
    "lmdb.h": ["spool"],
    "zmq.h": ["wire", "ingest", "egress", "pipeline", "command"],
    "jansson.h": ["record", "watch", "command"],
    "microhttpd.h": ["watch"],
    "zlib.h": ["command"],
    "archive.h": ["command"],
    "archive_entry.h": ["command"],
    "spng.h": ["features"],
    "turbojpeg.h": ["features", "command"],
    "webp/": ["features"],
    "zstd.h": ["command"],
    "pthread.h": ["ring", "pipeline", "command"],
    "immintrin.h": ["features", "duplicate"],
    "emmintrin.h": ["features", "duplicate"],
}
LIBC = re.compile(
    r"^(assert|ctype|dirent|getopt|errno|fcntl|float|inttypes|limits|link|locale|math|netdb|poll|signal|stdalign|stdarg|stdatomic"
    r"|stdbool|stddef|stdint|stdio|stdlib|string|strings|time|unistd|sched|sys/[a-z]+|linux/[a-z]+)\.h$"
)
# libsluice: no sockets, files, threads, clock
FORBIDDEN_IN_LIBRARY = re.compile(r"^(netdb|poll|signal|fcntl|unistd|dirent|pthread|time|sys/(?!mman)[a-z]+)\.h$|^(zmq|lmdb)\.h$")


def unit_of(path):
    """The folder of a file below src, or its name where it lies at the top."""
    relative = path.relative_to(SRC)
    return relative.parts[0] if len(relative.parts) > 1 else re.sub(r"_.*", "", relative.stem)


def layer_of(unit):
    if unit in BASE:
        return 0
    if unit in STAGES:
        return 1
    if unit in ("engine", "config"):
        return 2
    if unit in SERVICES or unit in SHARED:
        return 3
    if unit in ("pipeline", "store"):
        return 4
    return 5  # command, main


def allowed(unit, included):
    """Whether a file of `unit` may include a header of `included`."""
    if included == unit or included in BASE:
        return True
    if layer_of(unit) <= 0:
        return False
    if layer_of(unit) == 1:
        return (unit, included) in {("duplicate", "features"), ("decode", "features")}
    if layer_of(unit) == 3:
        if included in SHARED:
            return True
        if unit in SHARED:
            return included in ("spool", "wire", "decode")
        if (unit, included) == ("wire", "decode"):  # one bounded unpack for samples and sessions
            return True
        if unit == "watch" and included in ("spool", "decode", "duplicate", "features"):  # it reads the log
            return True
        return unit in ("ingest", "egress") and included in ("wire", "spool")
    return layer_of(included) < layer_of(unit) or {unit, included} <= {"pipeline", "store"} or included == "command"


def sources():
    return sorted(p for p in SRC.rglob("*.[ch]") if "python" not in p.parts)


class House(unittest.TestCase):
    def test_includes_follow_the_layers(self):
        faults = []
        for path in sources():
            unit = unit_of(path)
            for line in path.read_text().splitlines():
                own = re.match(r'#include "([^"]+)"', line)
                foreign = re.match(r"#include <([^>]+)>", line)
                if own and not own[1].startswith("sluice/"):
                    header = SRC / own[1] if (SRC / own[1]).exists() else path.parent / own[1]
                    if not allowed(unit, unit_of(header)):
                        faults.append(f"{path.relative_to(ROOT)}: {own[1]}")
                name = foreign[1] if foreign else own[1] if own and own[1].startswith("sluice/v1/") else None
                if name is None:
                    continue
                if layer_of(unit) <= 2 and FORBIDDEN_IN_LIBRARY.match(name):
                    faults.append(f"{path.relative_to(ROOT)}: <{name}> in the library")
                users = next((u for prefix, u in FOREIGN.items() if name.startswith(prefix)), None)
                if users is not None and unit not in users:
                    faults.append(f"{path.relative_to(ROOT)}: <{name}>")
                if users is None and not LIBC.match(name):
                    faults.append(f"{path.relative_to(ROOT)}: <{name}> is in no list")
        self.assertEqual(faults, [])

    @unittest.skipUnless(shutil.which("clang-format-14"), "clang-format-14 is not installed")
    def test_format_is_that_of_clang_format(self):
        files = [str(p) for folder in ("include", "src", "tests") for p in (ROOT / folder).rglob("*.[ch]")]
        done = subprocess.run(["clang-format-14", "--dry-run", "-Werror", *files], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr[:2000])

    def test_files_say_their_one_job_in_line_one(self):
        for path in sources():
            first = path.read_text().splitlines()[0]
            self.assertTrue(first.startswith(f"/* {path.name} - "), f"{path}: {first}")

    def test_no_two_headers_share_a_guard(self):
        """Else whoever includes both gets only the first, without a word."""
        guards = {}
        for path in sources():
            guard = re.search(r"^#ifndef (SL_\w+_H|SLUICE_\w+_H)$", path.read_text(), re.M)
            if path.suffix == ".h" and guard:
                guards.setdefault(guard[1], []).append(str(path.relative_to(ROOT)))
        self.assertEqual([files for files in guards.values() if len(files) > 1], [])

    def test_files_and_functions_stay_small(self):
        faults = []
        for path in sources():
            lines = path.read_text().splitlines()
            if len(lines) > 600:
                faults.append(f"{path.relative_to(ROOT)}: {len(lines)} lines")
            start = None
            for number, line in enumerate(lines, 1):
                if line.startswith("{"):
                    start = number
                if line.startswith("}") and start is not None:
                    reason = "exceeds 70 lines" in "\n".join(lines[max(0, start - 12) : start])
                    if path.suffix == ".c" and number - start - 1 > 70 and not reason:
                        faults.append(f"{path.relative_to(ROOT)}:{start}: {number - start - 1} lines")
                    start = None
        self.assertEqual(faults, [])

    def test_public_symbols_are_ours(self):
        library = next(iter(sorted(ROOT.glob("build/*/libsluice.a"))), None)
        if library is None:
            self.skipTest("the library is not built")
        listed = subprocess.run(["nm", "-g", "--defined-only", str(library)], capture_output=True, text=True).stdout
        names = [line.split()[2] for line in listed.splitlines() if len(line.split()) == 3]
        self.assertTrue(names)
        ours = ("sluice_", "sl_", "__asan", "__odr_asan", "__ubsan", "___asan")
        self.assertEqual([name for name in names if not name.startswith(ours)], [])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
