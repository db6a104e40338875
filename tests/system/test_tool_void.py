"""`tally void` of a server and of a directory."""

import json
import re
import tempfile
import unittest

import tool
from tallyd import Server

CUSTOMER = "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
WORKFLOW = "0f6b0a4e-7d0c-4c55-9a53-2f4d3c1c8a10"


def event(identity):
    return {"id": identity, "customer_id": CUSTOMER, "workflow_id": WORKFLOW,
            "time": "2023-01-31T23:59:59.999Z", "credits": 0.1, "documents": 1}


class Void(unittest.TestCase):
    def setUp(self):
        self.server = Server("--shards", "2")
        self.addCleanup(self.server.remove)
        self.where = ("--server", f"http://127.0.0.1:{self.server.address[1]}")

    def send(self, *identities):
        answer = self.server.post([event(one) for one in identities])
        self.assertEqual((answer.status, answer.json()["accepted"]), (200, len(identities)), answer)

    def void(self, *arguments, reason="ran twice"):
        return tool.run("void", "--customer", CUSTOMER, "--reason", reason, *arguments,
                        *self.where)

    def check(self, result, code, out, err=""):
        self.assertEqual((result.code, result.out), (code, out), result)
        self.assertRegex(result.err, f"^{err}$" if err == "" else err)

    def left(self):
        rows = self.server.rows(CUSTOMER, WORKFLOW, "monthly", "2023-01", "2023-01")
        return rows[0]["processed_credits"]

    def test_words(self):
        self.send("a", "b", "c")
        self.check(self.void("a", "c"), 0, "2 voided, 0 were void before, 0 rejected\n")
        self.assertEqual(self.left(), "0.1")
        self.check(self.void("a", "b", reason="and b"), 0,
                   "1 voided, 1 were void before, 0 rejected\n")
        self.assertEqual(self.left(), 0)
        found = self.server.get(f"/v1/events?customer_id={CUSTOMER}&id=b").json()["events"][0]
        self.assertEqual((found["status"], found["reason"]), ("voided", "and b"))

    def test_an_unknown_id_is_told_and_the_others_are_voided(self):
        self.send("a")
        self.check(self.void("x\x1b", "a"), 1, "1 voided, 0 were void before, 1 rejected\n",
                   r"^x\S*: unknown_id: no event of this customer .*since \d{4}-")
        self.assertEqual(self.left(), 0)

    def test_ids_of_a_file(self):
        """More than one request takes; lines end as on any system, and one source is for all."""
        ids = [f"id-{number}" for number in range(10050)]
        self.send(*ids[:9000])
        self.send(*ids[9000:])
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as file:
            file.write("\r\n".join(ids) + "\n\n")
            file.flush()
            self.void_file(file.name)

    def void_file(self, path):
        self.check(self.void("--file", path, "id-7"), 0,
                   "10050 voided, 1 were void before, 0 rejected\n")
        self.assertEqual(self.left(), 0)
        answers = self.void("--json", "--file", path).out.splitlines()
        self.assertEqual([json.loads(line)["already_voided"] for line in answers], [10000, 50])
        self.check(self.void("--source", "/elsewhere", "id-1"), 1,
                   "0 voided, 0 were void before, 1 rejected\n", "unknown_id")

    def test_what_is_refused(self):
        self.send("a")
        self.check(self.void(), 2, "", "no id is given")
        self.check(self.void("--file", "/nowhere"), 2, "", "/nowhere: No such file")
        self.check(self.void("", "a"), 1, "", "body.ids: 0 bytes; a text of 1 to 128 bytes")
        self.check(self.void("a", reason="r" * 257), 1, "", "body.reason: 257 bytes; .* 256 bytes")
        self.check(tool.run("void", "--customer", CUSTOMER, "a", *self.where), 2, "",
                   "it needs --reason TEXT")
        self.assertEqual(self.left(), "0.1")

    def test_a_directory(self):
        self.send("a", "b")
        self.server.stop()
        self.where = ("--data", self.server.directory)
        self.check(self.void("a"), 0, "1 voided, 0 were void before, 0 rejected\n")
        self.check(self.void("a"), 0, "0 voided, 1 were void before, 0 rejected\n")
        usage = tool.run("usage", "--customer", CUSTOMER, "--workflow", WORKFLOW, "--start",
                         "2023-01", "--end", "2023-01", "--csv", *self.where)
        self.assertRegex(usage.out, re.compile("^2023-01,0.1", re.M))


if __name__ == "__main__":
    tool.main()
