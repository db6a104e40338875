"""`tally dump` and `tally load`: a database moved to other numbers of shards answers every query, knows
every id and gives every customer's events as before; a dump that is not whole gives nothing."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
import uuid

import forward
import tallyd
import tool
from tallyd import Server

CUSTOMERS = 12
WORKFLOWS = 3
EVENTS = 240
REFUSALS = (r"the dump is (cut short after \d+ bytes|damaged: record \d+, before byte \d+, )"
            r"|this is no dump|has version \d+|there is more behind the end")


def series(rng):
    return [(tallyd.random_uuid(rng), [tallyd.random_uuid(rng) for _ in range(WORKFLOWS)])
            for _ in range(CUSTOMERS)]


def make_events(rng, customers, prefix):
    """Events of every kind that is stored: with and without time, user and numbers."""
    events = []
    for number in range(EVENTS):
        customer, workflows = rng.choice(customers)
        event = {"id": rng.choice([f"{prefix}-{number}",
                                   str(uuid.UUID(int=rng.getrandbits(128)))]),
                 "customer_id": customer, "workflow_id": rng.choice(workflows)}
        if rng.random() < 0.9:
            event["time"] = 1672531200000 + rng.randrange(120 * 86400000)
        if rng.random() < 0.8:
            event["credits"] = f"{rng.randrange(-1000, 100000)}.{rng.randrange(10 ** 6):06}"
        if rng.random() < 0.8:
            event["documents"] = rng.randrange(1000)
            event["pages"] = rng.randrange(10 ** 6)
            event["processing_ms"] = rng.randrange(2 ** 40)
        if rng.random() < 0.3:
            event["user_id"] = "käthe" * rng.randrange(1, 20)
        events.append(event)
    return events


class Dump(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="tally-dump-")
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.rng = tallyd.make_random()
        self.customers = series(self.rng)

    def path(self, name):
        return os.path.join(self.directory, name)

    # --- Filling and comparing ---

    def send(self, server, events):
        for start in range(0, len(events), 40):
            answer = server.post(events[start:start + 40])
            self.assertEqual(answer.json()["accepted"], len(events[start:start + 40]), answer)

    def send_from_a_source(self, server):
        """The same id from another source is another event."""
        event = {"specversion": "1.0", "type": "usage", "source": "/jobs", "id": "first-0",
                 "time": "2023-02-01T00:00:00Z", "subject": self.customers[0][0],
                 "data": {"workflow_id": self.customers[0][1][0], "documents": 7}}
        answer = server.post(event, "application/cloudevents+json")
        self.assertEqual(answer.json()["accepted"], 1, answer)
        return event

    def send_rejects(self, server):
        """Records that cannot be counted, and are kept once."""
        with forward.producer(server) as connection:
            connection.send(forward.forward([{"id": f"reject-{i}"} for i in range(5)], "c",
                                            forward.SECONDS, "usage.app"))
            connection.take_ack("c")

    def fill(self, server):
        """Months that are written, others that are not, and some that are in part. Returns what was
        sent; the server runs."""
        first = make_events(self.rng, self.customers, "first")
        second = make_events(self.rng, self.customers[:9], "second")
        self.send(server, first)
        self.cloud_event = self.send_from_a_source(server)
        self.send_rejects(server)
        for customer, _ in self.customers[::2]:
            answer = server.request("POST", f"/v1/customers/{customer}/close?through=2023-04")
            self.assertEqual(answer.status, 200, answer)
        server.stop()
        server.start()
        self.send(server, second)
        # Of what was written to blocks and of what was not; the second one has to be replayed.
        self.void(server, first[5], "a test run")
        self.void(server, second[7], "a double charge")
        return first + second

    def void(self, server, event, reason):
        answer = server.post({"customer_id": event["customer_id"], "ids": [event["id"]],
                              "reason": reason}, target="/v1/events/void")
        self.assertEqual((answer.status, answer.json()["voided"]), (200, 1), answer)

    def answers(self, server):
        """All that a server says about every customer."""
        said = {"rejects": server.get("/v1/rejects").json()}
        self.assertEqual(len(said["rejects"]["rejects"]), 5)
        for customer, workflows in self.customers:
            for frequency, start, end in (("monthly", "2023-01", "2026-12"),
                                          ("daily", "2023-01-01", "2023-06-01"),
                                          ("hourly", "2023-01-01T00Z", "2023-05-01T00Z")):
                for workflow in workflows:
                    said[workflow, frequency] = server.rows(customer, workflow, frequency, start,
                                                            end)
            listed = server.get(tallyd.list_target(customer, "monthly", "?start=2023-01"))
            said[customer, "list"] = listed.json()
            said[customer, "events"] = self.feed(server, customer)
            revisions = server.get(f"/v1/customers/{customer}/revisions?limit=1000").json()
            self.assertIsNone(revisions["next"])
            said[customer, "revisions"] = revisions
        return said

    def feed(self, server, customer):
        events, after = [], ""
        while True:
            page = server.get(f"/v1/events?customer_id={customer}&voids=true&limit=100{after}").json()
            events += page["events"]
            if page["end"]:
                return [json.dumps({name: value for name, value in event.items()
                                    if name not in ("seq", "sequence", "shard", "cursor")},
                                   sort_keys=True) for event in events]
            after = f"&after={page['next']}"

    def check_ids(self, server, events):
        """Every id is known, with its content."""
        for start in range(0, len(events), 60):
            answer = server.post(events[start:start + 60]).json()
            self.assertEqual(answer["duplicates"], len(events[start:start + 60]), answer)
        self.send_rejects(server)
        self.assertEqual(len(server.get("/v1/rejects").json()["rejects"]), 5)
        for event, status in ((events[5], "voided"), (events[EVENTS + 7], "voided"),
                              (events[6], "accepted")):
            page = server.get(f"/v1/events?customer_id={event['customer_id']}&id={event['id']}")
            self.assertEqual([one["status"] for one in page.json()["events"]], [status])
        changed = dict(events[0], documents=77777)
        answer = server.post(changed).json()
        self.assertEqual(answer["rejected"][0]["code"], "id_conflict", answer)
        answer = server.post(self.cloud_event, "application/cloudevents+json").json()
        self.assertEqual(answer["duplicates"], 1, answer)

    # --- The commands ---

    def dump(self, directory, name):
        with open(self.path(name), "wb") as file:
            result = tool.run("dump", "--data", directory, stdout=file)
        self.assertEqual(result.code, 0, result)
        self.assertRegex(result.err, r"tally dump: \d+ shards?, \d+ values, \d+ bytes")

    def load(self, dump, name, *options):
        result = tool.run("load", self.path(dump), "--data", self.path(name), *options)
        self.assertEqual(result.code, 0, result)
        self.assertRegex(result.out, r"\d+ shards?, \d+ values, loaded and verified in ")
        self.assertFalse(os.path.exists(self.path(name) + ".partial"))
        verified = tool.run("verify", self.path(name))
        self.assertEqual(verified.code, 0, verified)

    def test_to_other_numbers_of_shards_and_back(self):
        with Server("--shards", "1") as server:
            events = self.fill(server)
            self.dump(server.directory, "dump1")
            wanted = self.answers(server)
            self.assertGreater(sum(len(wanted[customer, "revisions"]["revisions"])
                                   for customer, _ in self.customers), 5)
            server.kill()
        for number, (source, shards) in enumerate((("dump1", 3), ("dump3", 2), ("dump2", 1),
                                                   ("dump3", 3))):
            name = f"new{number}"
            self.load(source, name, *(["--shards", shards] if number < 3 else []))
            self.assertEqual(sum(entry.startswith("shard-")
                                 for entry in os.listdir(self.path(name))), shards)
            with Server(directory=self.path(name)) as server:
                found = self.answers(server)
                for what, said in wanted.items():
                    self.assertEqual(found[what], said, (shards, what))
                # A dump of what runs; and what is recovered once is recovered again.
                self.dump(server.directory, f"dump{shards}")
                self.check_ids(server, events)
                more = make_events(self.rng, self.customers, f"more{number}")
                self.send(server, more)
                before = self.answers(server)
                server.kill()
                server.start()
                self.assertEqual(self.answers(server), before)
                server.stop()
                server.start()
                self.assertEqual(self.answers(server), before)
                server.stop()

    def test_as_many_shards_are_the_same_bytes_and_cursors_stay_right(self):
        with Server("--shards", "2") as server:
            self.fill(server)
            page = server.get("/v1/events?limit=100").json()
            self.dump(server.directory, "dump")
            rest = server.get(f"/v1/events?limit=1000&after={page['next']}").body
            server.stop()
        self.load("dump", "new")
        self.dump(self.path("new"), "again")
        with open(self.path("dump"), "rb") as one, open(self.path("again"), "rb") as other:
            self.assertEqual(len(one.read()), len(other.read()))
        with Server(directory=self.path("new")) as server:
            self.assertEqual(server.get(f"/v1/events?limit=1000&after={page['next']}").body, rest)
            server.stop()

    def test_through_a_pipe(self):
        with Server("--shards", "1") as server:
            events = self.fill(server)
            writer = tool.start("dump", "--quiet", "--data", server.directory)
            reader = subprocess.run(
                [tool.PROGRAM, "load", "-", "--data", self.path("new"), "--shards", "4"],
                stdin=writer.stdout, capture_output=True, text=True, env=tool.environment(),
                timeout=tool.SECONDS, check=False)
            writer.stdout.close()
            writer.stdout = None
            self.assertEqual((tool.finish(writer).code, reader.returncode), (0, 0), reader.stderr)
            server.stop()
        with Server(directory=self.path("new")) as server:
            self.check_ids(server, events)
            server.stop()

    def test_a_dump_that_is_not_whole_gives_nothing(self):
        with Server("--shards", "2") as server:
            self.fill(server)
            self.dump(server.directory, "dump")
            server.stop()
        with open(self.path("dump"), "rb") as file:
            whole = file.read()
        broken = [whole[:length] for length in (0, 1, 8, 9, 13, 2000, len(whole) // 2,
                                                len(whole) - 1, len(whole) - 21)]
        broken += [whole + b"x"]
        for _ in range(12):
            at = self.rng.randrange(len(whole))
            broken.append(whole[:at] + bytes([whole[at] ^ 1 << self.rng.randrange(8)])
                          + whole[at + 1:])
        for number, data in enumerate(broken):
            with open(self.path("broken"), "wb") as file:
                file.write(data)
            result = tool.run("load", self.path("broken"), "--data", self.path("new"), "--shards",
                              1 + number % 3)
            self.assertEqual(result.code, 1, (number, result))
            self.assertRegex(result.err, REFUSALS)
            self.assertEqual(sorted(os.listdir(self.directory)), ["broken", "dump"])

    def test_what_is_refused(self):
        with Server("--shards", "1") as server:
            self.fill(server)
            self.dump(server.directory, "dump")
            server.stop()
        self.load("dump", "new")
        for arguments, code, message in (
                (("load", self.path("dump"), "--data", self.path("new")), 1, "is there already"),
                (("load", self.path("none"), "--data", self.path("other")), 3, "cannot read"),
                (("load", "--data", self.path("other")), 2, "it needs a dump"),
                (("load", self.path("dump"), "--data", self.path("other"), "--shards", "0"), 2,
                 "from 1 to 256"),
                (("dump", "--data", self.path("none")), 3, "holds no database")):
            result = tool.run(*arguments)
            self.assertEqual(result.code, code, result)
            self.assertIn(message, result.err)
        self.assertEqual(sorted(os.listdir(self.directory)), ["dump", "new"])


if __name__ == "__main__":
    tool.main()
