"""GET /v1/events and GET /v1/status of a running tallyd: audits and exports must miss nothing."""

import decimal
import json
import re
import threading
import unittest

import tallyd
from tallyd import Server

WORKFLOW = "0f6b0a4e-7d0c-4c55-9a53-2f4d3c1c8a10"
NDJSON = {"Accept": "application/x-ndjson"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class FeedCase(unittest.TestCase):
    shards = 3

    def setUp(self):
        self.rng = tallyd.make_random()
        self.server = Server("--shards", str(self.shards))
        self.addCleanup(self.server.remove)
        self.customers = [tallyd.random_uuid(self.rng) for _ in range(7)]

    def make(self, number, **fields):
        return {"id": f"e{number}", "customer_id": self.customers[number % 7],
                "workflow_id": WORKFLOW, "credits": number, **fields}

    def send(self, events):
        answer = self.server.post(events)
        self.assertEqual((answer.status, answer.json()["rejected"]), (200, []), answer)

    def get(self, query="", status=200):
        answer = self.server.get("/v1/events" + query)
        self.assertEqual(answer.status, status, answer)
        return json.loads(answer.body, parse_float=decimal.Decimal)

    def pages(self, limit, after=None, more=""):
        """All pages up to the end: (events, the last cursor)."""
        events = []
        while True:
            page = self.get(f"?limit={limit}{more}" + (f"&after={after}" if after else ""))
            self.assertLessEqual(len(page["events"]), limit)
            self.assertNotIn("trimmed", page)
            events += page["events"]
            after = page["next"]
            if page["end"]:
                return events, after

    def expect_wrong(self, query, name, message):
        body = self.get(query, 422)
        self.assertEqual([error["loc"] for error in body["errors"]], [["query", name]])
        self.assertRegex(body["errors"][0]["msg"], message)


class Feed(FeedCase):
    def test_an_event_comes_back_as_it_was_sent(self):
        """Every field is exact, and what was not given is not made up."""
        full = {"id": "a\"\u00e9\n", "customer_id": self.customers[0].upper(),
                "workflow_id": WORKFLOW, "time": "2023-02-01T01:00:00.5+02:00",
                "credits": "-999999999.999999", "documents": 4294967295, "pages": 7,
                "processing_ms": 1099511627776, "user_id": "ann"}
        bare = {"id": "b", "customer_id": self.customers[0], "workflow_id": WORKFLOW}
        self.send([full, bare])
        events, _ = self.pages(10)
        received = events[0]["received"]
        self.assertRegex(received, TIME)
        self.assertEqual(events, [
            {**full, "customer_id": self.customers[0], "time": "2023-01-31T23:00:00.500Z",
             "received": received, "credits": decimal.Decimal("-999999999.999999"),
             "status": "accepted"},
            {**bare, "received": received, "credits": 0, "documents": 0, "pages": 0,
             "processing_ms": 0, "status": "accepted"}])
        counted, _ = self.pages(10, more="&times=counted")
        self.assertEqual(counted[1], {**events[1], "time": received})
        self.assertEqual(counted[0], events[0])

    def test_pages_of_every_size_have_every_event_once(self):
        events = [self.make(number) for number in range(200)]
        while events:
            count = self.rng.randint(1, 60)
            self.send(events[:count])
            events = events[count:]
        for limit in (1, 7, 50, 199, 200, 201, 10000):
            got, cursor = self.pages(limit)
            self.assertEqual(sorted(int(event["id"][1:]) for event in got), list(range(200)))
            self.assertEqual(self.get(f"?after={cursor}"),
                             {"events": [], "next": cursor, "end": True})
        default, _ = self.pages(1000)
        self.assertEqual(default, self.get()["events"])

    def test_the_last_cursor_goes_on_with_what_arrives(self):
        """Tailing, across a restart: each event once, as soon as it is acknowledged."""
        seen, cursor = self.pages(10)
        self.assertEqual(seen, [])
        for number in range(30):
            self.send([self.make(number)])
            if number == 15:
                self.server.stop()
                self.server.start()
            events, cursor = self.pages(10, cursor)
            self.assertEqual([event["id"] for event in events], [f"e{number}"])

    def test_a_customer_is_filtered(self):
        self.send([self.make(number) for number in range(70)])
        for customer in self.customers:
            got, _ = self.pages(3, more=f"&customer_id={customer}")
            self.assertEqual([event["customer_id"] for event in got], [customer] * 10)
        got, _ = self.pages(3, more=f"&customer_id={tallyd.random_uuid(self.rng)}")
        self.assertEqual(got, [])

    def test_an_event_is_looked_up_by_its_id(self):
        """Support asks what became of one event: whatever else is kept, the answer is that event."""
        self.send([self.make(number) for number in range(70)])
        cloud = {"specversion": "1.0", "type": "usage", "source": "/a b", "id": "e7",
                 "subject": self.customers[0], "data": {"workflow_id": WORKFLOW, "credits": 99}}
        answer = self.server.post(cloud, "application/cloudevents+json")
        self.assertEqual(answer.json()["accepted"], 1)
        who = f"?customer_id={self.customers[0]}"
        page = self.get(who + "&id=e7")
        self.assertTrue(page["end"])
        self.assertEqual(sorted(event["credits"] for event in page["events"]), [7, 99])
        self.assertEqual(self.get(who + "&id=%657&source=/a%20b")["events"],
                         [event for event in page["events"] if event["credits"] == 99])
        self.assertEqual([event["credits"] for event in self.get(who + "&id=e7&source=")["events"]], [7])
        self.assertEqual(self.get(who + "&id=e1")["events"], [], "of another customer")
        self.assertEqual(self.get(who + "&id=e")["events"], [])
        self.expect_wrong("?id=e7", "id", "customer_id")
        self.expect_wrong("?source=x", "source", "customer_id")

    def test_events_of_a_time(self):
        """What a month was billed for: the events that count in it, one that says no time too."""
        times = ["2023-01-01T00:00:00Z", "2023-01-31T23:59:59.999Z", "2023-02-01T00:00:00Z",
                 "2023-02-28T12:00:00Z", "2023-02-28T12:00:00.001Z"]
        self.send([self.make(number, time=when) for number, when in enumerate(times)]
                  + [self.make(9)])
        for query, wanted in (
                ("start=2023-01&end=2023-01", [0, 1]), ("end=2023-01-31", [0, 1]),
                ("start=2023-02&end=2023-12", [2, 3, 4]), ("start=2024-01", [9]),
                ("start=2023-02-28T13:00:00%2b01:00&end=2023-02-28T12:00:00Z", [3]),
                ("received_end=2023-12-31", []), ("received_start=2024-01", [0, 1, 2, 3, 4, 9]),
                (f"start=2023-01&end=2023-02&customer_id={self.customers[1]}", [1])):
            page = self.get("?" + query)
            self.assertTrue(page["end"])
            self.assertEqual(sorted(int(event["id"][1:]) for event in page["events"]), wanted, query)
        got, _ = self.pages(1, more="&start=2023-01&end=2023-02")
        self.assertEqual(sorted(int(event["id"][1:]) for event in got), [0, 1, 2, 3, 4])
        self.expect_wrong("?start=2023", "start", "YYYY-MM")
        self.expect_wrong("?end=2023-02-30", "end", "does not exist")
        self.expect_wrong("?start=2023-02-01T00:00:00", "start", "zone")
        self.expect_wrong("?start=2023-02&end=2023-01", "end", "before the start")
        self.expect_wrong("?received_start=x", "received_start", "YYYY-MM")

    def test_lines_are_the_same_events(self):
        """NDJSON, and its cursor in headers; it can be sent as it is, and counts nothing again."""
        self.send([self.make(number, time="2023-01-15T10:00:00Z") for number in range(20)])
        lines, after = b"", ""
        while True:
            answer = self.server.get("/v1/events?limit=6" + after, NDJSON)
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.headers["content-type"], "application/x-ndjson")
            self.assertNotIn("tally-trimmed", answer.headers)
            lines += answer.body
            after = "&after=" + answer.headers["tally-next"]
            if answer.headers["tally-end"] == "true":
                break
            self.assertEqual(answer.headers["tally-end"], "false")
        self.assertEqual([json.loads(line, parse_float=decimal.Decimal)
                          for line in lines.splitlines()], self.get()["events"])
        again = self.server.post(lines, "application/x-ndjson").json()
        self.assertEqual((again["accepted"], again["duplicates"], again["rejected"]), (0, 20, []))

    def test_accept_chooses_the_form(self):
        self.send([self.make(0)])
        for accept, form in (("application/x-ndjson", "application/x-ndjson"),
                             ("APPLICATION/X-NDJSON;q=0.5", "application/x-ndjson"),
                             ("application/x-ndjson, */*;q=0.1", "application/x-ndjson"),
                             ("application/json;q=0.4,application/x-ndjson ; q=0.5",
                              "application/x-ndjson"),
                             ("application/json, application/x-ndjson;q=0.9", "application/json"),
                             ("application/x-ndjson;q=0", "application/json"),
                             ("application/x-ndjson;q=0.000", "application/json"),
                             ("*/*", "application/json"), ("", "application/json"),
                             (",;q=,;;", "application/json"), ("text/html", "application/json")):
            answer = self.server.get("/v1/events", {"Accept": accept})
            self.assertEqual((answer.status, answer.headers["content-type"]), (200, form), accept)

    def test_wrong_parameters_are_named(self):
        self.send([self.make(number) for number in range(7)])
        cursor = self.get("?limit=1")["next"]
        for limit in ("0", "10001", "-1", "1.0", "x", "", "99999999999999999999"):
            self.expect_wrong(f"?limit={limit}", "limit", "1 to 10000")
        for after in ("", "x", "0", cursor + ".", "." + cursor, "9" + cursor, "%00"):
            self.expect_wrong(f"?after={after}", "after", "cursor|percent")
        self.expect_wrong("?after=0.0.1", "after", "another number of shards")
        self.expect_wrong("?after=0.0.99999.99999.99999", "after",
                          "another database: shard 0 has no value")
        self.expect_wrong("?after=" + "1." * 3000, "after", "longer than|cursor")
        self.expect_wrong("?customer_id=1", "customer_id", "UUID")
        self.expect_wrong("?times=all", "times", "given and counted")
        self.expect_wrong("?limit=1&limit=1", "limit", "more than once")

    def test_pages_are_whole_while_events_arrive(self):
        """Readers and writers at once: nothing is missing, nothing comes twice."""
        failures = []

        def write(first):
            try:
                for number in range(first, first + 500, 25):
                    self.send([self.make(number + i) for i in range(25)])
            except BaseException as failure:  # shown by the main thread
                failures.append(failure)

        writers = [threading.Thread(target=write, args=(1000 * i,)) for i in range(3)]
        for writer in writers:
            writer.start()
        seen, cursor = [], None
        while True:
            stopped_before = not any(writer.is_alive() for writer in writers)
            events, cursor = self.pages(37, cursor)
            seen += [event["id"] for event in events]
            if stopped_before:
                break
        for writer in writers:
            writer.join()
        self.assertEqual(failures, [])
        self.assertEqual(len(seen), len(set(seen)))
        self.assertEqual(len(seen), 1500)


class Trimming(unittest.TestCase):
    def test_a_reader_is_told_what_is_gone(self):
        """Old events leave the journal; the cursor goes on with the oldest left and says so."""
        with Server("--shards", "1", "--dedup-window", "0", "--journal-retention", "1ms") as server:
            customer = "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"

            def send(identity):
                answer = server.post({"id": identity, "customer_id": customer,
                                      "workflow_id": WORKFLOW})
                self.assertEqual(answer.json()["accepted"], 1, answer)

            send("a")
            send("b")
            server.stop()  # which writes all months, so that the journal may be trimmed
            server.start()
            # The first commit trims what is older than a millisecond, and more may follow.
            send("c")
            send("d")
            answer = server.get("/v1/events?after=0.0.1")
            page = answer.json()
            self.assertTrue(page["trimmed"], page)
            self.assertNotIn("a", [event["id"] for event in page["events"]])
            lines = server.get("/v1/events?after=0.0.1", NDJSON)
            self.assertEqual(lines.headers["tally-trimmed"], "true")
            server.stop()


class Status(unittest.TestCase):
    def test_an_operator_sees_the_numbers(self):
        with Server("--shards", "2", "--dedup-window", "3h") as server:
            customer = "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
            event = {"id": "a", "customer_id": customer, "workflow_id": WORKFLOW}
            before = server.get("/v1/status").json()
            self.assertIsNone(before["journal"]["oldest_received"])
            server.post([event, event, {"id": "b"}])
            status = server.get("/v1/status").json()
            self.assertRegex(status["version"], r"^\d+\.\d+\.\d+$")
            self.assertEqual(status["pid"], server.process.pid)
            self.assertRegex(status["started"], TIME)
            self.assertGreaterEqual(status["uptime_ms"], before["uptime_ms"])
            self.assertEqual((status["ready"], status["reason"], status["draining"]),
                             (True, None, False))
            self.assertGreaterEqual(status["connections"], 1)
            self.assertEqual(status["events"]["accepted"], 1)
            self.assertEqual(status["events"]["duplicate"], 1)
            self.assertEqual(status["events"]["missing_field"], 1)
            self.assertEqual(status["dedup"]["window_ms"], 3 * 3600 * 1000)
            self.assertEqual(status["commits"]["count"], 1)
            self.assertGreater(status["commits"]["max_ms"], 0)
            self.assertRegex(status["journal"]["oldest_received"], TIME)
            self.assertIsNone(status["journal"]["problem"])
            self.assertEqual([shard["shard"] for shard in status["shards"]], [0, 1])
            self.assertEqual(status["rejects"], {"kept": 0, "bytes": 0, "dropped": 0})
            ends = sorted((shard["journal"]["first"] or 0, shard["journal"]["last"] or 0)
                          for shard in status["shards"])
            self.assertEqual(ends, [(0, 0), (1, 1)])
            for part in (status, *status["shards"]):
                self.assertFalse(part["storage"]["full"] or part["storage"]["failed"])
                self.assertGreater(part["storage"]["disk_free_bytes"], 0)
            self.assertEqual(server.get("/v1/status").headers["content-type"],
                             "application/json")
            server.stop()


if __name__ == "__main__":
    tallyd.main()
