"""POST /v1/events, as its contract says: every form, rule and error once."""

import datetime
import json

import tallyd
from api import CUSTOMER, OTHER, UTC, WORKFLOW, ApiCase, codes, event


class Events(ApiCase):
    def setUp(self):
        self.customer = tallyd.random_uuid(tallyd.random)

    def event(self, identity, **fields):
        return {"id": identity, "customer_id": self.customer, "workflow_id": WORKFLOW, **fields}

    def documents(self):
        rows = self.server.rows(self.customer, WORKFLOW, "monthly", "2023-01", "2023-01")
        return rows[0]["num_documents"]

    def test_every_form_of_a_body(self):
        one = {"time": "2023-01-05T00:00:00Z", "documents": 1}
        events = [self.event(f"{number}", **one) for number in range(9)]
        self.accept(events[0])
        self.accept(events[1:3])
        self.accept({"records": events[3:5], "more": {"records": 1}})
        lines = [json.dumps(item) for item in events[5:9]]
        self.accept("\n" + lines[0] + "\r\n \t\n" + lines[1] + "\n\n" + lines[2] + "\n",
                    "application/x-ndjson")
        self.accept(lines[3], "Application/X-NDJSON; charset=utf-8")
        self.assertEqual(self.documents(), 9)
        answer = self.accept(events, target="/v1/events?results=all")
        self.assertEqual((answer["accepted"], answer["duplicates"]), (0, 9))
        self.assertEqual(answer["results"], ["duplicate"] * 9)

    def test_empty_batches(self):
        for body, content_type in (("[]", "application/json"), (' {"records": [ ]} ',
                                   "application/json"), ("", "application/x-ndjson"),
                                   ("\n \n\r\n", "application/x-ndjson")):
            answer = self.server.post(body, content_type)
            self.assertEqual(answer.body.decode(), '{"accepted":0,"duplicates":0,"rejected":[]}')
        answer = self.server.post("[]", target="/v1/events?results=all")
        self.assertEqual(answer.body.decode(),
                         '{"accepted":0,"duplicates":0,"rejected":[],"results":[]}')

    def test_a_body_that_is_no_document_stores_nothing(self):
        good = json.dumps(self.event("good", documents=1, time="2023-01-05T00:00:00Z"))
        for body in ("", " ", "[", f"[{good}", f"[{good},]", f"[{good}] x", good[:-1], "nul",
                     '"text"', "1", "null", '{"records":{}}', '{"records":null}',
                     f'{{"records":[{good}],"records":[{good}]}}', f"[{good}]\0", f"{good}{good}",
                     "[" * 100000, '{"a":' * 100000, f'[{good},{{"id":"\ud800"}}]'.encode(
                         "utf-8", "surrogatepass"), b"[\xff]", "\ufeff\ufeff[]", f"[{good},{{'a':1}}]",
                     f'[{good},{{"id":01}}]', f'[{good},{{"id":"a\nb"}}]'):
            self.expect_problem(self.server.post(body), 400, r"no such document.*\(at byte \d+\)")
        self.assertEqual(self.documents(), 0)

    def test_content_types_that_are_not_taken(self):
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx",
                             "", "application", "application/json/x"):
            self.expect_problem(self.server.post("[]", content_type), 415, "application/json")
        self.expect_problem(self.server.request("POST", "/v1/events", b"[]"), 415)

    def test_compressed_bodies_are_not_taken(self):
        headers = {"Content-Type": "application/json"}
        for coding in ("gzip", "br", "identity, gzip"):
            answer = self.server.request("POST", "/v1/events", b"[]",
                                         {**headers, "Content-Encoding": coding})
            self.expect_problem(answer, 415, "Content-Encoding")
        answer = self.server.request("POST", "/v1/events", b"[]",
                                     {**headers, "Content-Encoding": "Identity"})
        self.assertEqual(answer.status, 200)

    def test_results_takes_all_only(self):
        for query in ("?results=", "?results=none", "?results=all&results=all", "?results"):
            body = self.expect_problem(self.server.post("[]", target="/v1/events" + query), 422)
            self.assertEqual(body["errors"][0]["loc"], ["query", "results"])

    def test_every_field_has_its_rules(self):
        good = {"time": "2023-01-05T00:00:00Z"}
        cases = [
            ({"id": None}, "missing_field"),
            ({"id": ""}, "out_of_range"),
            ({"id": "x" * 129}, "out_of_range"),
            ({"id": "\u20ac" * 43}, "out_of_range"),
            ({"id": 7}, "invalid_field"),
            ({"id": "a\u0000b"}, "invalid_field"),
            ({"customer_id": None}, "missing_field"),
            ({"customer_id": "x"}, "invalid_field"),
            ({"customer_id": 1}, "invalid_field"),
            ({"workflow_id": None}, "missing_field"),
            ({"workflow_id": [WORKFLOW]}, "invalid_field"),
            ({"time": "2023-01-05"}, "invalid_field"),
            ({"time": "2023-01-05T00:00:00"}, "invalid_field"),
            ({"time": "2023-02-30T00:00:00Z"}, "invalid_field"),
            ({"time": "yesterday"}, "invalid_field"),
            ({"time": 1.5e12}, "invalid_field"),
            ({"time": True}, "invalid_field"),
            ({"time": 2**63}, "out_of_range"),
            ({"time": -2**70}, "out_of_range"),
            ({"time": "1999-12-31T23:59:59.999Z"}, "too_old"),
            ({"time": "2000-01-01T00:00:00+00:01"}, "too_old"),
            ({"time": 946684799999}, "too_old"),
            ({"time": 0}, "too_old"),
            ({"time": -1}, "too_old"),
            ({"time": "9999-12-31T23:59:59.999Z"}, "too_new"),
            ({"credits": "x"}, "invalid_field"),
            ({"credits": ""}, "invalid_field"),
            ({"credits": "0.0000001"}, "invalid_field"),
            ({"credits": 1e-7}, "invalid_field"),
            ({"credits": "NaN"}, "invalid_field"),
            ({"credits": "1000000000.000001"}, "out_of_range"),
            ({"credits": -1000000001}, "out_of_range"),
            ({"credits": 1e300}, "out_of_range"),
            ({"credits": 10**400}, "out_of_range"),
            ({"credits": False}, "invalid_field"),
            ({"documents": -1}, "out_of_range"),
            ({"documents": 2**32}, "out_of_range"),
            ({"documents": 10**400}, "out_of_range"),
            ({"documents": 1.0}, "invalid_field"),
            ({"documents": "1"}, "invalid_field"),
            ({"pages": 2**32}, "out_of_range"),
            ({"pages": {}}, "invalid_field"),
            ({"processing_ms": 2**40 + 1}, "out_of_range"),
            ({"processing_ms": []}, "invalid_field"),
            ({"user_id": "x" * 129}, "out_of_range"),
            ({"user_id": 1}, "invalid_field"),
        ]
        events = [{**self.event(f"f{number}", **good), **fields}
                  for number, (fields, _) in enumerate(cases)]
        events.append(self.event("last", documents=1, **good))
        answer = self.server.post(events, target="/v1/events?results=all")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json()["results"], [code for _, code in cases] + ["accepted"])
        self.assertEqual(codes(answer), {number: code for number, (_, code) in enumerate(cases)})
        for reject in answer.json()["rejected"]:
            name = next(iter(cases[reject["index"]][0]))
            self.assertTrue(reject["message"].startswith(name + ":"), reject)
            identity = events[reject["index"]]["id"]
            self.assertIn(reject["id"], (identity, None), reject)
            if isinstance(identity, str) and 0 < len(identity) < 10 and "\0" not in identity:
                self.assertEqual(reject["id"], identity)
        self.assertEqual(self.documents(), 1)

    def test_the_largest_and_smallest_values_are_taken(self):
        self.accept([
            self.event("x" * 128, time="2023-01-01T00:00:00Z", credits="1000000000.000000",
                       documents=2**32 - 1, pages=2**32 - 1, processing_ms=2**40, user_id="y" * 128),
            self.event("\u20ac" * 42, time=1672531200000, credits=-10**9, documents=0, user_id=""),
            self.event("z", time="2023-01-31T23:59:60Z", credits=None, documents=None, pages=None,
                       processing_ms=None, user_id=None),
            self.event("oldest", time="2000-01-01T00:00:00Z"),
            self.event("now"), self.event("now too", time=None),
        ])
        rows = self.server.rows(self.customer, WORKFLOW, "monthly", "2023-01", "2023-01")
        self.assertEqual(rows, [{"date": "2023-01", "processed_credits": 0,
                                 "num_documents": 2**32 - 1, "num_pages": 2**32 - 1,
                                 "average_time_per_page": "0.256"}])

    def test_records_that_are_no_objects_and_fields_given_twice(self):
        good = json.dumps(self.event("good", time="2023-01-05T00:00:00Z", documents=1))
        body = f'[1,null,"x",[{good}],{good[:-1]},"id":"twice"}},{good[:-1]},"\\u0069d":"g"}},{good}]'
        answer = self.server.post(body)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(codes(answer), {number: "invalid_field" for number in range(6)})
        self.assertEqual(answer.json()["accepted"], 1)
        answer = self.server.post(f'{good[:-1]}\n5\n{{"id":}}\n{good}\n{good} {good}\n',
                                  "application/x-ndjson")
        self.assertEqual(codes(answer), {0: "invalid_field", 1: "invalid_field",
                                         2: "invalid_field", 4: "invalid_field"})
        self.assertEqual(answer.json()["duplicates"], 1)
        self.assertEqual(self.documents(), 1)

    def test_too_new_is_more_than_a_day_ahead(self):
        now = datetime.datetime.now(UTC)
        answer = self.server.post([
            self.event("a", time=(now + datetime.timedelta(hours=23)).isoformat()),
            self.event("b", time=(now + datetime.timedelta(hours=25)).isoformat())])
        self.assertEqual(codes(answer), {1: "too_new"})
        self.assertIn("24 h", answer.json()["rejected"][0]["message"])

    def test_once_and_conflicts(self):
        first = self.event("k", time="2023-01-05T00:00:00Z", documents=1, credits="1.50")
        self.assertEqual(self.accept([first, first])["duplicates"], 1)
        # The same after normalisation.
        same = dict(first, credits=1.5, pages=0, user_id=None, time="2023-01-05T01:00:00.0004+01:00",
                    customer_id=self.customer.upper(), processing_ms=None, unknown=[1, {}])
        self.assertEqual(self.accept(same)["duplicates"], 1)
        for change in ({"documents": 2}, {"credits": 1}, {"pages": 1}, {"processing_ms": 1},
                       {"user_id": "u"}, {"workflow_id": OTHER}, {"time": None},
                       {"time": "2023-01-05T00:00:00.001Z"}):
            answer = self.server.post([dict(first, **change)])
            self.assertEqual(codes(answer), {0: "id_conflict"}, change)
            self.assertEqual(answer.json()["rejected"][0]["id"], "k")
        # An omitted time equals only an omitted time.
        self.accept(self.event("t", documents=1))
        self.assertEqual(self.accept(self.event("t", documents=1))["duplicates"], 1)
        answer = self.server.post(self.event("t", documents=1, time="2023-01-05T00:00:00Z"))
        self.assertEqual(codes(answer), {0: "id_conflict"})
        # Another customer's ids are its own.
        self.assertEqual(self.accept(dict(first, customer_id=OTHER))["accepted"], 1)
        self.assertEqual(self.documents(), 1)

    def test_the_first_of_a_batch_wins_a_conflict_and_a_reject_is_not_remembered(self):
        time = "2023-01-05T00:00:00Z"
        answer = self.server.post([self.event("a", documents=2, time=time),
                                   self.event("a", documents=3, time=time),
                                   self.event("b", documents=-1, time=time),
                                   self.event("c", documents=1, time=0),
                                   self.event("b", documents=4, time=time),
                                   self.event("c", documents=8, time=time),
                                   self.event("a", documents=2, time=time)],
                                  target="/v1/events?results=all")
        self.assertEqual(answer.json()["results"], ["accepted", "id_conflict", "out_of_range",
                                                    "too_old", "accepted", "accepted", "duplicate"])
        self.assertEqual(self.documents(), 14)

    def test_a_slot_that_would_overflow_rejects_the_event_that_would_do_it(self):
        time = "2023-01-05T00:14:59.999Z"
        events = [self.event(f"o{number}", credits=10**9, documents=1, time=time)
                  for number in range(9226)]
        answer = self.server.post(events)
        # 9223 * 10^9 credits are the most that 64 bits of millionths hold.
        self.assertEqual(codes(answer), {number: "overflow" for number in range(9223, 9226)})
        self.assertEqual(answer.json()["accepted"], 9223)
        answer = self.server.post([self.event("fits", credits="372036854.775807", time=time),
                                   self.event("no", credits="0.000001", time=time),
                                   self.event("back", credits="-1", time=time),
                                   self.event("no", credits="0.000001", time=time),
                                   self.event("next slot", credits=10**9,
                                              time="2023-01-05T00:15:00Z")],
                                  target="/v1/events?results=all")
        self.assertEqual(answer.json()["results"],
                         ["accepted", "overflow", "accepted", "accepted", "accepted"])
        rows = self.server.rows(self.customer, WORKFLOW, "monthly", "2023-01", "2023-01")
        self.assertEqual(rows[0]["processed_credits"], "9224372036853.775808")
        self.assertEqual(rows[0]["num_documents"], 9223)

    def test_a_chunk_of_ten_thousand_events_at_once(self):
        lines = "".join(json.dumps(self.event(f"m{number}", documents=1, credits=0.25,
                                              time=1672531200000 + number * 200000)) + "\n"
                        for number in range(10000))
        self.assertEqual(self.accept(lines, "application/x-ndjson")["accepted"], 10000)
        self.assertEqual(self.accept(lines, "application/x-ndjson")["duplicates"], 10000)
        self.assertEqual(self.documents(), 10000)

    def test_many_weird_ids_are_kept_apart(self):
        names = ["a", "A", " a", "a ", "\u00e9", "e\u0301", "\U0001f600", "\"", "\\", "/", "\\u0061b",
                 "\u0001", "null", "0", "00"]
        answer = self.accept([self.event(name, documents=1, time=1672531200000) for name in names])
        self.assertEqual(answer["accepted"], len(names))
        escaped = ('[{"id":"\\ud83d\\ude00","documents":1,"time":1672531200000,"customer_id":"%s",'
                   '"workflow_id":"%s"}]' % (self.customer, WORKFLOW))
        self.assertEqual(self.accept(escaped)["duplicates"], 1)


class SmallBodies(ApiCase):
    options = ("--body-max", "4KiB", "--future", "0", "--dedup-window", "0", "--shards", "3",
               "--io-threads", "2")

    def test_a_body_over_the_limit_is_refused(self):
        self.assertEqual(self.server.post(b"[" + b" " * 4094 + b"]").status, 200)
        self.expect_problem(self.server.post(b"[" + b" " * 4095 + b"]"), 413, "4096 bytes")
        answer = self.server.raw(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
                                 b"\r\nContent-Type: application/json\r\n\r\n1001\r\n"
                                 + b" " * 4097 + b"\r\n0\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer)

    def test_without_a_window_every_event_counts(self):
        events = [event("k", documents=1, time="2023-01-05T00:00:00Z")] * 3
        self.assertEqual(self.accept(events)["accepted"], 3)
        rows = self.server.rows(CUSTOMER, WORKFLOW, "daily", "2023-01-05", "2023-01-05")
        self.assertEqual(rows[0]["num_documents"], 3)

    def test_the_tolerance_for_clocks_can_be_taken_away(self):
        ahead = datetime.datetime.now(UTC) + datetime.timedelta(minutes=10)
        answer = self.server.post([event("later", time=ahead.isoformat()), event("now")])
        self.assertEqual(codes(answer), {0: "too_new"})


class SeriesLimit(ApiCase):
    options = ("--series-max", "2", "--shards", "1")

    def test_new_series_over_the_limit_are_refused_and_old_ones_counted(self):
        rng = tallyd.make_random()
        customers = [tallyd.random_uuid(rng) for _ in range(4)]
        answer = self.server.post([event(f"s{number}", customer_id=customer, documents=1,
                                         time="2023-01-05T00:00:00Z")
                                   for number, customer in enumerate(customers)])
        self.assertEqual(codes(answer), {2: "series_limit", 3: "series_limit"})
        self.assertIn("2 series", answer.json()["rejected"][0]["message"])
        answer = self.server.post(event("again", customer_id=customers[1], documents=1))
        self.assertEqual(answer.json()["accepted"], 1)
        self.assertEqual(self.server.metric("tally_series", shard="0"), 2)


if __name__ == "__main__":
    tallyd.main()
