"""Names of metrics: those in the documentation, the dashboard and the alert are those that are exported."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml

from uniner_dist.completions.metrics import COUNTERS, GAUGES, LABELS

ROOT = Path(__file__).parents[2]
NAMES = {f"ray_uniner_dist_{name}" for name in GAUGES} | {f"ray_uniner_dist_{name}_total" for name in COUNTERS}


def names_in(text: str) -> set[str]:
    return set(re.findall(r"ray_uniner_dist_\w+", text))


def test_every_metric_is_documented_with_its_kind_and_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)(?:\{(\w+)\})?` \| (\w+) \| (.*) \|$", (ROOT / "docs/metrics.md").read_text(), re.M)
    expected = [(f"ray_uniner_dist_{n}", LABELS.get(n, ""), "gauge", m) for n, m in GAUGES.items()]
    expected += [(f"ray_uniner_dist_{n}_total", LABELS.get(n, ""), "counter", m) for n, m in COUNTERS.items()]
    assert rows == expected


def test_the_dashboard_uses_metrics_that_exist_and_shows_them_all() -> None:
    dashboard = json.loads((ROOT / "conf/grafana/dashboard.json").read_text())
    panels = dashboard["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    assert names_in(" ".join(expressions)) == NAMES
    for expression in expressions:
        promql_parser.parse(expression)  # raises
    own = [expression for expression in expressions if "uniner" in expression]
    assert all(expression.count('{run=~"$run"}') == len(re.findall("ray_uniner", expression)) for expression in own)
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells), "panels do not overlap"
    assert max(x for x, _ in cells) < 24


def test_grafanas_own_model_of_a_dashboard_knows_everything_in_ours() -> None:
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    ours = json.loads((ROOT / "conf/grafana/dashboard.json").read_text())
    theirs = json.loads(JSONEncoder().encode(Dashboard.from_json(ours)))
    assert list(lost(ours, theirs)) == []
    ours["panels"][0]["options"]["thresholdMarkers"] = True
    theirs = json.loads(JSONEncoder().encode(Dashboard.from_json(ours)))
    assert list(lost(ours, theirs)) == ["/panels/0/options/thresholdMarkers"], "what Grafana does not know is seen"


def lost(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Paths of ours that are not, or not the same, in theirs, which has defaults on top."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from lost(value, theirs[key], f"{path}/{key}") if key in theirs else [f"{path}/{key}"]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from lost(one, other, f"{path}/{number}")
    elif ours != theirs:
        yield path


def test_the_alert_asks_for_metrics_that_exist() -> None:
    [group] = yaml.safe_load((ROOT / "conf/grafana/alerts.yaml").read_text())["groups"]
    [rule] = group["rules"]
    assert rule["alert"] == "UninerDistNoProgress"
    promql_parser.parse(rule["expr"])  # raises
    assert names_in(rule["expr"]) == {
        "ray_uniner_dist_last_progress_timestamp_seconds", "ray_uniner_dist_prompts_open",
    }  # fmt: skip
