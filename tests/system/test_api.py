"""The HTTP API of a running tallyd, as its contract says: every form, rule and error once."""

import datetime
import decimal
import json
import os
import re
import signal
import unittest

import tallyd
from tallyd import Server, list_target, usage_target

CUSTOMER = "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
WORKFLOW = "01234567-89ab-4def-8123-456789abcdef"
OTHER = "fedcba98-7654-4321-8fed-cba987654321"
UTC = datetime.timezone.utc


def event(identity, **fields):
    return {"id": identity, "customer_id": CUSTOMER, "workflow_id": WORKFLOW, **fields}


def codes(answer):
    return {reject["index"]: reject["code"] for reject in answer.json()["rejected"]}


def month_of(moment):
    return f"{moment.year:04}-{moment.month:02}"


def week_of(moment):
    year, week, _ = moment.isocalendar()
    return f"{year:04}-W{week:02}"


FORMS = {
    "monthly": month_of,
    "weekly": week_of,
    "daily": lambda moment: moment.strftime("%Y-%m-%d"),
    "hourly": lambda moment: moment.strftime("%Y-%m-%dT%HZ"),
}


class ApiCase(tallyd.ServerCase):
    """One server for all the tests of a class; each test uses customers of its own."""

    def expect_problem(self, answer, status, detail=None):
        """An RFC 9457 document with that status, whose detail matches."""
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        body = answer.json()
        self.assertEqual(body["status"], status)
        self.assertEqual(body["type"], "about:blank")
        self.assertTrue(body["title"])
        self.assertTrue(body["detail"])
        if detail is not None:
            self.assertRegex(body["detail"], detail)
        return body

    def expect_wrong(self, target, place, name, message):
        """A 422 whose only error is about that parameter."""
        body = self.expect_problem(self.server.get(target), 422)
        self.assertEqual([error["loc"] for error in body["errors"]], [[place, name]], target)
        self.assertRegex(body["errors"][0]["msg"], message)

    def expect_body(self, target, body):
        answer = self.server.get(target)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(answer.headers["content-length"], str(len(body)))
        self.assertEqual(answer.body.decode(), body)

    def accept(self, events, *rest, **named):
        answer = self.server.post(events, *rest, **named)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json()["rejected"], [])
        return answer.json()


class Rollups(ApiCase):
    def setUp(self):
        self.customer = tallyd.random_uuid(tallyd.random)

    def send(self, *events):
        for number, fields in enumerate(events):
            fields.setdefault("id", f"e{number}")
            fields.setdefault("workflow_id", WORKFLOW)
            fields["customer_id"] = self.customer
        self.accept(list(events))

    def target(self, frequency, start=None, end=None, workflow=WORKFLOW):
        return usage_target(self.customer, workflow, frequency, start, end)

    def dates(self, frequency, start, end):
        return [row["date"] for row in
                self.server.rows(self.customer, WORKFLOW, frequency, start, end)]

    def test_the_example_of_the_source_document(self):
        self.send({"time": "2023-01-31T23:59:59.999Z", "credits": 21},
                  {"time": "2023-02-01T00:00:00Z", "credits": 100.5},
                  {"time": "2023-02-28T23:59:59Z", "credits": "1.5"},
                  {"time": "2023-03-31T12:00:00+02:00", "credits": 54})
        body = ('[{"date":"2023-01","processed_credits":21},'
                '{"date":"2023-02","processed_credits":102},'
                '{"date":"2023-03","processed_credits":54}]')
        self.expect_body(self.target("monthly", "2023-01", "2023-03"), body)
        self.expect_body(f"/reseller/customers/{self.customer}/usage/workflows/{WORKFLOW}/monthly"
                         "?start=2023-01&end=2023-03", body)
        for extended in ("false", "0"):
            self.expect_body(self.target("monthly", "2023-01", "2023-03")
                             + f"&extended={extended}", body)

    def test_every_frequency_has_its_form_and_its_rows(self):
        self.send({"time": "2023-01-01T22:59:59.999Z", "credits": 1},
                  {"time": "2023-01-01T23:00:00Z", "credits": 2},
                  {"time": "2023-01-02T00:00:00Z", "credits": 4})
        self.expect_body(self.target("hourly", "2023-01-01T22", "2023-01-02T00Z"),
                         '[{"date":"2023-01-01T22Z","processed_credits":1},'
                         '{"date":"2023-01-01T23Z","processed_credits":2},'
                         '{"date":"2023-01-02T00Z","processed_credits":4}]')
        self.expect_body(self.target("daily", "2022-12-31", "2023-01-02"),
                         '[{"date":"2022-12-31","processed_credits":0},'
                         '{"date":"2023-01-01","processed_credits":3},'
                         '{"date":"2023-01-02","processed_credits":4}]')
        self.expect_body(self.target("weekly", "2022-W52", "2023-W01"),
                         '[{"date":"2022-W52","processed_credits":3},'
                         '{"date":"2023-W01","processed_credits":4}]')
        self.expect_body(self.target("monthly", "2022-12", "2023-01"),
                         '[{"date":"2022-12","processed_credits":0},'
                         '{"date":"2023-01","processed_credits":7}]')

    def test_the_periods_of_a_range_are_those_of_the_calendar(self):
        first, last = datetime.datetime(2019, 12, 20), datetime.datetime(2021, 1, 12)
        for frequency, form in FORMS.items():
            start = last - datetime.timedelta(days=300) if frequency == "hourly" else first
            expected, at = [], start
            while at <= last:
                if not expected or expected[-1] != form(at):
                    expected.append(form(at))
                at += datetime.timedelta(hours=1)
            self.assertEqual(self.dates(frequency, form(start), form(last)), expected, frequency)

    def test_extended_rows_and_the_average_rounded_half_even(self):
        self.send({"time": "2023-01-05T00:00:00Z", "pages": 32, "processing_ms": 1},
                  {"time": "2023-02-05T00:00:00Z", "pages": 64, "processing_ms": 1},
                  {"time": "2023-03-05T00:00:00Z", "pages": 64, "processing_ms": 3},
                  {"time": "2023-04-05T00:00:00Z", "documents": 7, "processing_ms": 9},
                  {"time": "2023-05-05T00:00:00Z", "pages": 3, "processing_ms": 6000,
                   "documents": 4294967295, "credits": "-0.000001"},
                  {"time": "2023-06-05T00:00:00Z", "pages": 3, "processing_ms": 2000,
                   "documents": 1})
        self.expect_body(
            self.target("monthly", "2023-01", "2023-07") + "&extended=true",
            "[" + ",".join(
                f'{{"date":"2023-{month:02}","processed_credits":{credits},"num_documents":'
                f'{documents},"num_pages":{pages},"average_time_per_page":{average}}}'
                for month, credits, documents, pages, average in (
                    (1, "0", 0, 32, "0.000031"),  # 0.00003125
                    (2, "0", 0, 64, "0.000016"),  # 0.000015625
                    (3, "0", 0, 64, "0.000047"),  # 0.000046875
                    (4, "0", 7, 0, "null"),
                    (5, "-0.000001", 4294967295, 3, "2"),
                    (6, "0", 1, 3, "0.666667"),
                    (7, "0", 0, 0, "null"))) + "]")

    def test_a_tie_of_the_average_goes_to_the_even_digit(self):
        self.send({"time": "2023-01-05T00:00:00Z", "pages": 2000, "processing_ms": 1},
                  {"time": "2023-02-05T00:00:00Z", "pages": 2000, "processing_ms": 3},
                  {"time": "2023-03-05T00:00:00Z", "pages": 2000, "processing_ms": 5})
        rows = self.server.rows(self.customer, WORKFLOW, "monthly", "2023-01", "2023-03")
        # 0.0000005, 0.0000015 and 0.0000025
        self.assertEqual([str(row["average_time_per_page"]) for row in rows],
                         ["0", "0.000002", "0.000002"])

    def test_sums_are_exact(self):
        with decimal.localcontext() as context:
            context.prec = 60
            total = decimal.Decimal(0)
            events = []
            for number, text in enumerate(["0.1", "0.2", "999999999.999999", "-0.000001",
                                           "1e-6", "123456.789", "1E9", "-1000000000.000000"]):
                events.append({"id": f"{number}", "time": 1672531200000 + number, "credits": text})
                total += decimal.Decimal(text)
            self.send(*events)
            expected = f"{total.normalize():f}"
        self.expect_body(self.target("daily", "2023-01-01", "2023-01-01"),
                         f'[{{"date":"2023-01-01","processed_credits":{expected}}}]')

    def test_start_and_end_may_be_more_precise(self):
        for frequency, text, period in (
                ("monthly", "2023-01-15", "2023-01"),
                ("monthly", "2023-01-15T10:00:00Z", "2023-01"),
                ("monthly", "2023-01-15T10:00", "2023-01"),
                ("monthly", "2023-01-31T23:30:00-01:00", "2023-02"),
                ("monthly", "2023-02-01T00:30:00+01:00", "2023-01"),
                ("monthly", "2023-02-01T00:30:00%2B01:00", "2023-01"),
                ("weekly", "2023-01-01", "2022-W52"),
                ("weekly", "2021-01-03", "2020-W53"),
                ("weekly", "2024-12-30T00:00:00.5Z", "2025-W01"),
                ("daily", "2024-02-29T23:59:59.999999999Z", "2024-02-29"),
                ("daily", "2023-01-31t13:45:00z", "2023-01-31"),
                ("hourly", "2023-01-31T13", "2023-01-31T13Z"),
                ("hourly", "2023-01-31T13:59:59", "2023-01-31T13Z"),
                ("hourly", "2023-01-31T13:15:00+05:30", "2023-01-31T07Z")):
            self.assertEqual(self.dates(frequency, text, text), [period], text)

    def test_percent_encoding_counts_and_plus_is_literal(self):
        self.send({"time": "2023-01-15T10:00:00Z", "credits": 5})
        body = '[{"date":"2023-01","processed_credits":5}]'
        customer = "".join(f"%{ord(letter):02X}" for letter in self.customer)
        self.expect_body(f"/reseller/customers/{customer}/usage/%77orkflows/workflow_id/"
                         f"{WORKFLOW}/month%6Cy?st%61rt=2023%2D01&end=2023-01", body)
        self.expect_body(self.target("monthly", "2023-01", "2023-01").upper()
                         .replace("/RESELLER/CUSTOMERS/", "/reseller/customers/")
                         .replace("/USAGE/WORKFLOWS/WORKFLOW_ID/", "/usage/workflows/workflow_id/")
                         .replace("/MONTHLY?START=", "/monthly?start=")
                         .replace("&END=", "&end="), body)
        self.expect_wrong(self.target("monthly", "2023-01+", "2023-01"), "query", "start", r"\+")
        self.expect_wrong(self.target("monthly", "2023%2", "2023-01"), "query", "start", "percent")
        self.expect_wrong(self.target("monthly", "2023-0%31%00"), "query", "start", "percent")
        # A parameter that is not known is ignored, however malformed.
        self.expect_body(self.target("monthly", "2023-01", "2023-01") + "&&x=%zz&y&=1&", body)

    def test_end_is_the_current_period_by_default(self):
        for frequency, form in FORMS.items():
            before = form(datetime.datetime.now(UTC))
            rows = self.server.rows(self.customer, WORKFLOW, frequency, before, None)
            after = form(datetime.datetime.now(UTC))
            self.assertIn(rows[-1]["date"], (before, after), frequency)
            self.assertEqual(rows[0]["date"], before)

    def test_the_rules_of_a_range(self):
        wrong = self.expect_wrong
        wrong(self.target("monthly"), "query", "start", "required.*YYYY-MM")
        wrong(self.target("hourly", None, "2023-01-01T00"), "query", "start", "required")
        for frequency, text in (
                ("monthly", "2023"), ("monthly", "2023-13"), ("monthly", "2023-00"),
                ("monthly", "2023-W05"), ("monthly", ""), ("monthly", "2023-1"),
                ("monthly", "-2023-01"), ("monthly", "2023-01-32"), ("monthly", "20230115"),
                ("monthly", "2023-01-15T24:00:00Z"), ("monthly", "2023-01-15T10:00:00+2"),
                ("monthly", "january"), ("monthly", "2023-01%20"), ("monthly", "10000-01"),
                ("weekly", "2023-01"), ("weekly", "2023-W53"), ("weekly", "2023-W00"),
                ("weekly", "2023-W5"), ("weekly", "2023W05"), ("weekly", "2023-w"),
                ("daily", "2023-02-30"), ("daily", "2023-02-29"), ("daily", "2023-01"),
                ("daily", "2023-W05"), ("daily", "2023-04-31"), ("hourly", "2023-01-31"),
                ("hourly", "2023-01-31T"), ("hourly", "2023-01-31T24Z"),
                ("hourly", "2023-02-30T01Z"), ("hourly", "2023-01-31T1Z"),
                ("daily", "9" * 129), ("daily", "x" * 4000)):
            wrong(self.target(frequency, text), "query", "start", ".")
            wrong(self.target(frequency, "2023-01-02T03:04:05Z", text), "query", "end", ".")
        wrong(self.target("monthly", "2023-02", "2023-01"), "query", "end",
              "2023-01 is before .*2023-02")
        wrong(self.target("monthly", "2199-02"), "query", "start", "current period")
        wrong(self.target("monthly", "2023-01", "2023-02") + "&start=2023-01", "query", "start",
              "more than once")
        wrong(self.target("monthly", "2023-01", "2023-02") + "&end=2023-02", "query", "end",
              "more than once")
        wrong(self.target("monthly", "2023-01", "2023-02") + "&extended=1&extended=1", "query",
              "extended", "more than once")
        for extended in ("", "yes", "True", "2", "true%20"):
            wrong(self.target("monthly", "2023-01", "2023-02") + f"&extended={extended}", "query",
                  "extended", "true, false, 1 and 0")

    def test_ten_thousand_rows_and_not_one_more(self):
        start = datetime.datetime(2022, 3, 4, 5)
        form = FORMS["hourly"]
        last = start + datetime.timedelta(hours=9999)
        rows = self.server.rows(self.customer, WORKFLOW, "hourly", form(start), form(last))
        self.assertEqual(len(rows), 10000)
        self.assertEqual(rows[-1]["date"], form(last))
        self.expect_wrong(
            self.target("hourly", form(start), form(last + datetime.timedelta(hours=1))),
            "query", "end", "10001 periods.*10000 rows")
        self.expect_wrong(self.target("hourly", "2001-01-01T00Z"), "query", "start", "10000 rows")
        # The list has no rows of periods, so no such limit.
        self.expect_body(list_target(self.customer, "hourly",
                                     "?start=2000-01-01T00Z&end=2030-01-01T00Z"), "[]")

    def test_malformed_ids_and_unknown_paths(self):
        for bad in ("x", CUSTOMER[:-1], CUSTOMER + "0", CUSTOMER.replace("-", ""),
                    "{" + CUSTOMER + "}", CUSTOMER.replace("4", "g"), "%00", "%ff" * 36):
            if not bad.startswith("%00"):
                self.expect_wrong(usage_target(bad, WORKFLOW, "monthly", "2023-01"), "path",
                                  "customer_id", "UUID")
                self.expect_wrong(list_target(bad, "monthly", "?start=2023-01"), "path",
                                  "customer_id", "UUID")
                self.expect_wrong(usage_target(CUSTOMER, bad, "monthly", "2023-01"), "path",
                                  "workflow_id", "UUID")
        for path in ("/", "/v1", "/v1/events/", "//healthz", "/healthz/x", "/reseller",
                     "/reseller/customers", f"/reseller/customers/{CUSTOMER}/usage/workflows",
                     f"/reseller/customers/{CUSTOMER}/usage/workflows/{WORKFLOW}/monthly/x",
                     "/%zz", "/" + "a" * 5000, "/healthz%2f", "/v1%2Fevents"):
            self.expect_problem(self.server.get(path), 404)
        for frequency in ("yearly", "Monthly", "month", "quarterly", "minutely"):
            self.expect_problem(self.server.get(usage_target(CUSTOMER, WORKFLOW, frequency,
                                                             "2023-01")), 404,
                                "monthly, weekly, daily or hourly")
            self.expect_problem(self.server.get(list_target(CUSTOMER, frequency,
                                                            "?start=2023-01")), 404)

    def test_other_methods_are_refused_with_allow(self):
        for path, allow in (("/v1/events", "GET, HEAD, POST"), ("/healthz", "GET, HEAD"),
                            ("/readyz", "GET, HEAD"), ("/metrics", "GET, HEAD"),
                            (self.target("monthly", "2023-01"), "GET, HEAD"),
                            (list_target(self.customer, "monthly"), "GET, HEAD")):
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
                if method not in allow:
                    answer = self.server.request(method, path, b"")
                    self.expect_problem(answer, 405)
                    self.assertEqual(answer.headers["allow"], allow)

    def test_head_is_get_without_its_body(self):
        self.send({"time": "2023-01-15T10:00:00Z", "credits": 5})
        for target in (self.target("monthly", "2023-01", "2023-12"), "/healthz", "/readyz",
                       list_target(self.customer, "monthly", "?start=2023-01"), "/nothing",
                       self.target("monthly", "wrong")):
            got, headed = self.server.get(target), self.server.request("HEAD", target)
            self.assertEqual(headed.status, got.status)
            self.assertEqual(headed.body, b"")
            for name in ("content-length", "content-type"):
                self.assertEqual(headed.headers[name], got.headers[name], target)

    def test_the_list_of_workflows(self):
        other = OTHER.upper()
        self.send({"time": "2023-01-15T10:00:00Z", "workflow_id": other, "credits": 1},
                  {"time": "2023-03-15T10:00:00Z", "workflow_id": WORKFLOW, "credits": 1},
                  {"time": "2023-03-15T10:00:00Z", "workflow_id": WORKFLOW, "credits": -1,
                   "id": "x"})

        def entry(workflow, frequency, query):
            return (f'{{"workflow_id":"{workflow}","usage_url":"/reseller/customers/'
                    f'{self.customer}/usage/workflows/workflow_id/{workflow}/{frequency}'
                    f'?start={query}"}}')

        def listed(frequency, query):
            return list_target(self.customer, frequency, query)

        self.expect_body(listed("monthly", "?start=2023-01"),
                         "[" + entry(WORKFLOW, "monthly", "2023-01") + ","
                         + entry(OTHER, "monthly", "2023-01") + "]")
        self.expect_body(listed("monthly", "?end=2023-02&start=2023-01-03&extended=true"),
                         "[" + entry(OTHER, "monthly", "2023-01&end=2023-02&extended=true") + "]")
        # Used, though its credits are zero.
        self.expect_body(listed("daily", "?start=2023-03-15&end=2023-03-15T23:00Z&extended=0"),
                         "[" + entry(WORKFLOW, "daily", "2023-03-15&end=2023-03-15&extended=0")
                         + "]")
        self.expect_body(listed("weekly", "?start=2023-W10&end=2023-03-18&extended=1"),
                         "[" + entry(WORKFLOW, "weekly", "2023-W10&end=2023-W11&extended=1") + "]")
        self.expect_body(listed("hourly", "?start=2023-03-15T10&end=2023-03-15T10Z"),
                         "[" + entry(WORKFLOW, "hourly",
                                     "2023-03-15T10Z&end=2023-03-15T10Z") + "]")
        self.expect_body(listed("hourly", "?start=2023-03-15T11&end=2023-04-15T10Z"), "[]")
        self.expect_wrong(listed("monthly", ""), "query", "start", "required")
        self.expect_wrong(listed("monthly", "?start=2023-02&end=2023-01"), "query", "end", "before")
        self.expect_wrong(listed("monthly", "?start=2023-02&extended=x"), "query", "extended", ".")
        # Each URL leads to that workflow's rollups.
        for item in self.server.get(listed("monthly", "?start=2023-01&end=2023-04")).json():
            rows = self.server.get(item["usage_url"])
            self.assertEqual(rows.status, 200)
            self.assertEqual(len(rows.json()), 4)

    def test_what_was_never_seen_is_zero_or_empty(self):
        self.expect_body(self.target("monthly", "2023-01", "2023-02"),
                         '[{"date":"2023-01","processed_credits":0},'
                         '{"date":"2023-02","processed_credits":0}]')
        self.expect_body(list_target(self.customer, "monthly", "?start=2023-01"), "[]")

    def test_rollups_of_random_events_add_up_in_every_frequency(self):
        rng = tallyd.make_random()
        sums = {frequency: {} for frequency in FORMS}
        start = datetime.datetime(2023, 1, 1, tzinfo=UTC)
        events = []
        for number in range(2000):
            moment = start + datetime.timedelta(milliseconds=rng.randrange(150 * 86400000))
            micros = rng.randrange(-10**9, 10**15) // 10**rng.randrange(10)
            events.append({"id": f"r{number}", "credits": f"{decimal.Decimal(micros) / 10**6:f}",
                           "time": int(moment.timestamp() * 1000), "documents": number})
            for frequency, form in FORMS.items():
                total = sums[frequency].setdefault(form(moment), [0, 0])
                total[0] += micros
                total[1] += number
        self.send(*events)
        last = start + datetime.timedelta(days=150)
        for frequency, form in FORMS.items():
            rows = self.server.rows(self.customer, WORKFLOW, frequency, form(start), form(last))
            got = {row["date"]: [int(decimal.Decimal(row["processed_credits"]) * 10**6),
                                 row["num_documents"]]
                   for row in rows if row["num_documents"] or row["processed_credits"]}
            self.assertEqual(got, {date: total for date, total in sums[frequency].items()
                                   if total != [0, 0]}, frequency)


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


class Operations(unittest.TestCase):
    def test_health_and_readiness(self):
        with Server() as server:
            for path, body in (("/healthz", "alive"), ("/readyz", "ready")):
                answer = server.get(path)
                self.assertEqual((answer.status, answer.json()), (200, {"status": body}))
            server.stop()
            self.assertRegex(server.log(), r"level=info event=ready .*shards=\d")
            self.assertRegex(server.log(), r"level=info event=stopped exit_code=0")
            for line in server.lines:
                self.assertRegex(line, r"^ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=\w+ "
                                       r"event=\w+( \w+=(\"([^\"\\]|\\.)*\"|[^ \"]+))*$")

    def test_metrics_are_in_the_prometheus_text_format(self):
        with Server("--shards", "2") as server:
            server.post([event("a", time="2023-01-05T00:00:00Z"), event("b", pages=-1),
                         event("a", time="2023-01-05T00:00:00Z")])
            server.post("no json")
            server.get(usage_target(CUSTOMER, WORKFLOW, "monthly", "2023-01", "2023-01"))
            server.raw(b"nonsense\r\n\r\n")
            answer = server.get("/metrics")
            self.assertEqual(answer.headers["content-type"],
                             "text/plain; version=0.0.4; charset=utf-8")
            values = self.check_metrics(answer.body.decode())
            for result, count in (("accepted", 1), ("duplicate", 1), ("out_of_range", 1),
                                  ("id_conflict", 0), ("not_stored", 0)):
                self.assertEqual(values["tally_events_total", (("result", result),)], count)
            self.assertEqual(values["tally_query_seconds_count", ()], 1)
            self.assertGreaterEqual(values["tally_commit_seconds_count", ()], 1)
            self.assertEqual(values["tally_http_refused_bodies_total", ()], 1)
            self.assertEqual(values["tally_http_faults_total", (("kind", "malformed"),)], 1)
            self.assertEqual(sum(value for (name, _), value in values.items()
                                 if name == "tally_dedup_entries"), 1)
            for shard in "01":
                self.assertEqual(values["tally_dedup_window_seconds", (("shard", shard),)], 35 * 86400)
            server.stop()

    def check_metrics(self, text):
        """Families are declared, whole and in one piece; histograms are cumulative."""
        self.assertTrue(text.endswith("\n"))
        values, types, family = {}, {}, None
        lines = text.splitlines()
        for number, line in enumerate(lines):
            if line.startswith("# HELP "):
                family = line.split(" ")[2]
                self.assertNotIn(family, types)
                self.assertGreater(len(line.split(" ", 3)[3]), 0)
                self.assertTrue(lines[number + 1].startswith(f"# TYPE {family} "), line)
            elif line.startswith("# TYPE "):
                self.assertEqual(line.split(" ")[2], family)
                types[family] = line.split(" ")[3]
                self.assertIn(types[family], ("counter", "gauge", "histogram"))
            else:
                name, labels, value = tallyd.parse_sample(line)
                base = re.sub(r"_(bucket|sum|count)$", "", name)
                self.assertEqual(base if types.get(base) == "histogram" else name, family, line)
                self.assertNotIn((name, labels), values)
                if types[family] == "counter":
                    self.assertRegex(name, "(_total|_sequence)$")
                self.assertGreaterEqual(value, 0)
                values[name, labels] = value
        for family, kind in types.items():
            if kind == "histogram":
                self.check_histogram(family, values)
        return values

    def check_histogram(self, family, values):
        buckets = [(float(dict(labels)["le"]), value) for (name, labels), value in values.items()
                   if name == family + "_bucket"]
        self.assertEqual(buckets, sorted(buckets))
        self.assertEqual(sorted(value for _, value in buckets), [value for _, value in buckets])
        self.assertEqual(buckets[-1], (float("inf"), values[family + "_count", ()]))
        self.assertIn((family + "_sum", ()), values)

    def test_a_restart_keeps_everything(self):
        target = usage_target(CUSTOMER, WORKFLOW, "daily", "2023-01-01", "2023-12-31") + "&extended=1"
        for options in (["--shards", "1"], ["--shards", "3"]):
            with Server(*options) as server:
                events = [event(f"r{number}", credits=f"{number}.{number:06}", pages=number,
                                documents=1, processing_ms=number * 7,
                                time=1672531200000 + number * 17000000) for number in range(1500)]
                server.post(events)
                before = server.get(target).body
                listed = server.get(list_target(CUSTOMER, "daily", "?start=2023-01-01")).body
                for end in (server.stop, server.kill, server.stop):
                    end()
                    server.start()
                    self.assertEqual(server.get(target).body, before)
                    self.assertEqual(
                        server.get(list_target(CUSTOMER, "daily", "?start=2023-01-01")).body, listed)
                    answer = server.post(events + [dict(events[0], pages=9)]).json()
                    self.assertEqual((answer["accepted"], answer["duplicates"]), (0, 1500))
                    self.assertEqual(answer["rejected"][0]["code"], "id_conflict")
                server.stop()

    def test_a_second_process_on_the_directory_is_refused(self):
        with Server() as server:
            code, _, log = tallyd.run("--data", server.directory, "--http", "127.0.0.1:0",
                                      "--forward", "off")
            self.assertEqual(code, 1)
            self.assertRegex(log, "level=error event=cannot_open problem=.*(in use|another|other)")
            self.assertEqual(server.get("/readyz").status, 200)
            server.stop()

    def test_a_port_that_is_taken_is_refused(self):
        with Server() as server:
            code, _, log = tallyd.run("--data", server.directory + "/other", "--http",
                                      f"127.0.0.1:{server.address[1]}")
            self.assertEqual(code, 1)
            self.assertRegex(log, f"event=cannot_listen .*{server.address[1]}.*in use")
            server.stop()

    def test_addresses_that_others_can_reach_are_refused(self):
        with Server(start=False) as server:
            for address in ("0.0.0.0:0", "[::]:0"):
                code, _, log = tallyd.run("--data", server.directory, "--http", address)
                self.assertEqual(code, 1, log)
                self.assertRegex(log, "event=cannot_listen problem=.*(loopback|not available|family)")
            self.assertEqual(os.listdir(server.directory), [])

    def test_the_command_line(self):
        code, out, err = tallyd.run("--help")
        self.assertEqual((code, err), (0, ""))
        for option in ("--data DIR", "--http HOST:PORT", "--shards N", "--dedup-window TIME",
                       "--map-size SIZE", "--help, --version"):
            self.assertIn(option, out)
        code, out, err = tallyd.run("--version")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"^tallyd \d+\.\d+\.\d+\n$")
        for arguments in (["--nonsense"], ["argument"], ["--http"], ["--shards", "0"],
                          ["--shards", "-1"], ["--shards", "1000"], ["--map-size", "1KiB"],
                          ["--map-size", "lots"], ["--map-size", "99999999999GiB"],
                          ["--dedup-window", "5"], ["--dedup-window", "-1h"], ["--drain", "soon"],
                          ["--io-threads", "0"], ["--series-max", "x"], ["--body-max", "1"]):
            code, out, err = tallyd.run(*arguments)
            self.assertEqual((code, out), (2, ""), arguments)
            self.assertIn("Try 'tallyd --help'.", err)

    def test_directories_that_cannot_be_used(self):
        with Server(start=False) as server:
            path = os.path.join(server.directory, "file")
            with open(path, "w", encoding="ascii") as file:
                file.write("x")
            for directory in (path, path + "/below", "/proc/tally"):
                code, _, log = tallyd.run("--data", directory, "--http", "127.0.0.1:0",
                                          "--forward", "off")
                self.assertEqual(code, 1, log)
                self.assertIn("event=cannot_open", log)
                self.assertIn(directory, log)

    def test_the_number_of_shards_stays(self):
        with Server("--shards", "2") as server:
            server.stop()
            code, _, log = tallyd.run("--data", server.directory, "--http", "127.0.0.1:0",
                                      "--forward", "off", "--shards", "3")
            self.assertEqual(code, 1)
            self.assertRegex(log, "created with 2")
            server.options = []
            server.start()
            self.assertIn("shards=2", server.log())
            server.stop()

    def test_a_data_file_that_has_been_cut_short_is_told(self):
        """Mapped pages that do not exist are a signal, not an error."""
        with Server("--shards", "1") as server:
            server.post([event(f"{number}") for number in range(5000)])
            server.stop()
            path = os.path.join(server.directory, "shard-000", "data.mdb")
            for parts in (2, 3, 5):
                os.truncate(path, os.path.getsize(path) * (parts - 1) // parts)
            code, _, log = tallyd.run("--data", server.directory, "--http", "127.0.0.1:0",
                                      "--forward", "off")
            self.assertIn(code, (1, -signal.SIGBUS), log)
            self.assertRegex(log, "level=error event=(data_unreadable|cannot_open) problem=")

    def test_data_of_a_newer_version_or_damaged_is_refused(self):
        for name, change, message in (("state", b"\x60", "format version 96.*newer"),
                                      ("state", None, "checksum|does not match")):
            with Server("--shards", "1") as server:
                server.post(event("a"))
                server.stop()
                path = os.path.join(server.directory, "shard-000", "data.mdb")
                with open(path, "r+b") as file:
                    content = file.read()
                    # The key, its record's version, then the record's checksum (storage/store_records.c).
                    places = [found.start() for found in
                              re.finditer(re.escape(name.encode()) + rb"[\1-\x0f]\0\0\0", content)]
                    self.assertTrue(places)
                    for place in places:
                        at = place + len(name) + (0 if change else 4)
                        file.seek(at)
                        file.write(change or bytes([content[at] ^ 1]))
                code, _, log = tallyd.run("--data", server.directory, "--http", "127.0.0.1:0",
                                          "--forward", "off")
                self.assertEqual(code, 1, log)
                self.assertRegex(log, f"event=cannot_open problem=.*({message})")


if __name__ == "__main__":
    tallyd.main()
