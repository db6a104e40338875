"""`tally export` against a real server: files that are whole, cursors that miss nothing, and a round
trip by `tally import` to a server that then says the same."""

import csv
import decimal
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import tallyd
from tallyd import Server

TALLY = os.environ.get("TALLY", "")
SECONDS = 120  # that anything may take on a loaded machine
FREQUENCIES = {"monthly": ("2022-12", "2023-03"), "weekly": ("2022-W52", "2023-W09"),
               "daily": ("2022-12-28", "2023-03-02"),
               "hourly": ("2023-01-30T00Z", "2023-02-03T00Z")}


class ExportCase(unittest.TestCase):
    def setUp(self):
        self.rng = tallyd.make_random()
        self.directory = tempfile.mkdtemp(prefix="tally-export-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.server = self.start_server()
        self.customers = sorted(tallyd.random_uuid(self.rng) for _ in range(4))
        self.workflows = sorted(tallyd.random_uuid(self.rng) for _ in range(3))
        self.sent = 0

    def start_server(self, *options):
        server = Server("--shards", "2", *options)
        self.addCleanup(server.remove)
        return server

    def path(self, name):
        return os.path.join(self.directory, name)

    def read(self, name):
        with open(self.path(name), newline="", encoding="utf-8") as file:
            return file.read()

    def environment(self, server):
        return {**os.environ, "TALLY_SERVER": "http://%s:%d" % server.address}

    def tally(self, *arguments, code=0, server=None):
        done = subprocess.run([TALLY, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              env=self.environment(server or self.server), cwd=self.directory,
                              timeout=SECONDS, check=False)
        error = done.stderr.decode()
        self.assertEqual(done.returncode, code, (arguments, error))
        self.assertNotRegex(error, "Sanitizer|runtime error")
        return done.stdout.decode(), error

    def make_events(self, count):
        """Events of all kinds: texts that CSV must quote, exact credits, with and without times."""
        events = []
        for number in range(self.sent, self.sent + count):
            event = {"id": self.rng.choice(("e%d", "e,%d", 'e"%d"', " e%d", "e%d\u00e9\n")) % number,
                     "customer_id": self.rng.choice(self.customers),
                     "workflow_id": self.rng.choice(self.workflows),
                     "credits": str(decimal.Decimal(self.rng.randint(-10**9, 10**12)) / 10**6),
                     "documents": self.rng.randint(0, 3), "pages": self.rng.randint(0, 2**32 - 1),
                     "processing_ms": self.rng.randint(0, 2**40)}
            if self.rng.random() < 0.8:
                event["time"] = (f"2023-0{self.rng.randint(1, 2)}-{self.rng.randint(1, 28):02}"
                                 f"T{self.rng.randint(0, 23):02}:59:59.{self.rng.randint(0, 999):03}Z")
            if self.rng.random() < 0.5:
                event["user_id"] = self.rng.choice(("ann", "a, \"b\"", "\u00fc\r\nx"))
            events.append(event)
        self.sent += count
        return events

    def send(self, count):
        events = self.make_events(count)
        answer = self.server.post(events)
        self.assertEqual((answer.status, answer.json()["rejected"]), (200, []), answer)
        return [event["id"] for event in events]

    def rollups(self, server):
        """What the server says about everything, in every frequency."""
        today = server.get("/v1/status").json()["started"][:7]
        ranges = [*FREQUENCIES.items(), ("monthly", (today, "2100-01"))]
        return [server.rows(customer, workflow, frequency, *ends)
                for customer in self.customers for workflow in self.workflows
                for frequency, ends in ranges]


class Events(ExportCase):
    def void_some(self):
        """What was voided must not count again somewhere else."""
        for event in self.server.get("/v1/events?limit=3").json()["events"]:
            answer = self.server.post({"customer_id": event["customer_id"], "ids": [event["id"]],
                                       "reason": "a test"}, target="/v1/events/void")
            self.assertEqual(answer.json()["voided"], 1, answer)

    def expect_round_trip(self, name, form):
        self.void_some()
        self.tally("export", "events", "--format", form, "--output", name)
        other = self.start_server()
        self.tally("import", "--quiet", name, server=other)
        self.assertEqual(self.rollups(other), self.rollups(self.server))
        again, _ = self.tally("export", "events", "--format", form, server=other)
        strip = self.without_received
        self.assertEqual(strip(again, form), strip(self.read(name), form))

    @staticmethod
    def without_received(text, form):
        rows = (list(csv.DictReader(io.StringIO(text, newline=""))) if form == "csv"
                else [json.loads(line, parse_float=str) for line in text.splitlines()])
        return sorted(json.dumps({**row, "received": None}, sort_keys=True) for row in rows)

    def test_csv_goes_round(self):
        self.send(3000)
        self.expect_round_trip("events.csv", "csv")

    def test_ndjson_goes_round(self):
        self.send(3000)
        self.expect_round_trip("events.ndjson", "ndjson")

    def test_csv_has_every_field(self):
        event = {"id": "a,\"b\"\n", "customer_id": self.customers[0],
                 "workflow_id": self.workflows[0], "time": "2023-01-31T23:59:59.999Z",
                 "credits": "-0.000001", "documents": 1, "pages": 2, "processing_ms": 3,
                 "user_id": "ann"}
        self.server.post(event)
        out, error = self.tally("export", "events", "--format=csv")
        row, = csv.DictReader(io.StringIO(out, newline=""))
        self.assertRegex(row.pop("received"), r"^20..-")
        self.assertEqual(row, {**{name: str(value) for name, value in event.items()}, "source": ""})
        self.assertRegex(error, r"tally export: 1 events; cursor [0-9.]+\n")

    def test_more_than_a_page(self):
        """Memory is bounded by pages, so there must be several, without a seam."""
        ids = [identity for _ in range(4) for identity in self.send(6000)]
        out, _ = self.tally("export", "events")
        self.assertEqual(sorted(json.loads(line)["id"] for line in out.splitlines()), sorted(ids))

    def test_a_customer(self):
        self.send(200)
        out, _ = self.tally("export", "events", "--customer", self.customers[1])
        events = [json.loads(line) for line in out.splitlines()]
        self.assertEqual({event["customer_id"] for event in events}, {self.customers[1]})

    def test_a_cursor_file_exports_each_event_once(self):
        """Every night's file has what came since the last one, and a failed one takes nothing."""
        ids, got = [], []
        for night in range(4):
            ids += self.send(50)
            if night == 2:  # The output cannot be written: the cursor must stay.
                before = self.read("cursor")
                self.tally("export", "events", "--cursor-file", "cursor", "--output", "none/x",
                           code=1)
                self.assertEqual(self.read("cursor"), before)
            if night == 3:
                self.server.stop()
                self.server.start()
            self.tally("export", "events", "--cursor-file", "cursor", "--output", f"{night}")
            got += [json.loads(line)["id"] for line in self.read(str(night)).splitlines()]
        self.assertEqual(sorted(got), sorted(ids))
        self.tally("export", "events", "--cursor-file", "cursor", "--output", "empty")
        self.assertEqual(self.read("empty"), "")

    def test_csv_that_is_continued_has_one_header(self):
        text = ""
        for _ in range(2):
            self.send(10)
            text += self.tally("export", "events", "--format", "csv", "--cursor-file", "c")[0]
        self.assertEqual(len(list(csv.DictReader(io.StringIO(text, newline="")))), 20)

    def test_after_goes_on_where_an_export_ended(self):
        self.send(5)
        _, error = self.tally("export", "events")
        cursor = error.split()[-1]
        ids = self.send(5)
        out, _ = self.tally("export", "events", "--after", cursor)
        self.assertEqual(sorted(json.loads(line)["id"] for line in out.splitlines()), sorted(ids))

    def test_follow_gives_what_arrives(self):
        """A tail that outlives a restart of its server; its cursor is where it ended."""
        self.send(3)
        with subprocess.Popen([TALLY, "export", "events", "--follow", "--cursor-file", "cursor"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              env=self.environment(self.server), cwd=self.directory) as process:
            try:
                for count in (3, 1, 4):
                    for _ in range(count):
                        self.assertIn("id", json.loads(process.stdout.readline()))
                    if count == 3:
                        self.send(1)
                    elif count == 1:
                        address = "%s:%d" % self.server.address
                        self.server.stop()
                        self.server.options += ["--http", address]
                        self.server.start()
                        self.send(4)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(SECONDS)
        self.tally("export", "events", "--cursor-file", "cursor", "--output", "rest")
        # The last page may come again: it is kept before its cursor is.
        self.assertLessEqual(len(self.read("rest").splitlines()), 4)

    def test_a_reader_that_goes_is_no_failure_to_talk_about(self):
        self.send(3000)
        process = subprocess.Popen([TALLY, "export", "events", "--quiet"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.environment(self.server))
        process.stdout.readline()
        process.stdout.close()
        error = process.stderr.read()
        process.stderr.close()
        self.assertEqual((process.wait(SECONDS), error), (-signal.SIGPIPE, b""))

    def test_what_cannot_be_written_is_told(self):
        self.send(3)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([TALLY, "export", "events"], stdout=full, stderr=subprocess.PIPE,
                                  env=self.environment(self.server), timeout=SECONDS, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output: No space left on device", done.stderr)

    def test_a_foreign_cursor_is_refused(self):
        _, error = self.tally("export", "events", "--after", "0.0.7.7.7", code=1)
        self.assertIn("query.after: a cursor of another database", error)
        with open(self.path("cursor"), "w", encoding="utf-8") as file:
            file.write("x" * 10000)
        _, error = self.tally("export", "events", "--cursor-file", "cursor", code=1)
        self.assertIn("holds no cursor", error)

    def test_wrong_command_lines_send_nothing(self):
        for arguments, message in (
                ((), "usage or events"), (("all",), "usage or events"),
                (("events", "usage"), "usage or events"),
                (("events", "--start", "2023-01"), "for usage"),
                (("events", "--follow", "--output", "x"), "never completes"),
                (("events", "--after", "0.0.1", "--cursor-file", "c"), "where to begin"),
                (("events", "--format", "xml"), "csv"),
                (("usage", "--start", "2023-01"), "--customer"),
                (("usage", "--customer", self.customers[0]), "--start"),
                (("usage", "--customer", self.customers[0], "--start", "2023-01", "--follow"),
                 "for events")):
            _, error = self.tally("export", *arguments, code=2)
            self.assertIn(message, error, arguments)
        self.assertEqual(os.listdir(self.directory), [])

    def test_a_directory_that_no_server_holds(self):
        ids = self.send(100)
        self.server.stop()
        out, _ = self.tally("export", "events", "--data", self.server.directory)
        self.assertEqual(sorted(json.loads(line)["id"] for line in out.splitlines()), sorted(ids))

    def test_damage_is_told_and_can_be_passed_over(self):
        """A spoilt commit costs its own events only, and never goes unnoticed."""
        server = self.start_server("--dedup-window", "0", "--shards", "1")
        names = ("first", "spoil-this-one", "last")
        for name in names:
            server.post({"id": name, "customer_id": self.customers[0],
                         "workflow_id": self.workflows[0]})
        server.stop()
        path = os.path.join(server.directory, "shard-000", "data.mdb")
        with open(path, "r+b") as file:
            data = file.read()
            self.assertIn(b"spoil-this-one", data)
            file.seek(0)
            file.write(data.replace(b"spoil-this-one", b"spoil-this-0ne"))
        server.start()
        out, error = self.tally("export", "events", code=1, server=server)
        self.assertEqual([json.loads(line)["id"] for line in out.splitlines()], ["first"])
        self.assertIn("shard 0: journal value 2: checksum mismatch", error)
        self.assertIn("--skip-damaged", error)
        behind = error.split("--after ")[1].split()[0]
        out, error = self.tally("export", "events", "--after", behind, server=server)
        self.assertEqual([json.loads(line)["id"] for line in out.splitlines()], ["last"])
        out, error = self.tally("export", "events", "--skip-damaged", "--output", "x", code=1,
                                server=server)
        self.assertEqual([json.loads(line)["id"] for line in self.read("x").splitlines()],
                         ["first", "last"])
        self.assertIn("events of damaged values are missing", error)
        server.wait_logged("event=query_failed")

    def test_no_server_is_told(self):
        self.server.stop()
        _, error = self.tally("export", "events", "--output", "x", code=3)
        self.assertIn("no answer from", error)
        self.assertEqual(os.listdir(self.directory), [])


class Usage(ExportCase):
    def arguments(self, *more):
        return ("export", "usage", "--customer", self.customers[0], "--start", "2023-01",
                "--end", "2023-02", *more)

    def test_rows_of_all_workflows_are_those_of_the_server(self):
        self.send(1000)
        out, _ = self.tally(*self.arguments("--extended"))
        rows = list(csv.DictReader(io.StringIO(out, newline="")))
        wanted = [{"customer_id": self.customers[0], "workflow_id": workflow,
                   **{name: "" if value is None else str(value) for name, value in row.items()}}
                  for workflow in self.workflows
                  for row in self.server.rows(self.customers[0], workflow, "monthly", "2023-01",
                                              "2023-02")]
        self.assertEqual(rows, wanted)
        lines, _ = self.tally(*self.arguments("--extended", "--format", "ndjson"))
        self.assertEqual([{name: "" if value is None else str(value)
                           for name, value in json.loads(line, parse_float=str).items()}
                          for line in lines.splitlines()], wanted)

    def test_one_workflow_and_daily(self):
        self.send(1000)
        self.tally("export", "usage", "--customer", self.customers[0], "--workflow",
                   self.workflows[1], "--freq", "daily", "--start", "2023-01-01", "--end",
                   "2023-01-31", "--output", "x.csv")
        rows = list(csv.DictReader(io.StringIO(self.read("x.csv"), newline="")))
        self.assertEqual([row["date"] for row in rows],
                         [f"2023-01-{day:02}" for day in range(1, 32)])
        self.assertEqual({row["workflow_id"] for row in rows}, {self.workflows[1]})
        self.assertEqual(os.listdir(self.directory), ["x.csv"])

    def test_a_customer_without_usage_has_a_header_only(self):
        out, _ = self.tally(*self.arguments())
        self.assertEqual(out, "customer_id,workflow_id,date,processed_credits\n")

    def test_a_refusal_leaves_no_file(self):
        _, error = self.tally("export", "usage", "--customer", self.customers[0], "--start", "x",
                              "--output", "x.csv", code=1)
        self.assertIn("query.start", error)
        self.assertEqual(os.listdir(self.directory), [])


if __name__ == "__main__":
    if not os.access(TALLY, os.X_OK):
        sys.exit("TALLY must be the path of the tally that is to be tested")
    tallyd.main()
