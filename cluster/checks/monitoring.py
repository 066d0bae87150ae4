"""Alert rules and the dashboard: monitoring.py metrics|dashboard|expressions|without-discovery.

The last two print YAML for promtool.
"""
import json
import re

import yaml

from common import documents, fault, read, run, walk


def panels():
    return json.loads(read("cluster/grafana/dashboards/pleach.json"))["panels"]


def queries():
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def metrics():
    known = set(re.findall(r'"(pleach_\w+)"', read("Sources/Monitor/Metrics.swift"))) | {"pleach"}
    used = [("rules.yml", expression) for expression in walk(documents("cluster/prometheus/rules.yml"), "expr")]
    used += list(queries())
    for where, expression in used:
        for name in re.findall(r"\b(pleach\w*)\b", expression):
            if name not in known:
                fault(f"{where}: Sources/Monitor/Metrics.swift writes no '{name}'")


def expressions():
    rules = []
    for number, (_, expression) in enumerate(queries()):
        for variable, value in (("$__rate_interval", "5m"), ("$instance", "a")):
            expression = expression.replace(variable, value)
        rules.append({"record": f"dashboard:query_{number}", "expr": expression})
    print(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))


def without_discovery():
    config = yaml.safe_load(read("cluster/prometheus/kubernetes.yml"))
    for job in config["scrape_configs"]:
        job.pop("kubernetes_sd_configs")
    print(yaml.safe_dump(config))


def dashboard():
    from grafana_foundation_sdk.cog import plugins
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    plugins.register_default_plugins()
    ours = json.loads(read("cluster/grafana/dashboards/pleach.json"))
    theirs = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(ours)))

    def compare(ours, theirs, path):
        # Grafana itself writes and reads `definition`; the schema leaves it out.
        if path.endswith("/definition"):
            return
        if isinstance(ours, dict) and isinstance(theirs, dict):
            for key in ours:
                compare(ours[key], theirs.get(key, KeyError), f"{path}/{key}")
        elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
            for number, pair in enumerate(zip(ours, theirs)):
                compare(*pair, f"{path}/{number}")
        elif ours != theirs:
            fault(f"dashboard{path}: {ours!r} is not known to Grafana's models")

    compare(ours, theirs, "")
    places = [(panel["id"], panel["gridPos"]) for panel in panels()]
    if len({number for number, _ in places}) != len(places):
        fault("dashboard: two panels have one id")
    for number, a in places:
        if a["x"] + a["w"] > 24:
            fault(f"dashboard: panel {number} leaves the grid")
        for other, b in places:
            beside = a["x"] >= b["x"] + b["w"] or b["x"] >= a["x"] + a["w"]
            below = a["y"] >= b["y"] + b["h"] or b["y"] >= a["y"] + a["h"]
            if number < other and not beside and not below:
                fault(f"dashboard: panels {number} and {other} lie on each other")


run(metrics, dashboard, expressions, without_discovery)
