"""tests/run.py leaves nothing out that counts."""
import os
import re
from pathlib import Path

import pytest

from tests.run import has_flows

TOP = Path(__file__).resolve().parents[2]
BUILD = os.environ.get("CROWFLY_BUILD", "build")
THREADS = re.compile(r"\b(pthread_create|sigaction|signal)\(")


@pytest.mark.parametrize("source", sorted((TOP / "tests/unit").glob("test_*.c")), ids=lambda p: p.stem)
def test_units_with_threads_or_signals_are_run_under_tsan(source):
    """By their source, where tests/run.py asks what was linked."""
    if THREADS.search(source.read_text()):
        assert has_flows(BUILD, source.stem)


def test_units_of_one_flow_are_not():
    assert not has_flows(BUILD, "test_ring")


def test_a_program_that_cannot_be_read_is_run():
    assert has_flows(BUILD, "no_such_program")
