"""docs/METRICS.md and the dashboard name the metrics that there are, all of them and no others."""

import json
import os
import re
import unittest

import tallyd
from tallyd import Server

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def served():
    """{name: type} as the server says."""
    with Server() as server:
        text = server.get("/metrics").body.decode()
        server.stop()
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


class Metrics(unittest.TestCase):
    def test_the_document_lists_every_metric_with_its_type(self):
        documented = {}
        for line in read("docs", "METRICS.md").splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if len(cells) >= 3 and cells[1] in ("counter", "gauge", "histogram"):
                for name in re.findall(r"`(\w+)(?:\{\w+\})?`", cells[0]):
                    documented[name] = cells[1]
        self.assertEqual(documented, served())

    def test_alerts_and_dashboard_ask_for_metrics_that_exist(self):
        names = served()
        board = json.loads(read("packaging", "grafana", "tally.json"))
        expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
        expressions += re.findall(r"^\| [^|]+ \| `([^`]+)`", read("docs", "METRICS.md"), re.MULTILINE)
        self.assertGreater(len(expressions), 20)
        for expression in expressions:
            found = re.findall(r"\b(?:tally|process)_\w+", expression)
            self.assertTrue(found, expression)
            for name in found:
                plain = re.sub(r"_(bucket|sum|count)$", "", name)
                self.assertTrue(name in names or names.get(plain) == "histogram", expression)


if __name__ == "__main__":
    tallyd.main()
