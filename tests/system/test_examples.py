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


# Eight minutes of a service that never had a list, and of one whose list is no longer confirmed: the
# first has one alert, the second another one, and neither has both.
ALERTS = """
rule_files: [%s]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'crowfly_service_failing_seconds{service="never"}', values: '0+60x10'}
      - {series: 'crowfly_service_stale{service="never"}', values: '0x10'}
      - {series: 'crowfly_service_waiting{service="never"}', values: '1x10'}
      - {series: 'crowfly_service_failing_seconds{service="lately"}', values: '0+60x10'}
      - {series: 'crowfly_service_stale{service="lately"}', values: '1x10'}
      - {series: 'crowfly_service_waiting{service="lately"}', values: '0x10'}
    promql_expr_test:
      - expr: sum by (alertname, service) (ALERTS{alertstate="firing"})
        eval_time: 8m
        exp_samples:
          - {labels: '{alertname="CrowflyServiceWithoutList", service="never"}', value: 1}
          - {labels: '{alertname="CrowflyServiceStale", service="lately"}', value: 1}
"""


def test_a_service_has_one_alert(tmp_path):
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (package prometheus)")
    (tmp_path / "test.yml").write_text(ALERTS % (EXAMPLES / "alerts.yml"))
    done = subprocess.run(["promtool", "test", "rules", tmp_path / "test.yml"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


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
