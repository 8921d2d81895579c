#!/usr/bin/env python3
"""Makes the Grafana dashboards, and the Kubernetes objects that carry them and the alerts.

  monitoring/generate.py           write the files
  monitoring/generate.py --check   fail when a file is not what would be written
"""
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LABELS = "app.kubernetes.io/name: escapement, app.kubernetes.io/instance: escapement, app.kubernetes.io/part-of: escapement"
DASHBOARDS = ROOT / "monitoring/grafana/dashboards"
COMPONENT = ROOT / "k8s/components/pod-monitor"


def quantile(q, name, by=""):
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({name}_bucket[$__rate_interval])))"


def rate(name, by="", selector=""):
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({name}{selector}[$__rate_interval]))"


# Panels: (title, unit, [(expression, legend)], kind). Widths are given by the kind.
OVERVIEW = [
    ("Leader", "none", [("sum(escapement_leader)", "leaders")], "stat"),
    ("Shards without ticker", "none", [("max(escapement_shards_unowned)", "shards")], "stat"),
    ("Oldest overdue fire", "s", [("max(escapement_oldest_overdue_seconds)", "age")], "stat"),
    ("Later than 1 s (1 h)", "percentunit", [("escapement:fire_lateness:slo_error_ratio_1h", "share")], "stat"),
    ("Fires", "ops", [(rate("escapement_fires_total", "outcome"), "{{outcome}}")], "wide"),
    ("Lateness, due instant to Kafka", "s",
     [(quantile(0.5, "escapement_fire_lateness_seconds"), "p50"),
      (quantile(0.99, "escapement_fire_lateness_seconds"), "p99"),
      (quantile(0.999, "escapement_fire_lateness_seconds"), "p99.9")], "wide"),
    ("Not fired, by reason", "ops", [(rate("escapement_fires_skipped_total", "reason"), "{{reason}}")], "wide"),
    ("Members", "none", [("sum by (role, state) (escapement_members)", "{{role}} {{state}}")], "wide"),
    ("Dependencies (0: no process reaches it)", "none",
     [("max by (dependency) (escapement_dependency_up)", "{{dependency}}")], "wide"),
    ("Activation records waiting", "none", [("sum(escapement_activation_pending)", "records")], "wide"),
    ("Versions", "none", [("count by (version, role) (escapement_build_info)", "{{role}} {{version}}")], "wide"),
    ("Memory", "bytes", [("process_resident_memory_bytes{job=~\"escapement.*\"}", "{{instance}}")], "wide"),
]
COORDINATOR = [
    ("Leader", "none", [("escapement_leader", "{{instance}}")], "wide"),
    ("Epoch of the leader", "none", [("max(escapement_leader_epoch)", "epoch")], "wide"),
    ("Members", "none", [("sum by (role, state) (escapement_members)", "{{role}} {{state}}")], "wide"),
    ("Schedules", "none", [("sum by (state) (escapement_schedules)", "{{state}}")], "wide"),
    ("Shards without ticker", "none", [("max(escapement_shards_unowned)", "shards")], "wide"),
    ("Shards moved, by reason", "ops", [(rate("escapement_shard_handovers_total", "reason"), "{{reason}}")], "wide"),
    ("API requests", "ops",
     [(rate("http_server_request_duration_seconds_count", "http_response_status_code"),
       "{{http_response_status_code}}")], "wide"),
    ("API duration, p99 by route", "s",
     [(quantile(0.99, "http_server_request_duration_seconds", "http_route"), "{{http_route}}")], "wide"),
    ("PostgreSQL reached", "none",
     [("escapement_dependency_up{dependency=\"postgres\"}", "{{instance}}")], "wide"),
]
TICKER = [
    ("Shards held", "none", [("escapement_shards_owned", "{{instance}}")], "wide"),
    ("Fires due soon", "none", [("sum by (horizon) (escapement_upcoming_fires)", "within {{horizon}}")], "wide"),
    ("Heartbeats, by answer", "ops", [(rate("escapement_lease_renewals_total", "outcome"), "{{outcome}}")], "wide"),
    ("Schedules and one-shots in memory", "none", [("escapement_timers_pending", "{{instance}}")], "wide"),
    ("Handed to lanes", "ops", [(rate("escapement_ticker_fires_total", "instance"), "{{instance}}")], "wide"),
    ("Batches", "ops", [(rate("escapement_ticker_batches_total", "instance"), "{{instance}}")], "wide"),
    ("Lateness, due instant to hand-off", "s",
     [(quantile(0.5, "escapement_tick_lateness_seconds"), "p50"),
      (quantile(0.99, "escapement_tick_lateness_seconds"), "p99")], "wide"),
    ("Work per tick, p99", "s",
     [(quantile(0.99, "escapement_tick_duration_seconds", "instance"), "{{instance}}")], "wide"),
    ("Overdue fires", "none", [("escapement_overdue_fires", "{{instance}}")], "wide"),
    ("Refused as deposed owner", "ops",
     [(rate("escapement_fencing_rejections_total", "instance"), "{{instance}}")], "wide"),
    ("Schedules not understood", "none",
     [("sum by (instance) (escapement_unreadable_schedules_total)", "{{instance}}")], "wide"),
    ("CPU", "percentunit",
     [("rate(process_cpu_seconds_total{job=~\"escapement.*ticker.*|escapement\"}[$__rate_interval])",
       "{{instance}}")], "wide"),
]
DISPATCHER = [
    ("Lanes held", "none", [("escapement_lanes_owned", "{{instance}}")], "wide"),
    ("Records to Kafka", "ops", [(rate("escapement_dispatch_attempts_total", "instance"), "{{instance}}")], "wide"),
    ("Errors of publishing", "ops", [(rate("escapement_dispatch_errors_total", "error"), "{{error}}")], "wide"),
    ("One publish of a lane", "s",
     [(quantile(0.5, "escapement_dispatch_duration_seconds"), "p50"),
      (quantile(0.99, "escapement_dispatch_duration_seconds"), "p99")], "wide"),
    ("In flight and waiting", "none",
     [("sum(escapement_dispatch_inflight)", "fires in flight"),
      ("sum(escapement_dispatch_queue_depth)", "batches waiting")], "wide"),
    ("Lane takeover, p99", "s", [(quantile(0.99, "escapement_lane_takeover_duration_seconds"), "p99")], "wide"),
    ("Refusals to tickers", "ops", [(rate("escapement_fire_refusals_total", "code"), "{{code}}")], "wide"),
    ("Producers replaced", "ops", [(rate("escapement_producers_recycled_total", "instance"), "{{instance}}")], "wide"),
    ("Dead letters", "ops", [(rate("escapement_dead_letters_total", "reason"), "{{reason}}")], "wide"),
    ("OpenWhisk triggers without an active rule", "ops",
     [(rate("escapement_http_no_rule_total", "instance"), "{{instance}}")], "wide"),
    ("Activation records written", "ops",
     [(rate("escapement_activation_writes_total", "outcome"), "{{outcome}}")], "wide"),
    ("Activation records waiting", "none", [("sum(escapement_activation_pending)", "records")], "wide"),
    ("Oldest waiting record", "s", [("max(escapement_activation_oldest_pending_seconds)", "age")], "wide"),
]


def dashboard(uid, title, panels):
    made, x, y = [], 0, 0
    for number, (name, unit, targets, kind) in enumerate(panels, start=1):
        width, height = (6, 4) if kind == "stat" else (12, 8)
        if x + width > 24:
            x, y = 0, y + height_before
        made.append({
            "id": number, "title": name, "type": "stat" if kind == "stat" else "timeseries",
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "gridPos": {"h": height, "w": width, "x": x, "y": y},
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "options": {} if kind == "stat" else {"tooltip": {"mode": "multi", "sort": "desc"}},
            "targets": [
                {"refId": chr(65 + index), "expr": expression, "legendFormat": legend,
                 "datasource": {"type": "prometheus", "uid": "${datasource}"}}
                for index, (expression, legend) in enumerate(targets)
            ],
        })
        x, height_before = x + width, height
    return {
        "uid": uid, "title": title, "tags": ["escapement"], "schemaVersion": 41, "version": 1, "editable": True,
        "time": {"from": "now-1h", "to": "now"}, "refresh": "15s", "timezone": "browser",
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}]},
        "links": [{"title": "Escapement", "type": "dashboards", "tags": ["escapement"], "asDropdown": True}],
        "annotations": {"list": []}, "panels": made,
    }


def indented(text, spaces):
    return "".join(" " * spaces + line if line.strip() else line for line in text.splitlines(keepends=True))


def files():
    boards = {
        "overview": dashboard("escapement-overview", "Escapement / Overview", OVERVIEW),
        "coordinator": dashboard("escapement-coordinator", "Escapement / Coordinators", COORDINATOR),
        "ticker": dashboard("escapement-ticker", "Escapement / Tickers", TICKER),
        "dispatcher": dashboard("escapement-dispatcher", "Escapement / Dispatchers", DISPATCHER),
    }
    made = {DASHBOARDS / f"{name}.json": json.dumps(board, indent=2) + "\n" for name, board in boards.items()}
    note = "# Made by monitoring/generate.py; do not edit.\n"
    rules = (ROOT / "monitoring/prometheus/alerts.yaml").read_text()
    groups = rules[rules.index("groups:"):]
    made[COMPONENT / "rules.yaml"] = (
        note + "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: escapement\n"
        f"  labels: {{{LABELS}}}\nspec:\n" + indented(groups, 2))
    maps = [
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n"
        f"  name: escapement-dashboard-{name}\n  labels: {{grafana_dashboard: \"1\", {LABELS}}}\n"
        f"data:\n  escapement-{name}.json: |\n" + indented(made[DASHBOARDS / f"{name}.json"], 4)
        for name in boards
    ]
    made[COMPONENT / "dashboards.yaml"] = note + "---\n".join(maps)
    return made


def main():
    stale = []
    for path, text in files().items():
        if not path.exists() or path.read_text() != text:
            stale.append(str(path.relative_to(ROOT)))
            if "--check" not in sys.argv:
                path.write_text(text)
    if "--check" in sys.argv and stale:
        sys.exit(f"run monitoring/generate.py: out of date: {', '.join(stale)}")


main()
