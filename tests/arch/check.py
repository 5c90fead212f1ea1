#!/usr/bin/env python3
"""The invariants of docs/architecture.md that a build can see.

Each check is a function that yields sentences about violations. What it looks at are the
compiler's own dependency files, the symbols of plain -O2 objects, and the sources; calls through
function pointers escape symbol lists, so hot files have none.
"""
import argparse
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

# Who may include and call whom: the left may use what is listed, and itself.
LAYERS = {
    "resolver": [],
    "preload": ["resolver"],
    "daemon": ["resolver"],
    "cli": ["resolver"],
}

# The daemon's stations in the order of its data flow: a file may call only files of its own row and
# of rows above it.
DAEMON_ORDER = [
    ["log", "counters", "timers", "loop", "notify", "cidr", "value", "watch",
     "section"],
    ["config", "config_check", "config_draft", "config_ini", "config_print", "option"],
    ["list", "list_json"],
    ["table", "table_poll"],
    ["given"],
    ["state", "publish", "runtime", "reports", "privilege", "inherit"],
    ["publisher", "saver"],
    ["upstream/*"],
    ["health/*"],
    ["discovery/*", "dns/*", "http/*"],
    ["daemon"],
    ["main"],
]

# A library's headers, and the one door by which each enters.
DOORS = {
    "/curl/": ["daemon/discovery/fetch.c"],
    "/microhttpd.h": ["daemon/http/http.c"],
    "/ini.h": ["daemon/config_ini.c"],
    "/json-c/": ["daemon/http/json.c", "daemon/list_json.c", "cli/story.c"],
    "/ares.h": ["daemon/upstream/channel.c"],
}

# Objects below the hot paths, and the only symbols of libc they may ask for. None of these
# allocates, locks, prints or calls the kernel.
HOT = {
    "DNS answers": [f"daemon/dns/{name}.o" for name in (
        "wire", "query", "host", "subject", "target", "choice", "reply", "srv", "https", "ptr", "txt",
        "answer", "frame", "rate")],
    "DNS forwarding": [f"daemon/dns/{name}.o" for name in (
        "message", "cache", "ring", "siphash", "question", "ranking", "probe")] + [
        "daemon/upstream/envelope.o"],
    "look-ups of readers": [f"resolver/{name}.o" for name in ("address", "name", "image", "pick")],
    "decisions of the preload library": ["preload/decide.o", "preload/attempt.o", "preload/names.o",
                                         "preload/recent.o"],
}
HOT_LIBC = {"memcpy", "memcmp", "memset", "memchr", "memmove", "strlen", "strnlen", "strcspn",
            "strncat", "strncmp", "inet_pton", "inet_ntop", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}

FILE_LINES = 700
FUNCTION_LINES = 100


def lines_of(*command):
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout.splitlines()


class Tree:
    """The sources, and what the build made of them."""

    def __init__(self, top, build):
        self.top, self.build = top, build
        self.table = defaultdict(lambda: (set(), set()))
        self.sources = sorted(p.relative_to(top) for d in LAYERS for p in (top / d).rglob("*.[ch]"))
        self.objects = sorted(p.relative_to(build) for d in LAYERS
                              for p in (build / d).rglob("*.o")
                              if (top / p.relative_to(build)).with_suffix(".c").exists())

    def includes(self, obj):
        """Every file that the compiler read for an object."""
        text = (self.build / obj).with_suffix(".d").read_text().replace("\\\n", " ")
        return text.split("\n", 1)[0].split(":", 1)[1].split()

    def symbols(self, obj):
        """(defined, undefined) global symbols of an object."""
        if not self.table:
            self.read_symbols()
        return self.table[str(obj)]

    def read_symbols(self):
        """All objects by one readelf: hundreds of them would take longer than the build. Not by nm,
        which reads what is kept for the linker's optimizer instead: malloc() is not listed there."""
        pair = None
        for line in lines_of("readelf", "-sW", *(self.build / obj for obj in self.objects)):
            words = line.split()
            if words[:1] == ["File:"]:
                pair = self.table[str(Path(words[1]).relative_to(self.build))]
            elif len(words) == 8 and words[4] in ("GLOBAL", "WEAK"):
                pair[words[6] == "UND"].add(words[7])

    def text(self, source):
        return (self.top / source).read_text()


def station(path):
    """daemon/dns/wire.o -> dns/wire; resolver/pick.o -> pick."""
    return str(Path(path).with_suffix("")).split("/", 1)[1]


def check_includes(tree):
    """Includes point one way."""
    for obj in tree.objects:
        layer = obj.parts[0]
        for name in tree.includes(obj):
            other = Path(name).parts[0]
            if other in LAYERS and other != layer and other not in LAYERS[layer]:
                yield f"{obj.with_suffix('.c')} includes {name}: {layer} must not know {other}"


def definitions(tree):
    """Which object defines a symbol. libc's names that the library stands before are libc's to all
    others."""
    where, exported = {}, golden(tree, "libcrowfly.exports")
    for obj in tree.objects:
        for name in tree.symbols(obj)[0] - exported:
            where[name] = obj
    return where


def check_symbols(tree):
    """Symbols point one way, between layers and between the daemon's stations."""
    where = definitions(tree)
    for obj in tree.objects:
        for name in sorted(tree.symbols(obj)[1]):
            target = where.get(name)
            if target is None:
                continue
            layer, other = obj.parts[0], target.parts[0]
            if other != layer and other not in LAYERS[layer]:
                yield f"{obj} uses {name} of {target}: {layer} must not know {other}"
            elif layer == other == "daemon" and comes_later(target, obj):
                yield f"{obj} uses {name} of {target}, which comes later in the data flow"


def comes_later(target, obj):
    """In a later row, or in another folder of the same row: dns and http do not know each other."""
    folders = target.parent, obj.parent
    return rank(target) > rank(obj) or (rank(target) == rank(obj) and folders[0] != folders[1])


def rank(obj):
    name = station(obj)
    for row, members in enumerate(DAEMON_ORDER):
        if name in members or name.split("/")[0] + "/*" in members:
            return row
    raise SystemExit(f"{obj} has no place in DAEMON_ORDER of tests/arch/check.py: give it one")


def check_doors(tree):
    """One library, one door."""
    users = defaultdict(set)
    for obj in tree.objects:
        for name in tree.includes(obj):
            for header in DOORS:
                if header in name:
                    users[header].add(str(obj.with_suffix(".c")))
    for header, doors in DOORS.items():
        for user in sorted(users[header] - set(doors)):
            yield f"{user} includes {header}: its door is {' and '.join(doors) or 'nowhere yet'}"


def check_hot(tree):
    """Hot paths allocate nothing, lock nothing, print nothing."""
    where = definitions(tree)
    for what, objects in HOT.items():
        for obj in objects:
            if not (tree.build / obj).exists():
                yield f"{obj} of the hot path '{what}' is gone: mend HOT in tests/arch/check.py"
                continue
            for name in sorted(tree.symbols(obj)[1]):
                if name not in HOT_LIBC and name not in where:
                    yield f"{obj} ({what}) uses {name}"


def check_writer(tree):
    """Only daemon/publish.c writes the format: nobody else computes an image's checksum."""
    for obj in tree.objects:
        if "crow_image_checksum" in tree.symbols(obj)[1] and str(obj) != "daemon/publish.o":
            yield f"{obj} uses crow_image_checksum: only daemon/publish.c builds an image"


def check_readers(tree):
    """Readers open the snapshot read-only and map nothing but memory."""
    for source in tree.sources:
        if source.parts[0] == "daemon":
            continue
        text = re.sub(r"/\*.*?\*/", "", tree.text(source), flags=re.S)
        for call in re.findall(r"\bmmap\((.*?)\);", text, re.S):
            if "MAP_ANONYMOUS" not in call:
                yield f"{source} maps a file: mmap({' '.join(call.split())})"
        if source.parts[0] in ("resolver", "preload", "cli"):
            for call in re.findall(r"\bopen(?:at)?\((.*?)\);", text, re.S):
                if "O_RDONLY" not in call or re.search(r"O_CREAT|O_WRONLY|O_RDWR", call):
                    yield f"{source} opens for more than reading: open({call})"


def golden(tree, name):
    return set((tree.top / "tests/arch" / name).read_text().split())


def compare(kind, actual, wanted, file):
    for name in sorted(actual - wanted):
        yield f"libcrowfly.so {kind} {name}, which tests/arch/{file} does not list"
    for name in sorted(wanted - actual):
        yield f"libcrowfly.so no longer {kind} {name}, which tests/arch/{file} lists"


def check_library(tree):
    """libcrowfly.so: NEEDED, exported and imported symbols equal golden files."""
    library = str(tree.build / "libcrowfly.so")
    needed = {m[1] for line in lines_of("readelf", "-dW", library)
              if (m := re.search(r"\(NEEDED\).*\[(.*)\]", line))}
    yield from compare("needs", needed, golden(tree, "libcrowfly.needed"), "libcrowfly.needed")
    for option, kind, file in (("--defined-only", "exports", "libcrowfly.exports"),
                               ("--undefined-only", "imports", "libcrowfly.imports")):
        names = {line.split()[-1].split("@")[0]
                 for line in lines_of("nm", "-D", option, library)}
        yield from compare(kind, names, golden(tree, file), file)


def check_sizes(tree):
    """Files and functions of a size that a person holds in mind."""
    for source in tree.sources:
        lines = tree.text(source).splitlines()
        if source.suffix == ".c" and len(lines) > FILE_LINES:
            yield f"{source} has {len(lines)} lines, more than {FILE_LINES}"
        start = None
        for number, line in enumerate(lines, 1):
            if line == "{":
                start = number
            elif line == "}" and start is not None:
                if number - start > FUNCTION_LINES:
                    yield f"{source}:{start}: a function of {number - start} lines"
                start = None


CHECKS = [check_includes, check_symbols, check_doors, check_hot, check_writer, check_readers,
          check_library, check_sizes]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    options = parser.parse_args()
    top = Path.cwd()
    tree = Tree(top, (top / options.build).resolve())
    failed = 0
    for check in CHECKS:
        complaints = list(check(tree))
        failed += bool(complaints)
        print(f"  {'FAIL' if complaints else 'ok  '}  {check.__doc__}")
        for complaint in complaints:
            print(f"        {complaint}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
