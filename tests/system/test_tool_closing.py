"""`tally close` and `tally revisions` of a server and of a directory."""

import csv
import io
import json
import re
import unittest

import tallyd
import tool
from tallyd import Server

CUSTOMER = "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
STRANGER = "1a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
WORKFLOW = "0f6b0a4e-7d0c-4c55-9a53-2f4d3c1c8a10"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def event(identity, **more):
    return {"id": identity, "customer_id": CUSTOMER, "workflow_id": WORKFLOW,
            "time": "2023-01-31T23:59:59.999Z", "credits": 0.1, "documents": 1, "pages": 3,
            "processing_ms": 1200, **more}


class Closing(unittest.TestCase):
    def setUp(self):
        self.server = Server("--shards", "2")
        self.addCleanup(self.server.remove)
        self.where = ("--server", f"http://127.0.0.1:{self.server.address[1]}")

    def send(self, *events):
        answer = self.server.post(list(events))
        self.assertEqual((answer.status, answer.json()["accepted"]), (200, len(events)), answer)

    def run_tool(self, command, *arguments, customer=CUSTOMER):
        return tool.run(command, "--customer", customer, *arguments, *self.where)

    def check(self, result, code, out=None, err=""):
        self.assertEqual(result.code, code, result)
        for text, expected in ((result.out, out), (result.err, err)):
            if isinstance(expected, str):
                self.assertEqual(text, expected, result)
            elif expected is not None:
                self.assertRegex(text, expected)

    def close(self, through="2023-01"):
        result = self.run_tool("close", "--through", through)
        self.check(result, 0, re.compile(f"^customer {CUSTOMER} is closed through {through}, "
                                         f"since {TIME}\n$"))
        return result.out

    def make(self, revisions):
        """January closed with one event, then so many revisions."""
        self.send(event("a"))
        self.close()
        for number in range(1, revisions + 1):
            self.send(event(f"late-{number}", credits=2.5))

    def test_closing(self):
        self.send(event("a"))
        first = self.close()
        self.assertEqual(self.close(), first)
        answer = json.loads(self.run_tool("close", "--through", "2023-01", "--json").out)
        self.assertEqual((answer["customer_id"], answer["closed_through"]), (CUSTOMER, "2023-01"))
        self.assertIn(answer["closed_at"], first)

    def test_what_is_refused(self):
        self.send(event("a"))
        self.close()
        for through, text in (("2022-12", "409 Conflict: .* closed through 2023-01"),
                              ("9999-12", "query.through: 9999-12 has not ended"),
                              ("2023-01-31&x=y", "a month is allowed")):
            self.check(self.run_tool("close", "--through", through), 1, "", re.compile(text))
        self.check(self.run_tool("close", "--through", "2023-01", customer=STRANGER), 1, "",
                   re.compile("404 Not Found: no event of this customer"))
        self.check(self.run_tool("close"), 2, "", re.compile("it needs --through MONTH"))
        self.check(self.run_tool("revisions", "--json", "--csv"), 2, "",
                   re.compile("exclude each other"))

    def test_revisions_as_a_table(self):
        self.check(self.run_tool("revisions"), 0,
                   f"customer {CUSTOMER}\nno month is closed\nnothing has changed in closed months\n")
        self.make(0)
        self.check(self.run_tool("revisions"), 0, re.compile(
            f"^customer {CUSTOMER}\nclosed through 2023-01, since {TIME}\n\n"
            "nothing has changed in closed months\n$"))
        self.send(event("late", credits=2.5), event("later", pages=0))
        lines = self.run_tool("revisions").out.splitlines()
        self.assertEqual(len(lines), 5, lines)
        self.assertEqual(lines[3].split(), ["revision", "received", "workflow", "month", "events",
                                            "credits", "documents", "pages"])
        self.assertRegex(lines[4], rf"^ +1  {TIME}  {WORKFLOW}  2023-01  \+2 -0     "
                                   r"0\.1 > 2\.7 +1 > 3 +3 > 6$")

    def test_revisions_as_json_and_csv(self):
        self.make(3)
        answer = self.server.get(f"/v1/customers/{CUSTOMER}/revisions").json()
        self.assertEqual(json.loads(self.run_tool("revisions", "--json").out), answer)
        part = json.loads(self.run_tool("revisions", "--json", "--limit", "2").out)
        self.assertEqual(part, {**answer, "revisions": answer["revisions"][:2], "next": 2})
        rest = json.loads(self.run_tool("revisions", "--json", "--after", "2").out)
        self.assertEqual(rest["revisions"], answer["revisions"][2:])
        rows = list(csv.DictReader(io.StringIO(self.run_tool("revisions", "--csv").out)))
        self.assertEqual([(row["revision"], row["workflow_id"], row["month"], row["events"],
                           row["voided"]) for row in rows],
                         [(str(number), WORKFLOW, "2023-01", "1", "0") for number in (1, 2, 3)])
        self.assertEqual([row["old_processed_credits"] for row in rows], ["0.1", "2.6", "5.1"])
        self.assertEqual([row["new_processed_credits"] for row in rows], ["2.6", "5.1", "7.6"])
        self.assertEqual(rows[0]["new_average_time_per_page"], "0.4")
        self.assertEqual(rows[0]["new_processing_ms"], "2400")
        self.assertIn("later ones: --after 1\n", self.run_tool("revisions", "--limit", "1").out)

    def test_all_pages_are_read(self):
        self.make(1010)
        rows = list(csv.DictReader(io.StringIO(self.run_tool("revisions", "--csv").out)))
        self.assertEqual([row["revision"] for row in rows], [str(n) for n in range(1, 1011)])
        document = json.loads(self.run_tool("revisions", "--json").out)
        self.assertEqual([one["revision"] for one in document["revisions"]],
                         list(range(1, 1011)))
        self.assertIsNone(document["next"])

    def test_a_directory_is_closed_and_listed_too(self):
        self.make(2)
        told = self.run_tool("revisions", "--json").out
        self.server.stop()
        self.where = ("--data", self.server.directory)
        self.check(self.run_tool("revisions", "--json"), 0, told)
        self.close("2023-02")
        self.server.start()
        self.where = ("--server", f"http://127.0.0.1:{self.server.address[1]}")
        self.send(event("february", time="2023-02-01T00:00:00Z"))
        document = json.loads(self.run_tool("revisions", "--json").out)
        self.assertEqual((document["closed_through"], len(document["revisions"])), ("2023-02", 3))


if __name__ == "__main__":
    tool.main()
