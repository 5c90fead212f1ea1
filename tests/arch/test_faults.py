"""docs/faults.md names tests that are there."""
import re
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def test_every_promise_names_tests_that_are_there():
    there = set()
    for source in [*TOP.glob("tests/system/test_*.py"), *TOP.glob("tests/unit/test_*.c")]:
        there.update(re.findall(r"\b(test_\w+)\(", source.read_text()))
    rows = [line for line in (TOP / "docs/faults.md").read_text().splitlines()
            if line.startswith("| ") and not line.startswith("| fault")]
    assert len(rows) > 30
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row.rsplit("|", 2)[1])
        assert named, f"no test shows: {row}"
        assert set(named) <= there, f"{sorted(set(named) - there)} of: {row}"
