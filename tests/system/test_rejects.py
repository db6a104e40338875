"""GET /v1/rejects: what streams could not count is listed, page by page, across restarts and kills."""

import base64
import os
import unittest

import forward
import tallyd
from forward import pack, producer, record
from tallyd import Server


def numbered(number, **more):
    """A record without a customer, which cannot be counted."""
    return {"id": f"reject-{number}", "workflow_id": forward.WORKFLOW, **more}


def send(server, records, tag="usage.app", time=forward.SECONDS):
    with producer(server) as connection:
        connection.send(forward.forward(records, "c", time, tag))
        connection.take_ack("c")


def page(server, query=""):
    answer = server.get("/v1/rejects" + query)
    if answer.status != 200:
        raise AssertionError(answer)
    return answer.json()


def ids(listed):
    return [one["record"]["id"] for one in listed["rejects"]]


class Rejects(unittest.TestCase):
    def test_pages_fit_together(self):
        with Server() as server:
            self.assertEqual(page(server), {"rejects": [], "next": None})
            send(server, [numbered(i) for i in range(1, 251)])
            expected = [f"reject-{i}" for i in range(250, 0, -1)]
            self.assertEqual(ids(page(server)), expected[:100], "100 unless told otherwise")
            self.assertEqual(ids(page(server, "?limit=1000")), expected)
            for limit in (1, 7, 125, 249, 250):
                found, query = [], f"?limit={limit}"
                while query:
                    listed = page(server, query)
                    self.assertLessEqual(len(listed["rejects"]), limit)
                    found += ids(listed)
                    if listed["next"] is not None:
                        self.assertEqual(listed["next"], listed["rejects"][-1]["seq"])
                    query = listed["next"] and f"?limit={limit}&after={listed['next']}"
                self.assertEqual(found, expected, limit)

    def test_a_page_grows_only_so_long(self):
        with Server() as server:
            for number in range(12):
                send(server, [numbered(number * 100 + i, note="\n" * 60000) for i in range(20)])
            found, after = [], ""
            while after is not None:
                listed = server.get("/v1/rejects?limit=1000" + after)
                self.assertLess(len(listed.body), 9 << 20)
                listed = listed.json()
                found += ids(listed)
                after = listed["next"] and f"&after={listed['next']}"
            self.assertEqual(len(found), 240)
            self.assertEqual(len(set(found)), 240)

    def test_wrong_parameters_are_named(self):
        with Server() as server:
            for name, value in (("limit", "0"), ("limit", "1001"), ("limit", "-1"), ("limit", "ten"),
                                ("limit", ""), ("limit", "1&limit=1"), ("after", "0"),
                                ("after", "1.5"), ("after", "18446744073709551616"),
                                ("after", "9" * 40), ("after", "%zz")):
                answer = server.get(f"/v1/rejects?{name}={value}")
                self.assertEqual(answer.status, 422, (name, value))
                self.assertEqual(answer.json()["errors"][0]["loc"], ["query", name])
            self.assertEqual(server.request("POST", "/v1/rejects").status, 405)
            self.assertEqual(page(server, "?after=18446744073709551615&other=1")["rejects"], [])

    def test_a_record_is_shown_as_it_came(self):
        shown = {"id": "ü\"\n", "credits": -1, "pages": 1.5, "list": [None, True, {"a": 2 ** 64 - 1}]}
        hidden = {"id": "x", "blob": b"\x00\x01\x02"}
        long = {"id": "y", "note": "z" * 100000}
        with Server() as server:
            send(server, [shown, hidden, long, 7], tag="tag")
            seven, long_one, hidden_one, shown_one = page(server)["rejects"]
            self.assertEqual((shown_one["encoding"], shown_one["record"]), ("json", shown))
            self.assertEqual((seven["encoding"], seven["record"]), ("json", 7))
            self.assertEqual(hidden_one["encoding"], "base64")
            self.assertEqual(base64.b64decode(hidden_one["record"]), pack(hidden))
            self.assertNotIn("truncated", hidden_one)
            self.assertEqual((long_one["encoding"], long_one["truncated"]), ("base64", True))
            self.assertEqual(base64.b64decode(long_one["record"]), pack(long)[:65536])
            self.assertEqual(long_one["record_bytes"], len(pack(long)))
            for one in (shown_one, hidden_one, long_one, seven):
                self.assertEqual(one["time"], "2023-01-05T00:00:00.000Z")
                self.assertEqual(one["source"], "forward 127.0.0.1 tag")
                self.assertTrue(one["message"])

    def test_what_is_acknowledged_survives_a_kill_and_is_not_kept_again(self):
        server = Server()
        try:
            for number in range(20):
                send(server, [numbered(number), record(f"good-{number}")])
            before = page(server)
            server.kill()
            server.start()
            self.assertEqual(page(server), before)
            for number in range(25):
                send(server, [numbered(number)], tag="another")
            self.assertEqual(ids(page(server)), [f"reject-{i}" for i in range(24, -1, -1)])
            self.assertEqual(server.metric("tally_rejects_resent_total", shard="0"), 20)
            self.assertEqual(server.metric("tally_rejects_kept_total", shard="0"), 5)
            server.stop()
        finally:
            server.remove()

    def test_the_oldest_give_way(self):
        with Server("--rejects-bytes", "1MiB") as server:
            for number in range(20):
                send(server, [numbered(number * 100 + i, note="x" * 1000) for i in range(100)])
            kept = ids(page(server, "?limit=1000"))
            self.assertEqual(kept, [f"reject-{i}" for i in range(1999, 1999 - len(kept), -1)])
            self.assertLess(len(kept), 1000)
            self.assertGreater(len(kept), 800)
            self.assertEqual(server.metric("tally_rejects", shard="0"), len(kept))
            self.assertEqual(server.metric("tally_rejects_dropped_total", shard="0"),
                             2000 - len(kept))
            self.assertLessEqual(server.metric("tally_reject_bytes", shard="0"), 1 << 20)

    def test_a_damaged_one_is_named_and_can_be_passed_over(self):
        server = Server()
        try:
            send(server, [numbered(number, note=f"damage {number} here") for number in range(5)])
            server.stop()
            path = os.path.join(server.directory, "shard-000", "data.mdb")
            with open(path, "rb") as file:
                content = file.read()
            self.assertIn(b"damage 2 here", content)
            with open(path, "r+b") as file:
                file.write(content.replace(b"damage 2 here", b"damage 7 here"))
            server.start()
            listed = page(server)
            self.assertEqual((ids(listed), listed["next"]), (["reject-4", "reject-3"], 4))
            answer = server.get("/v1/rejects?after=4")
            self.assertEqual(answer.status, 500)
            self.assertEqual(answer.json()["detail"], "reject 3: checksum mismatch")
            self.assertEqual(answer.json()["next"], 3)
            listed = page(server, "?after=3")
            self.assertEqual((ids(listed), listed["next"]), (["reject-1", "reject-0"], None))
            send(server, [numbered(2, note="damage 2 here")])
            self.assertEqual(ids(page(server, "?limit=1")), ["reject-2"])
            server.stop()
        finally:
            server.remove()


if __name__ == "__main__":
    tallyd.main()
