"""Alert rules, scrape configurations and the dashboard: monitoring.py metrics|scrapes|dashboard|expressions|config|served.

`expressions` and `config NAME TOKEN-FILE` print YAML for promtool; `served URL` asks a Prometheus that has watched a run.
"""
import json
import os
import re
import time
import urllib.parse
import urllib.request

import yaml

from common import documents, fault, read, run, walk


def panels():
    return json.loads(read("cluster/grafana/dashboards/pleach.json"))["panels"]


def queries():
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def families():
    """Names to their labels, as docs/metrics.md promises them; a test of the program holds it to that page."""
    found = {}
    for name, labels, kind in re.findall(r"^\| `(\w+)(?:\{([\w,]+)\})?` \| (\w+) \|", read("docs/metrics.md"), re.M):
        labels = set(filter(None, labels.split(",")))
        for suffix in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            found[name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return found


def metrics():
    known = families()
    if len(known) < 20:
        fault(f"only {len(known)} families found: docs/metrics.md is written otherwise than this check reads it")
    used = [("rules.yml", expression) for expression in walk(documents("cluster/prometheus/rules.yml"), "expr")]
    used += list(queries())
    for where, expression in used:
        plain = re.sub(r'"[^"]*"', '""', expression)
        for name, matchers in re.findall(r"\b(p(?:leach|rocess)_\w+)(?:\{([^}]*)\})?", plain):
            if name not in known:
                fault(f"{where}: docs/metrics.md has no '{name}'")
                continue
            for label in set(re.findall(r"(\w+)\s*[=!]", matchers)) - known[name] - {"job", "instance"}:
                fault(f"{where}: '{name}' has no label '{label}'")


def scrapes():
    """Every scrape brings the token, from a file; what it is sent to and where it lies agree with who is started."""
    compose = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", read("docker-compose.yml")))["services"]
    coordinator = documents("cluster/kubernetes/coordinator/statefulset.yaml")[0]
    ports = {port["name"] for found in walk(coordinator, "ports") for port in found}
    for name in ("prometheus", "systemd", "kubernetes"):
        path = f"cluster/prometheus/{name}.yml"
        for job in yaml.safe_load(read(path))["scrape_configs"]:
            authorization = job.get("authorization", {})
            if authorization.get("type") != "Bearer" or not authorization.get("credentials_file"):
                fault(f"{path}: job {job['job_name']} brings no token from a file")
            if "credentials" in authorization:
                fault(f"{path}: job {job['job_name']} has a token in it")
            for found in walk(job.get("static_configs", []), "targets"):
                for host, port in (target.rsplit(":", 1) for target in found):
                    if name == "prometheus" and not serves(compose.get(host, {}), port):
                        fault(f"{path}: docker-compose.yml starts nobody who answers at {host}:{port} for a token")
            for discovery in job.get("kubernetes_sd_configs", []):
                if discovery.get("namespaces", {}).get("names") != ["pleach"]:
                    fault(f"{path}: the token would go to pods of other namespaces")
                if not any(rule.get("action") == "keep" and rule["regex"] in ports for rule in job["relabel_configs"]):
                    fault(f"{path}: keeps none of the coordinator's ports {sorted(ports)}")
            folder = os.path.dirname(authorization.get("credentials_file", ""))
            mounts = [volume.split(":")[1:] for volume in compose["prometheus"]["volumes"]]
            if name == "prometheus" and [folder, "ro"] not in mounts:
                fault(f"{path}: {folder} is not mounted, for reading, in docker-compose.yml's prometheus")


def serves(service, port):
    words = [str(word) for word in service.get("command", [])]
    return f"--http=0.0.0.0:{port}" in words and any(word.startswith("--http-token=") for word in words)


def without_variables(expression, instance):
    return expression.replace("$__rate_interval", "5m").replace("$instance", instance)


def expressions():
    rules = []
    for number, (_, expression) in enumerate(queries()):
        rules.append({"record": f"dashboard:query_{number}", "expr": without_variables(expression, "a")})
    print(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))


def config(name, token):
    """As promtool can check it here: the token's file is one that is there, and Debian's build knows no Kubernetes."""
    config = yaml.safe_load(read(f"cluster/prometheus/{name}.yml"))
    for job in config["scrape_configs"]:
        job["authorization"]["credentials_file"] = token
        job.pop("kubernetes_sd_configs", None)
    print(yaml.safe_dump(config))


def served(url):
    """Every family that is promised was scraped with its labels, every query of the dashboard finds something, no rule fails."""
    def ask(path, **arguments):
        with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(arguments)}", timeout=30) as answer:
            return json.load(answer)["data"]

    now = time.time()
    seen = {}
    for series in ask("series", **{"match[]": '{job="pleach"}', "start": now - 600, "end": now}):
        seen.setdefault(series["__name__"], set()).update(set(series) - {"__name__", "job", "instance"})
    instances = ask("label/instance/values", **{"match[]": 'pleach_run_info{job="pleach"}'})
    for name, labels in families().items():
        if name not in seen:
            fault(f"{name}: was not served in the whole run")
        elif seen[name] != labels:
            fault(f"{name}: has the labels {sorted(seen[name])}, docs/metrics.md says {sorted(labels)}")
    for title, expression in queries():
        query = without_variables(expression, instances[0] if instances else "")
        if not ask("query_range", query=query, start=now - 300, end=now, step="0.25")["result"]:
            fault(f"dashboard, {title}: finds nothing: {query}")
    rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
    for rule in rules:
        if rule["health"] != "ok":
            fault(f"rules.yml, {rule['name']}: {rule.get('lastError', rule['health'])}")
    if not rules:
        fault("rules.yml: Prometheus has no rules")


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


run(metrics, scrapes, dashboard, expressions, config, served)
