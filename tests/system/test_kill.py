"""kill -9 at any instant loses no acknowledged event and counts none twice.

    test_kill.py [kills]

Of each number of shards, that many rounds end by kill -9; after every fifth one more ends gently.
Client threads send batches of unique events, resend what was not acknowledged, and now and then
what was; a reader checks that what is acknowledged is visible and that no event is seen in part.
Meanwhile the server is killed, and started again. The totals must be exact at the end of each round.

How an event shows in part: every event has pages = 2 x documents, credits = 1.000001 x documents
and 3 ms of processing time for each document, so every sum has too.
"""

import decimal
import http.client
import json
import sys
import threading
import time
import unittest

import tallyd
from tallyd import Server

CLIENTS = 4
CUSTOMERS = 6
WORKFLOWS = 3
START_MS = 1672531200000  # 2023-01-01
DAYS = 100
RANGES = {
    "monthly": ("2023-01", "2023-04"),
    "weekly": ("2022-W52", "2023-W16"),
    "daily": ("2023-01-01", "2023-04-30"),
    "hourly": ("2023-01-01T00Z", "2023-04-30T23Z"),
}


def batch_size(rng):
    """Small ones, as of many clients, and now and then one that a commit takes in blocks."""
    return rng.choice((1, 1, 5, 40, 200, 1, 5, 40, rng.randrange(512, 1001)))


class Batch:
    def __init__(self, lines, counts, records):
        self.body = "\n".join(lines).encode()
        self.counts = counts  # {series: documents}
        self.records = records


class Ledger:
    """What was sent, and what was acknowledged; under a lock."""

    def __init__(self, rng):
        self.lock = threading.Lock()
        self.series = [(tallyd.random_uuid(rng), tallyd.random_uuid(rng))
                       for _ in range(CUSTOMERS)]
        self.series = [(customer, tallyd.random_uuid(rng)) for customer, _ in self.series
                       for _ in range(WORKFLOWS)]
        self.sent = {series: 0 for series in self.series}
        self.acknowledged = {series: 0 for series in self.series}
        self.next_id = 0
        self.problems = []

    def make(self, rng, size):
        lines, counts = [], {}
        with self.lock:
            first = self.next_id
            self.next_id += size
        for number in range(size):
            customer, workflow = series = rng.choice(self.series)
            documents = rng.randrange(1, 1000)
            lines.append(json.dumps({
                "id": f"k{first + number}", "customer_id": customer, "workflow_id": workflow,
                "time": START_MS + rng.randrange(DAYS * 86400000), "documents": documents,
                "pages": 2 * documents, "processing_ms": 3 * documents,
                "credits": f"{documents}.{documents:06}"}))
            counts[series] = counts.get(series, 0) + documents
        with self.lock:
            for series, documents in counts.items():
                self.sent[series] += documents
        return Batch(lines, counts, size)

    def acknowledge(self, batch):
        with self.lock:
            for series, documents in batch.counts.items():
                self.acknowledged[series] += documents

    def problem(self, text):
        with self.lock:
            self.problems.append(text)


class Client(threading.Thread):
    """Sends until the server does not answer, or until told to stop."""

    def __init__(self, server, ledger, seed):
        super().__init__()
        self.server = server
        self.ledger = ledger
        self.rng = tallyd.random.Random(seed)
        self.unacknowledged = []  # batches that were sent at least once
        self.known = []  # some that were acknowledged
        self.is_stopping = False
        self.sent = 0

    def renew(self):
        """A thread that goes on where this one ended."""
        client = Client(self.server, self.ledger, self.rng.getrandbits(64))
        client.unacknowledged, client.known = self.unacknowledged, self.known
        return client

    def run(self):
        while not self.is_stopping:
            if self.unacknowledged and self.rng.random() < 0.7:
                batch, kind = self.unacknowledged[0], "retry"
            elif self.known and self.rng.random() < 0.2:
                batch, kind = self.rng.choice(self.known), "known"
            else:
                batch, kind = self.ledger.make(self.rng, batch_size(self.rng)), "new"
                self.unacknowledged.append(batch)
            try:
                answer = self.server.post(batch.body, "application/x-ndjson")
            except (OSError, http.client.HTTPException):
                return
            self.sent += 1
            if not self.take(batch, kind, answer):
                return

    def take(self, batch, kind, answer):
        """Books an answer. False: the server is not well, stop."""
        if answer.status in (429, 503):
            return True  # stopping, or too much at once
        if answer.status != 200:
            self.ledger.problem(f"answered {answer}")
            return False
        result = answer.json()
        accepted, duplicates = result["accepted"], result["duplicates"]
        if result["rejected"] or accepted + duplicates != batch.records:
            self.ledger.problem(f"{kind} batch of {batch.records}: {answer}")
        if kind == "new" and duplicates:
            self.ledger.problem(f"{duplicates} new events were taken for duplicates")
        if kind == "known" and accepted:
            self.ledger.problem(f"{accepted} acknowledged events were counted again")
        if kind != "known":
            self.unacknowledged.remove(batch)
            self.ledger.acknowledge(batch)
            if self.rng.random() < 0.2 or not self.known:
                self.known = self.known[-50:] + [batch]
        return True

    def settle(self):
        """After a restart: sends everything that was not acknowledged."""
        for batch in list(self.unacknowledged):
            if not self.take(batch, "retry", self.server.post(batch.body, "application/x-ndjson")):
                return


def whole(row):
    """The documents of a row, or an AssertionError when an event shows in part."""
    documents = row["num_documents"]
    credits = decimal.Decimal(row["processed_credits"])
    average = row["average_time_per_page"]
    # Of exact sums the average is exactly 3 ms over 2 pages, in seconds.
    if row["num_pages"] != 2 * documents or average != ("0.0015" if documents else None) or \
            credits != documents * decimal.Decimal("1.000001"):
        raise AssertionError(f"an event was seen in part: {row}")
    return documents


class Reader(threading.Thread):
    """Asks for totals: nothing acknowledged may be missing, nothing may shrink."""

    def __init__(self, server, ledger, seed):
        super().__init__()
        self.server = server
        self.ledger = ledger
        self.rng = tallyd.random.Random(seed)
        self.is_stopping = False
        self.queries = 0

    def run(self):
        seen = {}
        while not self.is_stopping:
            series = self.rng.choice(self.ledger.series)
            frequency = self.rng.choice(("monthly", "monthly", "weekly", "daily"))
            with self.ledger.lock:
                least = self.ledger.acknowledged[series]
            try:
                rows = self.server.rows(*series, frequency, *RANGES[frequency])
                documents = sum(whole(row) for row in rows)
            except (OSError, http.client.HTTPException):
                return
            except AssertionError as error:
                self.ledger.problem(str(error))
                return
            with self.ledger.lock:
                most = self.ledger.sent[series]
            if not max(least, seen.get(series, 0)) <= documents <= most:
                self.ledger.problem(f"{documents} documents were seen; {least} were acknowledged "
                                    f"before, {seen.get(series, 0)} seen before, {most} sent")
            seen[series] = documents
            self.queries += 1


class Kill(unittest.TestCase):
    kills = 5

    def check_totals(self, server, ledger, frequencies):
        """Every event acknowledged is counted once: the sums of each frequency are equal."""
        for series in ledger.series:
            for frequency in frequencies:
                rows = server.rows(*series, frequency, *RANGES[frequency])
                self.assertEqual(sum(whole(row) for row in rows), ledger.acknowledged[series],
                                 (series, frequency))

    def check_not_less(self, server, ledger):
        """Right after a restart, before anything is sent again."""
        for series in ledger.series:
            rows = server.rows(*series, "monthly", *RANGES["monthly"])
            documents = sum(whole(row) for row in rows)
            self.assertGreaterEqual(documents, ledger.acknowledged[series], series)
            self.assertLessEqual(documents, ledger.sent[series], series)

    def one_round(self, server, ledger, clients, rng, gently):
        reader = Reader(server, ledger, rng.getrandbits(64))
        for thread in (*clients, reader):
            thread.start()
        # Often while the first commits run; seldom after a checkpoint.
        time.sleep(rng.choice((0.02, 0.1, 0.3, 0.8)) * rng.random())
        server.stop() if gently else server.kill()
        for thread in (*clients, reader):
            thread.is_stopping = True
            thread.join()
        server.start()
        self.assertEqual(ledger.problems, [])
        self.check_not_less(server, ledger)
        return reader.queries, sum(client.sent for client in clients)

    def run_rounds(self, shards):
        rng = tallyd.make_random()
        ledger = Ledger(rng)
        queries = batches = 0
        rounds = self.kills + self.kills // 5
        with Server("--shards", str(shards), "--hot-memory", "1MiB") as server:
            clients = [Client(server, ledger, rng.getrandbits(64)) for _ in range(CLIENTS)]
            for number in range(rounds):
                more = self.one_round(server, ledger, clients, rng, gently=number % 6 == 5)
                queries, batches = queries + more[0], batches + more[1]
                if rng.random() < 0.3:  # killed while, or right after, it recovers
                    server.kill()
                    server.start(ready=False)
                    time.sleep(rng.random() * 0.1)
                    server.kill()
                    server.start()
                if rng.random() < 0.7:  # else they are retried in the next round
                    for client in clients:
                        client.settle()
                    self.assertEqual(ledger.problems, [])
                    self.check_totals(server, ledger, ["monthly"])
                clients = [client.renew() for client in clients]
            for client in clients:
                client.settle()
            self.assertEqual(ledger.problems, [])
            self.check_totals(server, ledger, RANGES)
            self.assertEqual(ledger.sent, ledger.acknowledged)
            server.stop()
            server.start()
            self.check_totals(server, ledger, RANGES)
            server.stop()
        print(f"{shards} shard(s): {rounds} rounds, {self.kills} by kill -9, {batches} batches of "
              f"{ledger.next_id} events, {queries} queries", flush=True)

    def test_one_shard(self):
        self.run_rounds(1)

    def test_three_shards(self):
        self.run_rounds(3)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].isdigit():
        Kill.kills = int(sys.argv.pop(1))
    tallyd.main()
