"""CloudEvents sent to a running tallyd in every mode, and OpenMeter's path, byte by byte."""

import base64
import json

import tallyd
from tallyd import Server

WORKFLOW = "0f6b0a4e-7d0c-4c55-9a53-2f4d3c1c8a10"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
OPENMETER = "/api/v1/events"
TIME = "2023-01-31T23:59:59.999Z"


class CloudEventsCase(tallyd.ServerCase):
    def setUp(self):
        self.customer = tallyd.random_uuid(tallyd.random)

    def event(self, identity, **attributes):
        event = {"specversion": "1.0", "type": "usage", "source": "/w", "id": identity,
                 "subject": self.customer, "time": TIME,
                 "data": {"workflow_id": WORKFLOW, "credits": 0.1, "documents": 1}}
        event.update(attributes)
        return {name: value for name, value in event.items() if value is not None}

    def binary(self, event, target="/v1/events", content_type="application/json", **more):
        """Sends an event in binary mode; headers in `more` come on top, "_" for "-"."""
        event = dict(event)
        data = json.dumps(event.pop("data")) if "data" in event else ""
        headers = {f"ce-{name}": value for name, value in event.items()}
        headers["Content-Type"] = content_type
        headers.update({name.replace("_", "-"): value for name, value in more.items()})
        return self.server.request("POST", target, data.encode(), headers)

    def expect(self, answer, accepted, duplicates=0, rejected=()):
        self.assertEqual(answer.status, 200, answer)
        body = answer.json()
        self.assertEqual((body["accepted"], body["duplicates"]), (accepted, duplicates), body)
        self.assertEqual([(reject["index"], reject["id"], reject["code"])
                          for reject in body["rejected"]], list(rejected))
        return body["rejected"]

    def problem(self, answer, status, pattern):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        self.assertRegex(answer.json()["detail"], pattern)
        return answer.json()

    def used(self):
        """(credits, documents) of the month that the events are in."""
        row = self.server.rows(self.customer, WORKFLOW, "monthly", "2023-01", "2023-01")[0]
        return row["processed_credits"], row["num_documents"]


class Events(CloudEventsCase):
    def test_the_same_event_in_every_mode_counts_once(self):
        event = self.event("e/1 é")
        self.expect(self.server.post(event, STRUCTURED), 1)
        self.expect(self.server.post(event, "Application/CloudEvents+JSON; charset=utf-8"), 0, 1)
        self.expect(self.server.post([event, event], BATCH), 0, 2)
        self.expect(self.binary({**event, "id": "e%2F1%20%c3%A9"}), 0, 1)
        self.expect(self.binary({**event, "id": '"e/1 %c3%A9"'},
                                content_type="application/vnd.usage+json;v=1"), 0, 1)
        data = base64.b64encode(json.dumps(event["data"]).encode()).decode()
        self.expect(self.server.post({**event, "data": None, "data_base64": data}, STRUCTURED),
                    0, 1)
        self.expect(self.server.post({**event, "time": "2023-02-01T00:59:59.999+01:00"},
                                     STRUCTURED), 0, 1)
        self.assertEqual(self.used(), ("0.1", 1))

    def test_the_source_is_a_part_of_the_key(self):
        self.expect(self.server.post([self.event("e", source=source)
                                      for source in ("/a", "/b", "/a", "/a/b", "/b")], BATCH), 3, 2)
        plain = {"id": "e", "customer_id": self.customer, "workflow_id": WORKFLOW,
                 "time": TIME, "credits": 0.1, "documents": 1}
        self.expect(self.server.post(plain), 1)
        self.expect(self.server.post({**plain, "source": "/a"}), 0, 1)
        self.assertEqual(self.used(), ("0.4", 4))

    def test_other_content_under_the_same_key_is_a_conflict(self):
        self.expect(self.server.post(self.event("e"), STRUCTURED), 1)
        changed = self.event("e", data={"workflow_id": WORKFLOW, "credits": 7})
        self.expect(self.server.post(changed, STRUCTURED), 0, 0, [(0, "e", "id_conflict")])
        # What is not counted is not compared either.
        self.expect(self.server.post(self.event("e", type="other", dataschema="/x"), STRUCTURED),
                    0, 1)

    def test_a_batch_is_judged_event_by_event(self):
        rejects = self.expect(
            self.server.post([self.event("a"), {}, self.event("b", subject="x"), 7,
                              self.event("c", data=[]), self.event("d")], BATCH),
            2, 0, [(1, None, "missing_field"), (2, "b", "invalid_field"),
                   (3, None, "invalid_field"), (4, "c", "invalid_field")])
        self.assertRegex(rejects[1]["message"], 'subject: "x" is not a UUID')
        self.expect(self.server.post("[]", BATCH), 0)
        self.assertEqual(self.used(), ("0.2", 2))

    def test_results_all_lists_them(self):
        answer = self.server.post([self.event("a"), self.event("a"), {}], BATCH,
                                  "/v1/events?results=all")
        self.assertEqual(answer.json()["results"], ["accepted", "duplicate", "missing_field"])

    def test_bodies_that_are_no_cloudevents(self):
        for body, content_type, pattern in (
                ("[]", STRUCTURED, "must be one CloudEvent.*cloudevents-batch"),
                ("{}", BATCH, "must be an array of CloudEvents"),
                ("{", STRUCTURED, "the text ends"), ("", BATCH, "the text ends"),
                (json.dumps([self.event("a")])[:-1], BATCH, "the text ends")):
            self.problem(self.server.post(body, content_type), 400, pattern)
        answer = self.server.request("POST", "/v1/events", b"credits=1", {
            "Content-Type": "application/json", "ce-specversion": "1.0"})
        self.problem(answer, 400, "no such document")
        self.assertEqual(self.used(), (0, 0))

    def test_types_that_are_not_taken(self):
        for content_type in ("application/cloudevents", "application/cloudevents+avro",
                             "application/cloudevents-batch", "application/cloudevents+jsonx"):
            self.problem(self.server.post("[]", content_type), 415, "cloudevents-batch")
            self.problem(self.binary(self.event("e"), content_type=content_type), 415, "ce- header")
        for content_type in ("text/plain", "application/msgpack", "application/x-ndjson", "json"):
            self.problem(self.binary(self.event("e"), content_type=content_type), 415, "ce- header")
        self.assertEqual(self.used(), (0, 0))

    def test_headers_of_structured_mode_are_not_looked_at(self):
        answer = self.server.request("POST", "/v1/events", json.dumps(self.event("e")).encode(), {
            "Content-Type": STRUCTURED, "ce-specversion": "0.3", "ce-id": "%"})
        self.expect(answer, 1)

    def test_wrong_headers_are_told(self):
        event = self.event("e")
        self.expect(self.binary({**event, "source": "100%"}), 0, 0, [(0, "e", "invalid_field")])
        self.expect(self.binary({**event, "specversion": "0.3"}), 0, 0,
                    [(0, "e", "invalid_field")])
        self.expect(self.binary({name: event[name] for name in ("specversion", "id", "data")}),
                    0, 0, [(0, "e", "missing_field")])
        self.expect(self.binary(self.event("e", data=None)), 0, 0, [(0, "e", "missing_field")])

    def test_a_header_given_twice(self):
        event = self.event("e")
        body = json.dumps(event.pop("data"))
        head = "".join(f"ce-{name}: {value}\r\n" for name, value in event.items())
        answer = self.server.raw((f"POST /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                                  f"Content-Type: application/json\r\n{head}CE-ID: other\r\n"
                                  f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
        self.assertIn(b'"message":"id: given twice (an attribute may be given once)"', answer)

    def test_a_restart_remembers_the_source(self):
        with Server() as server:
            self.expect(server.post([self.event("e"), self.event("e", source="/x")], BATCH), 2)
            server.stop()
            server.start()
            self.expect(server.post([self.event("e"), self.event("e", source="/x"),
                                     self.event("e", source="/y")], BATCH), 1, 2)
            sources = [event["source"] for event in server.get("/v1/events").json()["events"]]
            self.assertEqual(sources, ["/w", "/x", "/y"])


class OpenMeter(CloudEventsCase):
    def send(self, events, content_type="application/json"):
        return self.server.post(events, content_type, OPENMETER)

    def accepted(self, answer):
        """204 has neither a body nor a length (RFC 9110, section 8.6)."""
        self.assertEqual((answer.status, answer.body), (204, b""), answer)
        self.assertNotIn("content-length", answer.headers)
        self.assertNotIn("content-type", answer.headers)

    def test_what_is_stored_is_answered_without_words(self):
        self.accepted(self.send(self.event("1")))
        self.accepted(self.send([self.event("1"), self.event("2")]))
        self.accepted(self.send(self.event("3"), STRUCTURED))
        self.accepted(self.send([self.event("3"), self.event("4")], BATCH))
        self.accepted(self.binary(self.event("5"), OPENMETER))
        self.accepted(self.send([]))
        self.assertEqual(self.used(), ("0.5", 5))

    def test_what_is_rejected_is_an_error_that_lists_it(self):
        events = [self.event("1"), self.event("2", type=""), self.event("1"), {"id": "4"}]
        for accepted, duplicates in ((1, 1), (0, 2)):
            problem = self.problem(self.send(events), 400,
                                   "^2 of 4 events were rejected, see rejected; the others are "
                                   "stored$")
            self.assertEqual((problem["type"], problem["title"], problem["status"]),
                             ("about:blank", "Bad Request", 400))
            self.assertEqual((problem["accepted"], problem["duplicates"]), (accepted, duplicates))
            self.assertEqual([(reject["index"], reject["id"], reject["code"])
                              for reject in problem["rejected"]],
                             [(1, "2", "out_of_range"), (3, "4", "missing_field")])
            self.assertTrue(all(reject["message"] for reject in problem["rejected"]))
        self.problem(self.send({"id": "1"}), 400,
                     "^1 of 1 events were rejected, see rejected; nothing was stored$")
        self.assertEqual(self.used(), ("0.1", 1))

    def test_authorization_and_parameters_are_ignored(self):
        answer = self.server.request(
            "POST", OPENMETER + "?results=none", json.dumps(self.event("1")).encode(),
            {"Content-Type": STRUCTURED, "Authorization": "Bearer x", "Accept": "text/html"})
        self.accepted(answer)

    def test_other_types_methods_and_paths(self):
        for content_type in ("application/msgpack", "application/x-ndjson", "text/plain", ""):
            self.problem(self.send("[]", content_type), 415,
                         "must be application/json, application/cloudevents")
        self.problem(self.send("1"), 400, "a CloudEvent .an object., or an array of them")
        answer = self.server.get(OPENMETER)
        self.problem(answer, 405, "Allow")
        self.assertEqual(answer.headers["allow"], "POST")
        self.problem(self.server.post("[]", target="/api/v1/meters"), 404, "nothing at this path")


if __name__ == "__main__":
    tallyd.main()
