"""The daemon's command line and configuration file: what it prints back, and what it refuses."""

import pytest


def test_print_back_is_whole_and_reads_itself(daemon):
    daemon.write_config()
    first = daemon.run("-n")
    assert first.returncode == 0, first.stderr
    for key in ("poll-interval", "timeout", "zone", "ttl", "answers", "listen", "max-services"):
        assert key in first.stdout, f"{key} is not printed"
    daemon.config_path.write_text(first.stdout)
    second = daemon.run("-n")
    assert (second.returncode, second.stdout) == (0, first.stdout)


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("[daemon]", "colour = red"),
        ("[dns]", "ttl = 1"),
        ("[dns]", "ttl = 1 fortnight"),
        ("[dns]", "answers = 33"),
        ("[dns]", "answers = many"),
        ("[dns]", "listen = nowhere"),
        ("[http]", "listen = 127.0.0.1:65536"),
        ("[source x]", "type = carrier-pigeon"),
        ("[source x]", "poll-interval = 99ms"),
        ("[source x]", "poll-interval = 2h"),
        ("[source x]", "accept = 10.0.0.0/33"),
        ("[source x]", "endpoint = ftp://host"),
        ("[service x]", "port = 0"),
        ("[service x]", "port = 65536"),
        ("[nonsense]", "key = 1"),
    ],
)
def test_a_mistake_is_named_by_file_line_and_what_is_allowed(daemon, section, line):
    daemon.config_path.write_text(f"\n{section}\n{line}\n")
    done = daemon.run("-n")
    assert done.returncode == 2, done.stdout
    assert f"{daemon.config_path}:" in done.stderr
    assert done.stderr.count("\n") == 1, "one sentence"
    assert done.stdout == ""


def test_a_missing_file_is_named(daemon):
    done = daemon.run("-n")
    assert done.returncode == 2
    assert f"{daemon.config_path}: cannot open it: No such file" in done.stderr
    assert "-c FILE" in done.stderr


@pytest.mark.parametrize("arguments", [["--nonsense"], ["-x"], ["stray"], ["--service", "only"]])
def test_a_wrong_command_line_is_refused(daemon, arguments):
    daemon.write_config()
    done = daemon.run(*arguments, "-n")
    assert done.returncode == 2
    assert done.stderr
