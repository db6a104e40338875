"""POST /v1/events/void of a running tallyd: what was counted by mistake is taken out exactly once, and
the record of it stays."""

import decimal
import json
import unittest

import tallyd
from events import OTHER, WORKFLOW, EventsCase

VOID = "/v1/events/void"


class VoidCase(EventsCase):
    def send(self, events, content_type="application/json"):
        answer = self.server.post(events, content_type)
        self.assertEqual((answer.status, answer.json()["rejected"]), (200, []), answer)

    def void(self, ids, reason="sent by mistake", **members):
        answer = self.server.post({"customer_id": self.customer, "ids": ids, "reason": reason,
                                   **members}, target=VOID)
        self.assertEqual(answer.status, 200, answer)
        return answer.json()

    def expect_voided(self, ids, voided, already=0):
        self.assertEqual(self.void(ids),
                         {"voided": voided, "already_voided": already, "rejected": []})

    def rows(self, frequency="monthly", start="2023-01", end="2023-01", workflow=WORKFLOW):
        return [(row["processed_credits"], row["num_documents"], row["num_pages"],
                 row["average_time_per_page"])
                for row in self.server.rows(self.customer, workflow, frequency, start, end)]

    def used(self):
        answer = self.server.get(tallyd.list_target(self.customer, "monthly", "?start=2023-01"))
        return [each["workflow_id"] for each in answer.json()]

    def events(self, query=""):
        answer = self.server.get(f"/v1/events?customer_id={self.customer}" + query)
        self.assertEqual(answer.status, 200, answer)
        page = json.loads(answer.body, parse_float=decimal.Decimal)
        self.assertTrue(page["end"])
        return page["events"]


class Void(VoidCase):
    def test_every_rollup_is_as_if_the_event_had_never_come(self):
        self.send([self.make("a"), self.make("b", credits="-0.000001", pages=6),
                   self.make("c", time="2023-01-31T12:00:00Z", credits=7)])
        self.expect_voided(["b"], 1)
        self.assertEqual(self.rows(), [("9.5", 2, 8, "0.25")])
        self.assertEqual(self.rows("daily", "2023-01-31", "2023-01-31"), [("9.5", 2, 8, "0.25")])
        self.assertEqual(self.rows("hourly", "2023-01-31T23Z", "2023-01-31T23Z"),
                         [("2.5", 1, 4, "0.25")])
        self.assertEqual(self.rows("weekly", "2023-W05", "2023-W05"), [("9.5", 2, 8, "0.25")])
        self.expect_voided(["a", "c"], 2)
        self.assertEqual(self.rows(), [(0, 0, 0, None)])

    def test_a_workflow_whose_events_are_all_void_was_not_used(self):
        self.send([self.make("a"), self.make("b", OTHER)])
        self.assertEqual(self.used(), [WORKFLOW, OTHER])
        self.expect_voided(["a"], 1)
        self.assertEqual(self.used(), [OTHER])

    def test_it_happens_once_and_the_id_stays_used(self):
        """A void that is sent again, and a retry of the event itself, change nothing."""
        self.send([self.make("a"), self.make("b")])
        self.expect_voided(["a", "a"], 1, 1)
        self.expect_voided(["a"], 0, 1)
        answer = self.server.post([self.make("a"), self.make("a", pages=9)]).json()
        self.assertEqual((answer["accepted"], answer["duplicates"]), (0, 1))
        self.assertEqual(answer["rejected"][0]["code"], "id_conflict")
        self.assertEqual(self.rows(), [("2.5", 1, 4, "0.25")])
        self.assertEqual(self.server.metric("tally_voided_events_total", shard="0")
                         + self.server.metric("tally_voided_events_total", shard="1")
                         + self.server.metric("tally_voided_events_total", shard="2"), 1)

    def test_it_stays_void_across_stops_and_kills(self):
        self.send([self.make(f"e{number}", time=f"2023-01-{number % 28 + 1:02}T10:00:00Z")
                   for number in range(100)])
        for life in range(4):
            self.expect_voided([f"e{life * 10 + n}" for n in range(10)], 10)
            if life % 2:
                self.server.stop()
            else:
                self.server.kill()
            self.server.start()
            left = 90 - life * 10
            self.assertEqual(self.rows(), [(tallyd_number(2.5 * left), left, 4 * left, "0.25")])
            self.expect_voided([f"e{n}" for n in range(life * 10 + 10)], 0, life * 10 + 10)

    def test_the_original_the_reason_and_the_time_are_kept(self):
        self.send([self.make("a"), self.make("b")])
        before = self.events()
        self.assertEqual([event["status"] for event in before], ["accepted", "accepted"])
        self.expect_voided(["b"], 1)
        void = {"reason": "sent by mistake", "voided": self.events("&id=b")[0]["voided"]}
        self.assertEqual(self.events(), [before[0], {**before[1], "status": "voided", **void}])
        self.assertEqual(self.events("&status=accepted"), [before[0]])
        self.assertEqual(self.events("&status=voided"), [{**before[1], "status": "voided", **void}])
        self.assertEqual(self.events("&voids=true&id=b"),
                         [{**before[1], "status": "voided", **void},
                          {**before[1], "status": "void", **void}])
        self.assertEqual(self.events("&voids=true&received_end=" + before[0]["received"])[:2],
                         self.events())

    def test_who_follows_the_events_hears_of_voids(self):
        self.send([self.make(f"e{number}") for number in range(5)])
        seen, after = [], ""
        for step in range(4):
            answer = self.server.get("/v1/events?limit=2&voids=true" + after).json()
            seen += [(event["id"], event["status"]) for event in answer["events"]]
            after = "&after=" + answer["next"]
            if step == 2:
                self.expect_voided(["e1", "e4"], 2)
        self.assertEqual(seen, [(f"e{n}", "accepted") for n in range(5)]
                         + [("e1", "void"), ("e4", "void")])

    def test_sources_are_told_apart(self):
        cloud = {"specversion": "1.0", "type": "usage", "source": "/s", "id": "a",
                 "subject": self.customer, "time": "2023-01-05T00:00:00Z",
                 "data": {"workflow_id": WORKFLOW, "credits": 1}}
        self.send([self.make("a")])
        self.send(cloud, "application/cloudevents+json")
        self.expect_voided([{"id": "a", "source": "/s"}], 1)
        self.assertEqual(self.rows(), [("2.5", 1, 4, "0.25")])
        self.expect_voided([{"id": "a"}, {"id": "a", "source": ""}], 1, 1)
        self.assertEqual(self.rows(), [(0, 0, 0, None)])

    def test_an_unknown_id_is_told_and_stops_nothing(self):
        answer = self.void(["x"])
        self.assertEqual((answer["voided"], answer["already_voided"]), (0, 0))
        self.assertRegex(answer["rejected"][0].pop("message"), "empty")
        self.assertEqual(answer["rejected"], [{"index": 0, "id": "x", "code": "unknown_id"}])
        self.send([self.make("a")])
        answer = self.void(["x", "a", {"id": "a", "source": "y"}])
        self.assertEqual(answer["voided"], 1)
        self.assertEqual([(each["index"], each["id"], each["code"]) for each in answer["rejected"]],
                         [(0, "x", "unknown_id"), (2, "a", "unknown_id")])
        self.assertRegex(answer["rejected"][0]["message"], r"since 20\d\d-\d\d-\d\dT.*Z$")
        self.expect_voided([], 0)

    def test_another_customers_event_is_out_of_reach(self):
        self.send([self.make("a")])
        answer = self.void(["a"], customer_id=tallyd.random_uuid(self.rng))
        self.assertEqual(answer["rejected"][0]["code"], "unknown_id")
        self.assertEqual(self.rows(), [("2.5", 1, 4, "0.25")])

    def test_wrong_requests_are_refused_whole(self):
        self.send([self.make("a")])
        good = {"customer_id": self.customer, "ids": ["a"], "reason": "r"}
        for change, member in (({"customer_id": "x"}, "customer_id"), ({"ids": "a"}, "ids"),
                               ({"ids": ["a", 5]}, "ids"), ({"ids": ["a", ""]}, "ids"),
                               ({"ids": ["a", {}]}, "ids"), ({"ids": ["a" * 129]}, "ids"),
                               ({"reason": ""}, "reason"), ({"reason": "r" * 257}, "reason"),
                               ({"reason": "\0"}, "reason"), ({"reason": None}, "reason")):
            answer = self.server.post({**good, **change}, target=VOID)
            self.assertEqual(answer.status, 422, change)
            self.assertEqual(answer.json()["errors"][0]["loc"], ["body", member], change)
        for member in good:
            less = {name: value for name, value in good.items() if name != member}
            answer = self.server.post(less, target=VOID)
            self.assertEqual((answer.status, answer.json()["errors"][0]["loc"]), (422, ["body", member]))
        for body in ("", "[]", "{", '{"ids":["a",}'):
            self.assertEqual(self.server.post(body, target=VOID).status, 400, body)
        self.assertEqual(self.server.post("{}", "text/plain", VOID).status, 415)
        self.assertEqual(self.server.get(VOID).headers["allow"], "POST")
        self.assertEqual(self.rows(), [("2.5", 1, 4, "0.25")])


class Trimmed(VoidCase):
    options = ("--shards", "1", "--dedup-window", "0", "--journal-retention", "1ms")

    def test_an_event_that_is_no_longer_kept_cannot_be_voided(self):
        self.send([self.make("first")])
        self.send([self.make("second")])
        self.server.stop()  # which writes all months, so that the journal may be trimmed
        self.server.start()
        self.send([self.make("last")])
        self.send([self.make("very last")])
        answer = self.void(["first", "very last"])
        self.assertEqual((answer["voided"], len(answer["rejected"])), (1, 1))
        self.assertEqual(answer["rejected"][0]["id"], "first")
        self.assertEqual(self.rows(), [("7.5", 3, 12, "0.25")])


def tallyd_number(value):
    return ("%g" % value) if value != int(value) else int(value)


if __name__ == "__main__":
    unittest.main(verbosity=2)
