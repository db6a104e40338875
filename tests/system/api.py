"""What the tests of the HTTP API share: an event, and what an answer must be."""

import datetime

import tallyd

CUSTOMER = "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
WORKFLOW = "01234567-89ab-4def-8123-456789abcdef"
OTHER = "fedcba98-7654-4321-8fed-cba987654321"
UTC = datetime.timezone.utc


def event(identity, **fields):
    return {"id": identity, "customer_id": CUSTOMER, "workflow_id": WORKFLOW, **fields}


def codes(answer):
    return {reject["index"]: reject["code"] for reject in answer.json()["rejected"]}


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
