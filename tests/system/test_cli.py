"""The crowfly command: run, status, lookup, help."""

import json
import os
import re
import sys

import pytest

from tests.system.conftest import WEIGHTS
from tests.system.daemon import BUILD, eventually, run
from tests.system.lookup import ask
from tests.system.terminal import shown_by

NAME = "svc_a.eas.internal"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to run as another user")


@pytest.fixture
def crowfly(daemon):
    """Runs the command with the daemon's runtime directory."""
    environment = {**os.environ, "CROWFLY_RUNTIME_DIR": str(daemon.runtime_dir)}
    return lambda *arguments: run(BUILD / "crowfly", *arguments, environment=environment)


# own_library is asked for where the library is loaded into programs: it skips sanitized builds.


def test_run_takes_a_program_to_an_instance(running, crowfly, own_library, easim):
    done = crowfly("run", "--", "curl", "-sS", "--noproxy", "*", f"http://{NAME}/")
    assert json.loads(done.stdout)["ip"] in [i["ip"] for i in easim.instances("svc_a")]


def test_run_with_a_map(running, crowfly, own_library):
    done = crowfly("run", "--map", "old.example.com=svc_b", "--",
                   "curl", "-sS", "--noproxy", "*", "http://old.example.com/")  # fmt: skip
    assert json.loads(done.stdout)["service"] == "svc_b"


def test_run_exits_as_the_program_does(daemon, crowfly, own_library):
    assert crowfly("run", "--", "sh", "-c", "exit 7").returncode == 7
    assert crowfly("run", "--", "/nonexistent/program").returncode == 127
    assert crowfly("run", "--", "/etc/passwd").returncode == 126


def test_run_says_which_programs_only_dns_reaches(daemon, crowfly, own_library):
    done = crowfly("run", "--", "/sbin/ldconfig", "--version")  # Debian links it statically
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert "DNS" in done.stderr


def test_run_is_silent_about_ordinary_programs(daemon, crowfly, own_library):
    done = crowfly("run", "--", sys.executable, "-c", "print('hello')")
    assert (done.stdout, done.stderr) == ("hello\n", "")


def test_run_keeps_what_was_preloaded_already(daemon, crowfly, own_library):
    done = crowfly("run", "--", "sh", "-c", "echo $LD_PRELOAD")
    assert done.stdout.strip() == str(BUILD / "libcrowfly.so")


def test_status_shows_services_and_instances(running, crowfly, easim):
    done = crowfly("status")
    assert done.returncode == 0
    assert "svc_a" in done.stdout
    for instance in easim.instances("svc_a"):
        assert f"{instance['ip']}:{instance['port']}" in done.stdout
    assert "\033" not in done.stdout, "colour is for terminals"


def test_status_for_programs(running, crowfly, easim):
    told = json.loads(crowfly("status", "--json").stdout)
    assert told["daemon"] == {"alive": True, "pid": running.process.pid}
    services = {service["name"]: service for service in told["services"]}
    assert set(services) == {"svc_a", "svc_b"}
    found = {(i["address"], i["port"]): i["weight"] for i in services["svc_a"]["instances"]}
    assert found == running.instances("svc_a")


def test_status_tells_of_the_last_poll(easim, running, crowfly):
    easim.fault("status", "svc_b", status=500)
    eventually(lambda: running.service("svc_b")["stale"], what="svc_b is stale")
    (told,) = json.loads(crowfly("status", "--json", "svc_b").stdout)["services"]
    assert told["poll"]["outcome"] == "status"
    assert "500" in told["poll"]["detail"]
    assert "500" in crowfly("status", "svc_b").stdout


def test_status_tells_who_was_given_and_who_is_down(easim, running, crowfly):
    easim.kill("svc_a", 0)
    victim = easim.instances("svc_a")[0]

    def rows():
        """What DNS gave lately is probed."""
        for _ in range(20):
            ask(running, NAME)
        (told,) = json.loads(crowfly("status", "--json", "svc_a").stdout)["services"]
        return {i["address"]: i for i in told["instances"]}

    eventually(lambda: rows()[victim["ip"]]["state"] == "ejected", what="the dead one is ejected")
    found = rows()
    assert found[victim["ip"]]["health"] == "ejected"
    assert found[victim["ip"]]["why"] == "connect refused"
    assert all(row["why"] == "" for ip, row in found.items() if ip != victim["ip"])
    eventually(lambda: sum(row["given"] for row in rows().values()) >= 40, what="picks are counted")
    assert re.search(r"ejected +\d+ s +connect refused", crowfly("status", "svc_a").stdout)


def test_status_of_a_service_that_waits(easim, daemon, crowfly):
    easim.fault("status", "svc_b", status=500)
    daemon.start()
    daemon.wait_instances("svc_a", len(WEIGHTS))

    def services():
        told = json.loads(crowfly("status", "--json").stdout)["services"]
        return {service["name"]: service for service in told}

    eventually(lambda: services()["svc_b"]["failing_s"] is not None, what="an image after the poll")
    told = services()
    assert (told["svc_a"]["state"], told["svc_a"]["failing_s"]) == ("good", None)
    assert (told["svc_b"]["state"], told["svc_b"]["stale"]) == ("waiting", False)
    shown = crowfly("status").stdout
    assert "svc_b  WAITING for its first list" in shown and "STALE" not in shown
    assert "it has no list yet" in crowfly("lookup", "svc_b.eas.internal").stdout
    lines = daemon.get("/metrics")[1].decode().splitlines()
    assert 'crowfly_service_waiting{service="svc_b"} 1' in lines
    assert 'crowfly_service_stale{service="svc_b"} 0' in lines


def test_status_of_a_service_that_is_down(easim, running, crowfly):
    for i in range(len(WEIGHTS)):
        easim.kill("svc_a", i)

    def are_down():
        ask(running, NAME)
        return f"svc_a  {len(WEIGHTS)} down, and picked all the same" in crowfly("status").stdout

    eventually(are_down, what="all are down")
    assert "1 of 2 services needs a look" in crowfly("status").stdout


def test_status_without_pages_shows_the_snapshot(daemon, crowfly):
    daemon.set("http", listen="none")
    daemon.start()

    def services():
        done = crowfly("status", "--json")
        return done.returncode == 0 and json.loads(done.stdout)["services"]

    eventually(lambda: services() and all(s["instances"] for s in services()), what="both lists")
    assert all("poll" not in service for service in services())
    assert "svc_a" in crowfly("status").stdout


def test_status_of_a_dead_daemon_says_so(running, crowfly):
    running.kill()
    assert json.loads(crowfly("status", "--json").stdout)["daemon"]["alive"] is False
    assert "does not run" in crowfly("status").stdout


def test_status_of_a_daemon_that_hangs(running, crowfly):
    with running.stopped():
        done = crowfly("status")
    assert done.returncode == 0
    assert "runs" in done.stdout and "does not answer by HTTP" in done.stdout
    assert "svc_a" in done.stdout
    assert "does not answer" not in crowfly("status").stdout


def test_status_without_a_daemon(daemon, crowfly):
    done = crowfly("status")
    assert done.returncode == 1
    assert str(daemon.runtime_dir) in done.stderr


def test_watch_looks_again(running, crowfly):
    done = crowfly("watch", "--count", "2", "--interval", "1", "svc_b")
    assert done.returncode == 0
    assert done.stdout.count("\nsvc_b  1 up") == 2
    assert "svc_a" not in done.stdout
    assert "\033" not in done.stdout, "colour and cursor are for terminals"


def test_watch_shows_trouble_first(easim, running, crowfly):
    def services():
        done = crowfly("watch", "--count", "1")
        return re.findall(r"^(svc_\w+) ", done.stdout, re.MULTILINE)

    assert services() == ["svc_a", "svc_b"]
    easim.fault("status", "svc_b", status=500)
    eventually(lambda: running.service("svc_b")["stale"], what="svc_b is stale")
    eventually(lambda: services() == ["svc_b", "svc_a"], what="svc_b stands first")


def on_terminal(daemon, rows, columns, *arguments, colour=True):
    """What crowfly prints there."""
    script = f'stty rows {rows} cols {columns} && exec "$@"'
    command = [BUILD / "crowfly", *arguments, "--runtime-dir", daemon.runtime_dir]
    return shown_by(["sh", "-c", script, "sh", *command],
                    {**os.environ, "TERM": "xterm", "NO_COLOR": "" if colour else "1"})  # fmt: skip


def test_a_terminal_of_80_columns(easim, daemon):
    """Nothing but addresses of discovery is longer than a line, who needs a look stands first, and a
    hundred instances do not push the others off."""
    easim.add_service("svc_many", [100] * 40)
    easim.kill("svc_many", 39)
    easim.fault("status", "svc_b", status=500)
    daemon.set("source eas", services="svc_many,svc_b,svc_a")
    daemon.set("dns", answers="32")
    daemon.start()

    def is_ejected():
        ask(daemon, "svc-many.eas.internal")
        return daemon.service("svc_many")["counts"]["ejected"] == 1

    eventually(is_ejected, what="an ejected instance")
    daemon.wait_instances("svc_a", len(WEIGHTS))
    shown = on_terminal(daemon, 24, 80, "status", colour=False).replace("\r\n", "\n")
    lines = shown.split("\n")
    assert [line for line in lines if len(line) > 80 and "http://" not in line] == []
    assert "2 of 3 services need a look" in lines
    assert "svc_many  39 up, 1 ejected" in lines
    assert re.search(r"svc_b  WAITING for its first list, for \d+ s\n.*\n.*\n  answered 500\n", shown)
    rows = shown.split("\nsvc_many")[1].split("\n")[3:14]
    # Its label does not fit behind the reason.
    assert re.search(r" ejected +\d+ s +connect refused$", rows[0])
    assert rows[10] == "  and 30 more; name the service to see all"
    named = on_terminal(daemon, 24, 80, "status", "svc_many", colour=False)
    assert named.count(" up ") == 39 and "more" not in named


def test_watch_on_a_terminal_fits_it(running, daemon):
    """In place: from the first line, each line cleared and cut by the terminal, and no more lines
    than there are."""
    shown = on_terminal(daemon, 6, 60, "watch", "--count", "1")
    assert shown.startswith("\033[H\033[?7l") and shown.endswith("\033[?7h")
    assert shown.count("\n") == 5 and "more below" in shown
    assert "\033[32mruns" in shown


def test_lookup_tells_what_a_program_would_get(running, crowfly, easim):
    done = crowfly("lookup", "--json", NAME)
    told = json.loads(done.stdout)
    assert told["port"] == 80
    assert {i["address"] for i in told["instances"]} <= {i["ip"] for i in easim.instances("svc_a")}
    assert crowfly("lookup", NAME).returncode == 0


def test_lookup_of_an_unknown_name(running, crowfly):
    done = crowfly("lookup", "nope.eas.internal")
    assert done.returncode == 1
    assert "nope.eas.internal" in done.stderr


def test_help_names_every_command(crowfly):
    done = crowfly("help")
    assert done.returncode == 0
    for command in ("run", "status", "watch", "lookup", "doctor", "help"):
        assert command in done.stdout
        assert crowfly("help", command).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run"],
        ["run", "--map", "x", "--", "true"],
        ["status", "--nonsense"],
        ["watch", "--interval", "0"],
        ["doctor", "--nonsense"],
        ["lookup"],
    ],
    ids=str,
)
def test_mistakes_are_refused(crowfly, arguments):
    done = crowfly(*arguments)
    assert done.returncode == 2
    assert done.stderr
    assert done.stdout == ""


# What this user may not read. setpriv: everything is open to root.


def as_nobody(*arguments):
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    return run(*nobody, BUILD / "crowfly", *arguments)


CLOSED = {
    "snapshot": (0o600, "may not read {}/snapshot (root's, mode 0600)", "chmod 644"),
    "directory": (0o750, "may not look into {} (root's, mode 0750)", "chmod 755"),
}


@needs_root
@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("command", [["status"], ["lookup", NAME]], ids=["status", "lookup"])
def test_what_is_closed_to_this_user(running, command, closed):
    mode, sentence, remedy = CLOSED[closed]
    there = running.runtime_dir
    (there / "snapshot" if closed == "snapshot" else there).chmod(mode)
    running.directory.chmod(0o755)
    done = as_nobody(*command, "--runtime-dir", there)
    assert done.returncode == 1
    assert f"this user {sentence.format(there)}" in done.stderr
    assert remedy in done.stderr


@needs_root
def test_a_path_that_is_closed_to_this_user(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    done = as_nobody("status", "--runtime-dir", closed / "run")
    assert done.returncode == 1
    assert f"namei -l {closed}/run" in done.stderr
