"""The SDK of CloudEvents and that of OpenMeter send to a running tallyd, as their users call them."""


import clients
import tallyd

WORKFLOW = "0f6b0a4e-7d0c-4c55-9a53-2f4d3c1c8a10"
TIME = "2023-01-31T23:59:59.999Z"


class ClientCase(tallyd.ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.url = "http://127.0.0.1:%d" % cls.server.address[1]

    def setUp(self):
        self.customer = tallyd.random_uuid(tallyd.random)

    def event(self, identity, **attributes):
        return {"type": "usage", "source": "/workflows/a?b=c", "id": identity, "time": TIME,
                "subject": self.customer,
                "data": {"workflow_id": WORKFLOW, "credits": 0.1, "documents": 1}, **attributes}

    def used(self):
        row = self.server.rows(self.customer, WORKFLOW, "monthly", "2023-01", "2023-01")[0]
        return row["processed_credits"], row["num_documents"]


class CloudEvents(ClientCase):
    def run_client(self, *commands):
        """The answers to each command: (status, accepted, duplicates, codes of rejects)."""
        lines = clients.run("cloudevents.mjs", self.url + "/v1/events", commands=commands)
        return [[(answer["status"], answer["body"]["accepted"], answer["body"]["duplicates"],
                  [reject["code"] for reject in answer["body"]["rejected"]])
                 for answer in line["answers"]] for line in lines]

    def test_every_mode_counts_and_all_agree(self):
        events = [self.event(f"job {number}") for number in range(3)]
        taken, again = (200, 1, 0, []), (200, 0, 1, [])
        self.assertEqual(self.run_client({"mode": "structured", "events": events[:2]},
                                         {"mode": "binary", "events": events},
                                         {"mode": "batch", "events": events + [self.event("4")]}),
                         [[taken, taken], [again, again, taken], [(200, 1, 3, [])]])
        self.assertEqual(self.used(), ("0.4", 4))

    def test_what_the_sdk_adds_is_harmless(self):
        """An id and a time when there is none; extensions; a type of the data."""
        event = self.event("1", partitionkey="p", traceparent="00-1", sequence=7,
                           datacontenttype="application/json; charset=utf-8",
                           dataschema="http://127.0.0.1/schema")
        bare = {"type": "usage", "source": "/s", "subject": self.customer, "data": event["data"]}
        self.assertEqual(self.run_client({"mode": "structured", "events": [event, bare]},
                                         {"mode": "binary", "events": [event, bare]}),
                         [[(200, 1, 0, []), (200, 1, 0, [])], [(200, 0, 1, []), (200, 1, 0, [])]])

    def test_data_as_bytes(self):
        events = [self.event("1")]
        self.assertEqual(self.run_client({"mode": "structured", "events": events, "bytes": True},
                                         {"mode": "binary", "events": events, "bytes": True},
                                         {"mode": "structured", "events": events}),
                         [[(200, 1, 0, [])], [(200, 0, 1, [])], [(200, 0, 1, [])]])

    def test_what_is_wrong_is_told(self):
        events = [self.event("1", subject="somebody"), self.event("2", data={"credits": 1}),
                  self.event("3", data="text")]
        wrong, missing = (200, 0, 0, ["invalid_field"]), (200, 0, 0, ["missing_field"])
        self.assertEqual(self.run_client({"mode": "structured", "events": events},
                                         {"mode": "binary", "events": events[:2]}),
                         [[wrong, missing, wrong], [wrong, missing]])
        self.assertEqual(self.used(), (0, 0))


class OpenMeter(ClientCase):
    def run_client(self, *commands):
        return clients.run("openmeter.mjs", self.url, commands=commands)

    def test_one_and_many_and_a_retry_count_once(self):
        events = [self.event(f"job-{number}") for number in range(3)]
        self.assertEqual(self.run_client({"events": events[0]},
                                         {"events": events, "token": "om_secret"},
                                         {"events": events}),
                         [{"result": None}] * 3)
        self.assertEqual(self.used(), ("0.3", 3))

    def test_the_least_that_the_sdk_asks_for(self):
        """It adds id and source; the time is that of arrival."""
        least = {"type": "prompt", "subject": self.customer, "data": {"workflow_id": WORKFLOW}}
        self.assertEqual(self.run_client({"events": least}, {"events": [least]}),
                         [{"result": None}] * 2)
        answer = self.server.get("/v1/events?customer_id=" + self.customer)
        self.assertEqual([event["source"] for event in answer.json()["events"]],
                         ["@openmeter/sdk"] * 2)

    def test_an_error_shows_what_was_rejected(self):
        events = [self.event("1"), self.event("2", subject="customer-1"), self.event("3")]
        self.assertEqual(self.run_client({"events": events}), [{
            "error": "HttpError", "status": 400, "problem": {
                "type": "about:blank", "title": "Bad Request", "status": 400,
                "detail": "1 of 3 events were rejected, see rejected; the others are stored",
                "accepted": 2, "duplicates": 0,
                "rejected": [{"index": 1, "id": "2", "code": "invalid_field",
                              "message": 'subject: "customer-1" is not a UUID (the customer: 36 '
                                         'characters, 8-4-4-4-12 hexadecimal digits)'}]}}])
        self.assertEqual(self.used(), ("0.2", 2))


if __name__ == "__main__":
    clients.require()
    tallyd.main()
