"""docs/openapi.yaml says what the server really answers. Needs Debian's python3-yaml and
python3-jsonschema, and so Debian's own Python."""

import os
import re

import jsonschema
import yaml

import tallyd

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
CUSTOMER = "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
WORKFLOW = "0f6b0a4e-7d0c-4c55-9a53-2f4d3c1c8a10"
USAGE = f"/reseller/customers/{CUSTOMER}/usage/workflows"


def load():
    with open(os.path.join(ROOT, "docs", "openapi.yaml"), encoding="utf-8") as file:
        return yaml.safe_load(file)


class Description:
    """The OpenAPI document, as a judge of answers."""

    def __init__(self):
        self.document = load()
        self.seen = set()

    def resolve(self, node):
        while "$ref" in node:
            target = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def find_path(self, target):
        """The path of the document for a request's, the one with the fewest parameters first."""
        path = target.split("?")[0]
        for pattern in sorted(self.document["paths"], key=lambda text: text.count("{")):
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path):
                return pattern
        raise AssertionError(f"no path for {target}")

    def check(self, method, target, answer):
        pattern = self.find_path(target)
        operation = self.document["paths"][pattern][method.lower()]
        status = str(answer.status)
        if status not in operation["responses"]:
            raise AssertionError(f"{method} {pattern} says nothing of {status}: {answer}")
        response = self.resolve(operation["responses"][status])
        self.seen.add((pattern, method.lower(), status))
        content = response.get("content")
        if content is None:
            if answer.body:
                raise AssertionError(f"{method} {target}: a body where none should be")
            return
        kind = answer.headers["content-type"].split(";")[0]
        if kind not in content:
            raise AssertionError(f"{method} {target}: {kind} is none of {list(content)}")
        if kind.endswith("json") and kind != "application/x-ndjson":
            schema = dict(content[kind]["schema"], components=self.document["components"])
            jsonschema.Draft202012Validator(schema).validate(answer.json())


def event(identity, **more):
    return {"id": identity, "customer_id": CUSTOMER, "workflow_id": WORKFLOW,
            "time": "2023-01-31T23:59:59.999Z", "credits": 0.1, "documents": 1, "pages": 3,
            "processing_ms": 1200, **more}


def cloud_event(identity, **more):
    return {"specversion": "1.0", "id": identity, "source": "/s", "type": "usage",
            "subject": CUSTOMER, "time": "2023-01-31T00:00:00Z",
            "data": {"workflow_id": WORKFLOW, "credits": 1}, **more}


class OpenApi(tallyd.ServerCase):
    options = ("--body-max", "64KiB")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.description = Description()

    def get(self, target, status, headers=None):
        answer = self.server.get(target, headers)
        self.assertEqual(answer.status, status, answer)
        self.description.check("GET", target, answer)
        return answer

    def post(self, events, status, kind="application/json", target="/v1/events"):
        answer = self.server.post(events, kind, target)
        self.assertEqual(answer.status, status, answer)
        self.description.check("POST", target, answer)
        return answer

    def test_events(self):
        self.post(event("a"), 200)
        self.post([event("a"), event("a", credits=2), {"id": 5}, 7], 200, target="/v1/events?results=all")
        self.post("{", 400)
        self.post(" " * 70000, 413)
        self.post("a,b", 415, "text/csv")
        self.post([], 422, target="/v1/events?results=some")
        self.post(cloud_event("c"), 200, "application/cloudevents+json")
        self.post([cloud_event("c")], 200, "application/cloudevents-batch+json")

    def test_openmeter(self):
        target = "/api/v1/events"
        self.post(cloud_event("o"), 204, "application/cloudevents+json", target)
        self.post([cloud_event("p"), {}], 400, "application/json", target)
        self.post("{", 400, "application/json", target)
        self.post("a", 415, "text/plain", target)

    def test_kept_events(self):
        self.post([event("k1"), {"id": "k2", "customer_id": CUSTOMER, "workflow_id": WORKFLOW}], 200)
        page = self.get("/v1/events?limit=1", 200).json()
        self.get(f"/v1/events?after={page['next']}&customer_id={CUSTOMER}", 200)
        self.get("/v1/events?limit=2", 200, {"Accept": "application/x-ndjson"})
        self.get("/v1/events?limit=none", 422)

    def test_voids(self):
        target = "/v1/events/void"
        self.post([event("v1"), event("v2")], 200)
        void = {"customer_id": CUSTOMER, "ids": ["v1", {"id": "v9"}], "reason": "a test"}
        self.post(void, 200, target=target)
        self.post("{", 400, target=target)
        self.post(" " * 70000, 413, target=target)
        self.post(void, 415, "text/plain", target)
        self.post({**void, "ids": 5}, 422, target=target)
        self.get(f"/v1/events?customer_id={CUSTOMER}&id=v1&voids=true", 200)
        self.get("/v1/events?status=void", 422)

    def close(self, through, status, customer=CUSTOMER):
        target = f"/v1/customers/{customer}/close{through}"
        answer = self.server.request("POST", target)
        self.assertEqual(answer.status, status, answer)
        self.description.check("POST", target, answer)

    def test_closed_months(self):
        revisions = f"/v1/customers/{CUSTOMER}/revisions"
        self.get(revisions, 200)
        self.post(event("c1", time="2022-05-01T00:00:00Z"), 200)
        self.close("?through=2022-05", 200)
        self.post([event("c2", time="2022-05-01T00:00:00Z"),
                   event("c3", time="2022-04-01T00:00:00Z", pages=0)], 200)
        self.close("?through=2022-04", 409)
        self.close("?through=9999-01", 422)
        self.close("", 422)
        self.close("?through=2022-05", 404, "1a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c")
        self.assertEqual(len(self.get(revisions, 200).json()["revisions"]), 2)
        self.get(revisions + "?limit=1&after=0", 200)
        self.get(revisions + "?limit=0", 422)

    def test_usage(self):
        self.post(event("u"), 200)
        for form in (f"{USAGE}/{WORKFLOW}", f"{USAGE}/workflow_id/{WORKFLOW}"):
            for freq, start in (("monthly", "2023-01"), ("weekly", "2023-W05"),
                                ("daily", "2023-01-31"), ("hourly", "2023-01-31T23Z")):
                for extended in ("", "&extended=true"):
                    self.get(f"{form}/{freq}?start={start}&end=2023-02-01T00{extended}", 200)
            self.get(f"{form}/monthly", 422)
            self.get(f"{form}/yearly?start=2023", 404)
        self.get(f"{USAGE}/monthly?start=2023-01", 200)
        self.get(f"{USAGE}/monthly?start=soon", 422)
        self.get(f"{USAGE}/yearly?start=2023", 404)

    def test_operation(self):
        self.get("/v1/rejects", 200)
        self.get("/v1/rejects?limit=0", 422)
        for target in ("/v1/status", "/healthz", "/readyz", "/metrics"):
            self.get(target, 200)

    def test_the_examples_fit_their_schemas(self):
        document = self.description.document
        for path in document["paths"].values():
            for operation in path.values():
                bodies = [operation.get("requestBody", {})] + [
                    self.description.resolve(response)
                    for response in operation["responses"].values()]
                for body in bodies:
                    for kind in body.get("content", {}).values():
                        schema = dict(kind["schema"], components=document["components"])
                        for example in kind.get("examples", {}).values():
                            jsonschema.Draft202012Validator(schema).validate(example["value"])

    def test_events_that_the_schema_refuses_are_refused_by_the_server(self):
        schema = dict({"$ref": "#/components/schemas/Event"},
                      components=self.description.document["components"])
        judge = jsonschema.Draft202012Validator(schema)
        for number, change in enumerate(({"pages": -1}, {"pages": 1.5}, {"documents": 2 ** 32},
                                         {"customer_id": "x"}, {"id": ""}, {"credits": []},
                                         {"time": True}, {"user_id": 5})):
            bad = {**event(f"bad-{number}"), **change}
            self.assertFalse(judge.is_valid(bad), change)
            self.assertEqual(len(self.post(bad, 200).json()["rejected"]), 1, change)


if __name__ == "__main__":
    tallyd.main()
