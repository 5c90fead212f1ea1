"""Each check of check.py fails on a violation that is seeded into a copy of the tree."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
BUILD = os.environ.get("CROWFLY_BUILD", "build")
FOLDERS = ["resolver", "preload", "daemon", "cli", "tests/arch"]

# (name, file, text appended to it, what check.py must say)
SEEDS = [
    ("include up", "resolver/name.c", '#include "daemon/loop.h"\n',
     "resolver must not know daemon"),
    ("include across", "cli/term.c", '#include "preload/decide.h"\n', "cli must not know preload"),
    ("symbol against the flow", "daemon/list.c",
     "void crow_discovery_free(void *);\nvoid crow_seed(void);\n"
     "void crow_seed(void) { crow_discovery_free(0); }\n", "comes later in the data flow"),
    ("neighbour station", "daemon/dns/wire.c",
     "void crow_http_free(void *);\nvoid crow_seed(void);\n"
     "void crow_seed(void) { crow_http_free(0); }\n", "comes later in the data flow"),
    ("second door", "daemon/state.c", "#include <json-c/json.h>\n", "its door is"),
    ("allocation on the answer path", "daemon/dns/answer.c",
     "#include <stdlib.h>\nvoid *crow_seed(void);\nvoid *crow_seed(void) { return malloc(1); }\n",
     "uses malloc"),
    ("kernel call in a look-up", "resolver/pick.c",
     "#include <unistd.h>\nint crow_seed(void);\nint crow_seed(void) { return getpid(); }\n",
     "uses getpid"),
    ("second writer", "cli/view.c",
     "#include \"resolver/image.h\"\nuint64_t crow_seed(void);\n"
     "uint64_t crow_seed(void) { return crow_image_checksum(\"\", 0); }\n",
     "only daemon/publish.c builds an image"),
    ("mapped file", "resolver/attach.c",
     "void *crow_seed(int);\nvoid *crow_seed(int fd)\n"
     "{\n\treturn mmap(0, 1, PROT_READ, MAP_SHARED, fd, 0);\n}\n", "maps a file"),
    ("writable open", "resolver/attach.c",
     "int crow_seed(void);\nint crow_seed(void)\n{\n\treturn open(\"x\", O_RDWR);\n}\n",
     "opens for more than reading"),
    ("new import", "preload/decide.c",
     "#include <unistd.h>\nstatic __attribute__((constructor)) void crow_seed(void)\n"
     "{\n\tgetpgrp();\n}\n", "imports getpgrp"),
    # Not in the Makefile, which all objects depend on.
    ("new library", "tests/tests.mk", "$(BUILD)/libcrowfly.so: tests/tests.mk\n"
     "$(BUILD)/libcrowfly.so: LDFLAGS += -Wl,--no-as-needed -lm\n", "needs libm.so.6"),
    ("long file", "daemon/log.c", "/* a line */\n" * 700, "more than 700"),
    ("long function", "daemon/log.c",
     "void crow_seed(void);\nvoid crow_seed(void)\n{\n" + "\t;\n" * 101 + "}\n",
     "a function of"),
]


def copy_tree(target):
    for folder in FOLDERS:
        shutil.copytree(TOP / folder, target / folder, copy_function=shutil.copy2)
    for name in ("Makefile", "tests/tests.mk", "docs/install.mk"):
        (target / name).parent.mkdir(exist_ok=True)
        shutil.copy2(TOP / name, target / name)
    for folder in FOLDERS:
        if (TOP / BUILD / folder).exists():
            shutil.copytree(TOP / BUILD / folder, target / "build" / folder,
                            copy_function=shutil.copy2)
    shutil.copy2(TOP / BUILD / "flags", target / "build")  # or all is built anew


def check(tree, *options):
    subprocess.run(["make", "-s", "-C", str(tree), "BUILD=build", *options, "all"], check=True,
                   capture_output=True, text=True)
    return subprocess.run([sys.executable, "tests/arch/check.py", "--build", "build"], cwd=tree,
                          capture_output=True, text=True, check=False)


@pytest.fixture(name="tree")
def fixture_tree(tmp_path):
    copy_tree(tmp_path)
    return tmp_path


def test_untouched_tree_passes(tree):
    done = check(tree)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file, text, complaint", [seed[1:] for seed in SEEDS],
                         ids=[seed[0] for seed in SEEDS])
def test_seed_is_noticed(tree, file, text, complaint):
    with open(tree / file, "a", encoding="utf-8") as source:
        source.write(text)
    done = check(tree, "LTO=")  # 4 s less each, and the objects say the same
    assert done.returncode == 1, done.stdout
    assert complaint in done.stdout
