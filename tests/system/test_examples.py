"""The examples for Prometheus and Grafana: they are well-formed, and name metrics that there are."""

import json
import re
import shutil
import subprocess

import pytest

from tests.system.daemon import ROOT

EXAMPLES = ROOT / "docs/examples"
METRIC = re.compile(r"\bcrowfly_\w+")


def expressions():
    """All of them, as (where, expression)."""
    rules = (EXAMPLES / "alerts.yml").read_text()
    for expression in re.findall(r"expr:(.*?)\n        (?:for|labels):", rules, re.S):
        yield "alerts.yml", expression
    dashboard = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"][1:]:
        yield variable["name"], variable["query"]["query"]


def test_rules_please_promtool():
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (package prometheus)")
    done = subprocess.run(["promtool", "check", "rules", EXAMPLES / "alerts.yml"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 rules found" in done.stdout


def test_every_metric_exists(running):
    known = set(re.findall(r"^# TYPE (\S+)", running.get("/metrics")[1].decode(), re.M))
    used = [(where, metric) for where, expression in expressions()
            for metric in METRIC.findall(expression)]
    assert len(used) > 30
    assert [(where, metric) for where, metric in used if metric not in known] == []


def test_panels_do_not_overlap():
    panels = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())["panels"]
    cells = [(x, y) for panel in panels for place in [panel["gridPos"]]
             for x in range(place["x"], place["x"] + place["w"])
             for y in range(place["y"], place["y"] + place["h"])]
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _y in cells)
