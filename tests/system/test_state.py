"""What outlives what: restarts, crashes, damaged files, a second daemon, reloads."""

import os
import pwd
import re
import shutil
import socket
from pathlib import Path

import pytest

from tests.easim import Easim
from tests.system.daemon import BUILD, Daemon, eventually, run
from tests.system.lookup import addresses, ask

NOBODY = 65534  # Debian's user and group of that name

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def saved(running):
    """A daemon that was killed after both its lists had reached the state directory."""
    eventually(lambda: len(list(running.state_dir.glob("*.list"))) == 2, what="two state files")
    running.kill()
    return running


def test_a_restart_serves_before_discovery_answers(saved, easim):
    easim.fault("refuse")
    saved.start()
    # Ready means that the state was published: no waiting here, and no poll could have helped.
    assert {ip for ip, _ in saved.instances("svc_a")} == {
        i["ip"] for i in easim.instances("svc_a")
    }
    assert addresses(ask(saved, "svc_a.eas.internal"))
    assert saved.counter("polls_ok") == 0
    easim.fault("ok")
    saved.wait_polls(2, "polls_ok")


def test_kill_leaves_whole_files_and_any_moment_will_do(running, easim):
    for weight in range(2, 12):
        easim.set_weight("svc_b", 0, weight)
        running.wait_polls(1)
        running.kill()
        running.start()
        assert len(running.instances("svc_b")) == 1
    assert not list(running.state_dir.glob("*.bad"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text.replace(" 100 ", " 999 ", 1),
        lambda text: re.sub(r"^crowfly-list 1", "crowfly-list 99", text),
        lambda text: "\x00" * 4096,
    ],
    ids=["cut", "empty", "altered", "future", "zeroes"],
)
def test_a_damaged_state_file_is_set_aside_and_named(saved, easim, damage):
    path = saved.state_dir / "svc_a.list"
    path.write_text(damage(path.read_text()))
    easim.fault("refuse")
    saved.start()
    assert saved.instances("svc_a") == {}
    assert len(saved.instances("svc_b")) == 1, "the other file was whole"
    assert saved.log_lines("svc_a.list")
    assert list(saved.state_dir.glob("svc_a*.bad"))
    assert saved.counter("states_bad") == 1


def test_foreign_files_in_the_state_directory_do_no_harm(saved, easim):
    (saved.state_dir / "README").write_text("hello")
    (saved.state_dir / "dir.list").mkdir()
    os.mkfifo(saved.state_dir / "fifo.list")
    (saved.state_dir / "gone.list").symlink_to("nowhere")
    easim.fault("refuse")
    saved.start()
    assert len(saved.instances("svc_a")) == 4


def test_a_service_that_left_the_configuration_is_not_served_from_state(saved, easim):
    saved.source(endpoint=easim.endpoint, services="svc_b")
    easim.fault("refuse")
    saved.start()
    assert saved.service("svc_a") is None
    assert len(saved.instances("svc_b")) == 1


def test_a_state_directory_that_cannot_be_written_is_said_once(daemon, easim):
    daemon.state_dir.parent.joinpath("plain").write_text("")
    daemon.set("daemon", state_dir=daemon.directory / "plain" / "state")  # ENOTDIR, root or not
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    for weight in range(5, 10):
        easim.set_weight("svc_b", 0, weight)
        eventually(lambda w=weight: w in daemon.instances("svc_b").values())
    # Once that it cannot be used, once that a list could not be saved: not for each list.
    assert len(daemon.log_lines("warning", "plain/state")) == 2, daemon.log()


def test_what_could_not_be_saved_is_saved_once_it_can_be(daemon, easim):
    daemon.state_dir.write_text("")  # no directory, root or not
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    eventually(lambda: daemon.counter("states_unsaved") >= 2, what="a failure for each list")
    daemon.state_dir.unlink()
    easim.set_weight("svc_b", 0, 9)  # svc_a stays as it is
    eventually((daemon.state_dir / "svc_a.list").exists, what="the list that did not change")


def test_sigterm_saves_what_is_unsaved(daemon, easim):
    many = [f"svc_{number:03}" for number in range(100)]
    for name in many:
        easim.add_service(name, [1])
    daemon.source(endpoint=easim.endpoint, services=",".join(many))
    daemon.start()
    eventually(
        lambda: all(service["instances"] for service in daemon.status()["services"]),
        what="a list of each",
    )
    assert daemon.stop() == 0
    assert len(list(daemon.state_dir.glob("*.list"))) == len(many)


@needs_root
def test_root_becomes_the_user_and_its_directories_follow(daemon):
    daemon.directory.chmod(0o755)
    daemon.set("daemon", user="nobody")
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    eventually(lambda: len(list(daemon.state_dir.glob("*.list"))) == 2, what="two state files")
    nobody = pwd.getpwnam("nobody")
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    assert re.search(rf"^Uid:\t{nobody.pw_uid}(\t{nobody.pw_uid}){{3}}$", status, re.M)
    assert re.search(rf"^Gid:\t{nobody.pw_gid}(\t{nobody.pw_gid}){{3}}$", status, re.M)
    assert re.search(r"^Groups:\s*$", status, re.M)
    assert re.search(r"^CapPrm:\t0+$", status, re.M)
    for directory in (daemon.runtime_dir, daemon.state_dir):
        for path in (directory, *directory.iterdir()):
            assert path.stat().st_uid == nobody.pw_uid, path
    daemon.set("dns", ttl="3s")
    daemon.config_path.chmod(0o644)
    daemon.reload()
    eventually(lambda: ask(daemon, "svc_a.eas.internal").answer[0].ttl == 3, what="the new ttl")


@needs_root
def test_a_wiped_runtime_directory_that_cannot_come_back_is_said_once(daemon):
    daemon.directory.chmod(0o755)
    daemon.set("daemon", user="nobody")
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    with daemon.stopped():  # or it writes while we wipe
        shutil.rmtree(daemon.runtime_dir)
    daemon.wait_log(r"warning: cannot write .*/snapshot: Permission denied")
    daemon.wait_polls(6)
    assert len(daemon.log_lines("cannot write")) == 1, daemon.log()
    assert addresses(ask(daemon, "svc_a.eas.internal")), "DNS goes on"
    daemon.runtime_dir.mkdir()
    shutil.chown(daemon.runtime_dir, "nobody")
    for name in ("snapshot", "report", "lock"):
        eventually((daemon.runtime_dir / name).exists, what=f"{name} again")
    daemon.wait_log(r"/snapshot is written again")


@needs_root
def test_root_with_a_state_directory_that_cannot_be_given_away_starts(daemon):
    daemon.directory.chmod(0o755)
    daemon.state_dir.write_text("")
    daemon.set("daemon", user="nobody", state_dir=daemon.state_dir / "below")
    daemon.start()
    daemon.wait_instances("svc_a", 4)
    assert daemon.log_lines("warning", "cannot use", "state-dir")


def test_a_second_daemon_leaves_with_a_sentence(running):
    with Daemon() as second:
        second.set("daemon", runtime_dir=running.runtime_dir)
        second.source(endpoint="http://127.0.0.1:1", services="x")
        second.write_config()
        done = second.run()
    assert done.returncode not in (0, 2)
    assert str(running.runtime_dir) in done.stderr
    assert len(running.instances("svc_a")) == 4


def test_a_wiped_runtime_directory_is_filled_again(running):
    for path in running.runtime_dir.iterdir():
        path.unlink()
    for name in ("snapshot", "report"):
        path = running.runtime_dir / name
        eventually(path.exists, what=f"{name} again")


def test_a_removed_runtime_directory_is_made_again(running):
    for path in running.runtime_dir.iterdir():
        path.unlink()
    running.runtime_dir.rmdir()
    eventually((running.runtime_dir / "snapshot").exists, what="the snapshot again")


def test_modes_of_what_others_read(running):
    assert running.runtime_dir.stat().st_mode & 0o777 == 0o755
    assert (running.runtime_dir / "snapshot").stat().st_mode & 0o777 == 0o644
    assert not (running.runtime_dir / "snapshot.tmp").exists()


def test_sigterm_ends_cleanly(running):
    assert running.stop() == 0
    assert not (running.runtime_dir / "report").exists()


def test_clients_keep_their_snapshot_after_sigterm(running):
    running.stop()
    assert (running.runtime_dir / "snapshot").exists()


def test_reload_takes_a_good_configuration_whole(running, easim):
    easim.add_service("svc_c", [1, 1])
    running.source(endpoint=easim.endpoint, services="svc_b,svc_c")
    before = running.instances("svc_b")
    running.reload()
    running.wait_instances("svc_c", 2)
    assert running.service("svc_a") is None
    assert running.instances("svc_b") == before


def test_reload_refuses_a_bad_configuration_whole(running, easim):
    running.source(endpoint=easim.endpoint, services="svc_b", poll_interval="soon")
    running.reload()
    running.wait_log(re.escape(str(running.config_path)) + r":\d+")
    running.wait_polls(4)
    assert len(running.instances("svc_a")) == 4


def test_reload_names_what_needs_a_restart(running):
    running.set("dns", workers=2, listen="127.0.0.1:1", ttl="3s")
    running.reload()
    running.wait_log("reloaded; services")
    warned = [line.split(": ")[2].split(" stays")[0] for line in running.log_lines("is restarted")]
    assert warned == ["[dns] listen", "[dns] workers"]
    assert ask(running, "svc_a.eas.internal").answer[0].ttl == 3


def test_reload_keeps_lists_while_discovery_is_down(running, easim):
    easim.fault("refuse")
    running.set("dns", ttl="3s")
    running.reload()
    eventually(lambda: ask(running, "svc_a.eas.internal").answer[0].ttl == 3, what="the new ttl")
    assert len(running.instances("svc_a")) == 4


def test_ports_in_use_are_named_with_a_remedy(daemon):
    with socket.socket() as taken:
        taken.bind(daemon.http)
        taken.listen()
        daemon.write_config()
        done = daemon.run()
        assert done.returncode == 1
        assert "%s:%d" % daemon.http in done.stderr
        assert "choose another [http] listen" in done.stderr
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(daemon.dns)
        done = daemon.run()
        assert done.returncode == 1
        assert "%s:%d" % daemon.dns in done.stderr
        assert "another resolver holds it: see ss -lunp" in done.stderr


@needs_root
@pytest.mark.parametrize("section", ["dns", "http"])
def test_low_ports_without_the_right_are_named_with_a_remedy(daemon, section):
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 1:
        pytest.skip("this host lets everybody have low ports")
    daemon.directory.chmod(0o755)
    for directory in (daemon.runtime_dir, daemon.state_dir):
        directory.mkdir(exist_ok=True)
        os.chown(directory, NOBODY, NOBODY)
    daemon.set(section, listen="127.0.0.1:1")
    daemon.write_config()
    done = run("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups",
               *daemon.command())
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr
    assert "ports below 1024 need root or CAP_NET_BIND_SERVICE" in done.stderr


def test_command_line_source_needs_no_file(daemon):
    with Easim({"solo": [1]}) as sim:
        daemon.sections.pop("source eas")
        daemon.start("--endpoint", sim.endpoint, "--service", "solo", "--service", "other")
        eventually(lambda: sim.polls("solo") and sim.polls("other"), what="polls of both")
        assert daemon.service("solo")["source"] == "command-line"
        assert daemon.service("other") is not None


def test_command_line_source_and_a_stand_in_on_loopback(daemon):
    """What a newcomer tries first: every sentence leads to --accept, and with that it works."""
    step = "is not covered by `accept`; if its instances are there, start crowflyd with --accept"
    with Easim({"solo": [1]}) as sim:
        daemon.sections.pop("source eas")
        daemon.start("--endpoint", sim.endpoint, "--service", "solo")
        daemon.wait_log(re.escape(step))
        done = run(BUILD / "crowfly", "status", "--runtime-dir", daemon.runtime_dir)
        assert step in " ".join(done.stdout.split())
        assert daemon.stop() == 0
        daemon.start("--endpoint", sim.endpoint, "--service", "solo", "--accept", "127.0.0.0/8")
        daemon.wait_instances("solo", 1)
