"""GET of usage and workflows, as the contract says: every form, rule and error once."""

import datetime
import decimal

import tallyd
from api import CUSTOMER, OTHER, UTC, WORKFLOW, ApiCase
from tallyd import list_target, usage_target


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


if __name__ == "__main__":
    tallyd.main()
