"""`crowfly run`: the environment that a program gets, and where the library is looked for."""

import json
import os
import shutil
import subprocess

import pytest

from tests.system.daemon import BUILD, run
from tests.system.terminal import shown_by

CROWFLY = BUILD / "crowfly"
LIBRARY = BUILD / "libcrowfly.so"
OURS = ("LD_PRELOAD", "CROWFLY_RUNTIME_DIR", "CROWFLY_MAP", "CROWFLY_LOG")
STATIC = "/sbin/ldconfig"  # Debian links it statically


def crowfly_run(*arguments, crowfly=CROWFLY, **environment):
    others = {name: value for name, value in os.environ.items() if name not in OURS}
    return run(crowfly, "run", *arguments, environment={**others, **environment})


def variables(*arguments, **environment):
    """Those of ours that a program under it sees."""
    done = crowfly_run(*arguments, "--", "env", **environment)
    assert done.returncode == 0, done.stderr
    pairs = [line.split("=", 1) for line in done.stdout.splitlines() if "=" in line]
    return {name: value for name, value in pairs if name in OURS}


@pytest.fixture
def alone(tmp_path):
    """A crowfly without its library: what is put beside or below it is what it finds."""
    (tmp_path / "bin").mkdir()
    return shutil.copy(CROWFLY, tmp_path / "bin")


# own_library is asked for where the library is loaded into programs: it skips sanitized builds.


def test_nothing_but_the_library_by_default(own_library):
    assert variables() == {"LD_PRELOAD": str(LIBRARY)}


def test_options_become_variables(own_library):
    assert variables("-v", "--runtime-dir", "/run/x", "--map", "a=b", "--map", "c=d") == {
        "LD_PRELOAD": str(LIBRARY),
        "CROWFLY_RUNTIME_DIR": "/run/x",
        "CROWFLY_MAP": "a=b,c=d",
        "CROWFLY_LOG": "info",
    }


def test_limits_that_no_file_tells_are_told_who_asks_for_more(own_library):
    quiet = crowfly_run("--", "true", CROWFLY_DISABLE="1")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    [line] = crowfly_run("-v", "--", "true", CROWFLY_DISABLE="1").stderr.splitlines()
    for limit in ("io_uring", "fast open", "fork", "exec", "SCM_RIGHTS", "libcrowfly(7)"):
        assert limit in line
    # One line in any case.
    [line] = crowfly_run("-v", "--", STATIC, "-p", CROWFLY_DISABLE="1").stderr.splitlines()
    assert "statically linked" in line


def test_maps_go_before_what_is_there(own_library):
    assert variables("--map", "a=b", CROWFLY_MAP="a=c")["CROWFLY_MAP"] == "a=b,a=c"


def test_a_relative_directory_outlives_a_change_of_directory(own_library):
    wanted = os.path.join(os.getcwd(), "run")
    assert variables("--runtime-dir", "run")["CROWFLY_RUNTIME_DIR"] == wanted


def test_the_library_goes_behind_others(own_library, tmp_path):
    other = shutil.copy(LIBRARY, tmp_path / "other.so")
    assert variables(LD_PRELOAD=other)["LD_PRELOAD"] == f"{other}:{LIBRARY}"


def test_run_below_run_preloads_once(own_library):
    done = crowfly_run("--", CROWFLY, "run", "--", "sh", "-c", "echo $LD_PRELOAD")
    assert done.stdout.strip() == str(LIBRARY)


def test_options_of_the_program_are_its_own(own_library):
    assert crowfly_run("sh", "-c", "echo $0", "-v").stdout == "-v\n"


def test_the_library_of_an_installed_tree(own_library, alone, tmp_path):
    installed = tmp_path / "lib" / "crowfly"
    installed.mkdir(parents=True)
    library = shutil.copy(LIBRARY, installed)
    done = crowfly_run("--", "sh", "-c", "echo $LD_PRELOAD", crowfly=alone)
    assert done.stdout.strip() == library


def test_without_its_library_it_says_what_to_do(alone):
    done = crowfly_run("--", "true", crowfly=alone)
    assert done.returncode == 1
    assert "libcrowfly.so" in done.stderr
    assert "make install" in done.stderr


def test_a_path_that_cannot_be_preloaded_is_refused(tmp_path):
    place = tmp_path / "a b"
    place.mkdir()
    shutil.copy(LIBRARY, place)
    done = crowfly_run("--", "true", crowfly=shutil.copy(CROWFLY, place))
    assert done.returncode == 1
    assert "LD_PRELOAD" in done.stderr


@pytest.mark.parametrize("head", [f"#!{STATIC}", f"#!/usr/bin/env -S {STATIC} -p"], ids=str)
def test_for_a_script_the_interpreter_counts(own_library, tmp_path, head):
    script = tmp_path / "script"
    script.write_text(head + "\n")
    script.chmod(0o755)
    done = crowfly_run("--", script)
    assert f"crowfly: {STATIC} is statically linked" in done.stderr


def test_a_program_that_finds_no_crowfly_runs_as_ever(own_library, tmp_path):
    done = crowfly_run("--runtime-dir", tmp_path, "--", "getent", "hosts", "127.0.0.1")
    assert done.returncode == 0
    assert done.stderr == ""


def said_at_a_terminal(*arguments):
    """What crowfly run says there before its program."""
    others = {name: value for name, value in os.environ.items() if name not in OURS}
    return shown_by([CROWFLY, "run", *arguments, "--", "true"], others, subprocess.DEVNULL)


def test_at_a_terminal_it_is_said_that_there_is_no_crowfly(running, own_library, tmp_path):
    said = said_at_a_terminal("--runtime-dir", str(tmp_path))
    assert f"crowfly: there is no snapshot in {tmp_path}: start crowflyd" in said
    assert "runs as if crowfly were not installed" in said
    assert said_at_a_terminal("--runtime-dir", str(running.runtime_dir)) == ""


def test_maps_of_the_environment_still_hold(running, own_library):
    done = crowfly_run("--runtime-dir", running.runtime_dir, "--map", "other.example=svc_a", "--",
                       "curl", "-sS", "--noproxy", "*", "http://legacy.example/",
                       CROWFLY_MAP="legacy.example=svc_b")  # fmt: skip
    assert json.loads(done.stdout)["service"] == "svc_b"
