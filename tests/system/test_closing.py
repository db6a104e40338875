"""POST /v1/customers/{id}/close and GET .../revisions of a running tallyd: what changes in a month that
was billed counts as ever, and is told once, so that the next invoice can correct the one before."""

import decimal
import http.client
import json
import threading

import forward
import tallyd
from events import OTHER, WORKFLOW, EventsCase

NOTHING = {"num_events": 0, "processed_credits": 0, "num_documents": 0, "num_pages": 0,
           "average_time_per_page": None, "processing_ms": 0}


class ClosingCase(EventsCase):
    def send(self, events, accepted=None, **options):
        answer = self.server.post(events, **options)
        self.assertEqual((answer.status, answer.json()["rejected"]), (200, []), answer)
        if accepted is not None:
            self.assertEqual(answer.json()["accepted"], accepted)

    def void(self, *ids):
        answer = self.server.post({"customer_id": self.customer, "ids": ids, "reason": "a mistake"},
                                  target="/v1/events/void")
        self.assertEqual((answer.status, answer.json()["voided"]), (200, len(ids)), answer)

    def try_close(self, through="2023-01", customer=None):
        return self.server.request(
            "POST", f"/v1/customers/{customer or self.customer}/close?through={through}")

    def close(self, through="2023-01"):
        answer = self.try_close(through)
        self.assertEqual(answer.status, 200, answer)
        closed = answer.json()
        self.assertEqual((closed["customer_id"], closed["closed_through"]),
                         (self.customer, through))
        return closed

    def page(self, query="", customer=None):
        answer = self.server.get(f"/v1/customers/{customer or self.customer}/revisions{query}")
        self.assertEqual(answer.status, 200, answer)
        return json.loads(answer.body, parse_float=decimal.Decimal)

    def revisions(self, customer=None):
        page = self.page(customer=customer)
        self.assertIsNone(page["next"])
        return page["revisions"]

    def causes(self):
        return [(each["month"], each["old"]["num_events"], each["new"]["num_events"],
                 each["cause"]["events"], each["cause"]["voided"]) for each in self.revisions()]

    def month(self, month="2023-01", workflow=WORKFLOW):
        return self.server.rows(self.customer, workflow, "monthly", month, month)[0]


class Closing(ClosingCase):
    def test_what_comes_later_is_accepted_and_told(self):
        self.send([self.make("a"), self.make("b", credits="0.000001", pages=6)])
        closed = self.close()
        self.assertEqual(self.page(), {**closed, "revisions": [], "next": None})
        self.send(self.make("late", credits=-1, pages=0))
        self.void("a")
        self.send(self.make("now", time="2023-02-01T00:00:00Z"))  # of an open month
        first, second = self.revisions()
        old = {"num_events": 2, "processed_credits": decimal.Decimal("2.500001"), "num_documents": 2,
               "num_pages": 10, "average_time_per_page": decimal.Decimal("0.2"),
               "processing_ms": 2000}
        between = {"num_events": 3, "processed_credits": decimal.Decimal("1.500001"),
                   "num_documents": 3, "num_pages": 10,
                   "average_time_per_page": decimal.Decimal("0.3"), "processing_ms": 3000}
        new = {"num_events": 2, "processed_credits": decimal.Decimal("-0.999999"),
               "num_documents": 2, "num_pages": 6,
               "average_time_per_page": decimal.Decimal("0.333333"), "processing_ms": 2000}
        self.assertEqual(first, {"revision": 1, "workflow_id": WORKFLOW, "month": "2023-01",
                                 "received": first["received"], "old": old, "new": between,
                                 "cause": {"events": 1, "voided": 0}})
        self.assertEqual(second, {"revision": 2, "workflow_id": WORKFLOW, "month": "2023-01",
                                  "received": second["received"], "old": between, "new": new,
                                  "cause": {"events": 0, "voided": 1}})
        self.assertLessEqual(closed["closed_at"], first["received"])
        self.assertLessEqual(first["received"], second["received"])
        self.assertEqual(self.month()["processed_credits"], "-0.999999")

    def test_a_retry_and_a_restart_make_no_second_revision(self):
        self.send([self.make("a"), self.make("b")])
        self.close()
        self.send(self.make("late"), accepted=1)
        self.void("a")
        told = self.page()
        for end in (self.server.kill, self.server.stop, self.server.kill):
            end()
            self.server.start()
            self.send([self.make("late"), self.make("a"), self.make("b")], accepted=0)
            self.assertEqual(self.page(), told)
            self.assertEqual(self.close()["closed_at"], told["closed_at"])
        self.send(self.make("later"), accepted=1)
        self.assertEqual(self.causes(), [("2023-01", 2, 3, 1, 0), ("2023-01", 3, 2, 0, 1),
                                         ("2023-01", 2, 3, 1, 0)])

    def test_a_backfill_is_told_month_by_month_and_workflow_by_workflow(self):
        self.send(self.make("a"))
        self.close("2023-03")
        lines = [self.make(f"{month}-{workflow}-{day}", workflow, f"2023-{month:02}-{day:02}T10:00:00Z")
                 for month in range(1, 5) for workflow in (WORKFLOW, OTHER) for day in range(1, 11)]
        self.rng.shuffle(lines)
        self.send("\n".join(json.dumps(line) for line in lines), accepted=80,
                  content_type="application/x-ndjson")
        told = {(each["workflow_id"], each["month"]): each for each in self.revisions()}
        self.assertEqual(sorted(told), [(workflow, f"2023-{month:02}") for workflow in
                                        (WORKFLOW, OTHER) for month in (1, 2, 3)])
        for (workflow, month), each in told.items():
            first = (workflow, month) == (WORKFLOW, "2023-01")
            self.assertEqual(each["cause"], {"events": 10, "voided": 0})
            self.assertEqual(each["old"]["num_events"], 1 if first else 0)
            self.assertEqual(each["new"]["num_events"], 11 if first else 10)
            if not first:
                self.assertEqual(each["old"], NOTHING)

    def test_records_of_a_stream_are_told_too(self):
        self.send(self.make("a"))
        self.close()
        with forward.Producer(self.server.forward_address) as producer:
            producer.send(forward.message(self.make("late"), "chunk"))
            producer.take_ack("chunk")
        self.assertEqual(self.causes(), [("2023-01", 1, 2, 1, 0)])

    def test_pages(self):
        self.send(self.make("a"))
        self.close()
        for number in range(7):
            self.send(self.make(f"late-{number}"))
        everything = self.revisions()
        self.assertEqual([each["revision"] for each in everything], list(range(1, 8)))
        found, after = [], 0
        while after is not None:
            page = self.page(f"?limit=3&after={after}")
            self.assertLessEqual(len(page["revisions"]), 3)
            found += page["revisions"]
            after = page["next"]
        self.assertEqual(found, everything)
        self.assertEqual(self.page("?after=7")["revisions"], [])
        self.assertEqual(self.page("?after=18446744073709551615")["revisions"], [])

    def test_closing_goes_forward_only(self):
        self.send(self.make("a"))
        first = self.close("2022-11")
        self.assertEqual(self.close("2022-11"), first)
        second = self.close("2023-01")
        answer = self.try_close("2022-12")
        self.assertEqual(answer.status, 409)
        self.assertIn("closed through 2023-01", answer.json()["detail"])
        self.assertEqual(self.close("2023-01"), second)
        self.send(self.make("old", time="2022-12-24T18:00:00Z"))
        self.assertEqual(self.causes(), [("2022-12", 0, 1, 1, 0)])

    def test_what_is_refused_says_what_is_allowed(self):
        self.send(self.make("a"))
        for through, text in (("2023-1", "a month is allowed, like 2023-01"),
                              ("2023-01-31", "a month is allowed"), ("2023-13", "01 to 12"),
                              ("", "a month is allowed"), ("9999-12", "9999-12 has not ended")):
            answer = self.try_close(through)
            self.assertEqual(answer.status, 422, answer)
            error, = answer.json()["errors"]
            self.assertEqual(error["loc"], ["query", "through"])
            self.assertIn(text, error["msg"])
        answer = self.server.request("POST", f"/v1/customers/{self.customer}/close")
        self.assertIn("required", answer.json()["errors"][0]["msg"])
        self.assertEqual(self.try_close(customer="nobody").json()["errors"][0]["loc"],
                         ["path", "customer_id"])
        self.assertEqual(self.try_close(customer=tallyd.random_uuid(self.rng)).status, 404)
        self.assertEqual(self.server.get(f"/v1/customers/{self.customer}/close").status, 405)
        for query in ("?limit=0", "?limit=1001", "?after=x", "?after=-1", "?after=", "?limit=1&limit=2"):
            answer = self.server.get(f"/v1/customers/{self.customer}/revisions{query}")
            self.assertEqual(answer.status, 422, query)
        self.assertIsNone(self.page()["closed_through"])

    def test_others_know_nothing_of_it(self):
        stranger = tallyd.random_uuid(self.rng)
        self.send([self.make("a"), {**self.make("b"), "customer_id": stranger}])
        self.close()
        self.send([self.make("late"), {**self.make("late"), "customer_id": stranger}])
        nothing = {"closed_through": None, "closed_at": None, "revisions": [], "next": None}
        self.assertEqual(self.page(customer=stranger), {"customer_id": stranger, **nothing})
        nobody = tallyd.random_uuid(self.rng)
        self.assertEqual(self.page(customer=nobody), {"customer_id": nobody, **nothing})
        self.assertEqual(len(self.revisions()), 1)

    def test_it_is_counted(self):
        self.send(self.make("a"))
        self.close()
        self.close()
        self.send(self.make("late"))
        for name in ("tally_closings_total", "tally_revisions_total"):
            self.assertEqual(sum(self.server.metric(name, shard=str(shard)) for shard in range(3)),
                             1, name)


class Kills(ClosingCase):
    def send_late(self, name, sent):
        """Sends events of a closed month until the server dies."""
        for number in range(100000):
            event = self.make(f"{name}-{number}", (WORKFLOW, OTHER)[number % 2],
                              f"2023-0{number % 3 + 1}-15T10:00:00Z")
            sent.append(event)
            try:
                self.server.post(event)
            except (OSError, http.client.HTTPException):
                return

    def check_chains(self, closed):
        """Each revision goes on where the one before ended, up to what the rollups say."""
        page, ends = self.page("?limit=1000"), {}
        while True:
            for each in page["revisions"]:
                key = each["workflow_id"], each["month"]
                self.assertEqual(each["old"], ends.get(key, closed.get(key, NOTHING)))
                self.assertEqual(each["new"]["num_events"] - each["old"]["num_events"],
                                 each["cause"]["events"] - each["cause"]["voided"])
                ends[key] = each["new"]
            if page["next"] is None:
                break
            page = self.page(f"?limit=1000&after={page['next']}")
        for (workflow, month), end in ends.items():
            row = self.month(month, workflow)
            self.assertEqual((decimal.Decimal(row["processed_credits"]), row["num_documents"],
                              row["num_pages"]),
                             (end["processed_credits"], end["num_documents"], end["num_pages"]))
        return sum(end["num_events"] for end in ends.values())

    def test_every_acknowledged_change_is_in_one_revision(self):
        self.send(self.make("a"))
        self.close("2023-03")
        closed = {(WORKFLOW, "2023-01"): {"num_events": 1, "processed_credits": decimal.Decimal("2.5"),
                                          "num_documents": 1, "num_pages": 4, "processing_ms": 1000,
                                          "average_time_per_page": decimal.Decimal("0.25")}}
        sent = []
        for life in range(3):
            lists = [[] for _ in range(4)]
            threads = [threading.Thread(target=self.send_late, args=(f"{life}-{i}", each))
                       for i, each in enumerate(lists)]
            for thread in threads:
                thread.start()
            while sum(map(len, lists)) < 60:
                threads[0].join(0.01)
            self.server.kill()
            for thread in threads:
                thread.join()
            sent += sum(lists, [])
            self.server.start()
            self.check_chains(closed)
            self.send(sent)  # what was not answered counts now; what was, once
            self.assertEqual(self.check_chains(closed), len(sent) + 1)
        self.server.stop()


if __name__ == "__main__":
    tallyd.main()
