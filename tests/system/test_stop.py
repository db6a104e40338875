"""SIGTERM: what was answered is stored, what is in flight is finished, and the exit code is 0."""

import http.client
import json
import signal
import threading
import time
import unittest

import tallyd
from tallyd import Server, usage_target

CUSTOMER = "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
WORKFLOW = "01234567-89ab-4def-8123-456789abcdef"
POST = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def event(identity):
    return {"id": identity, "customer_id": CUSTOMER, "workflow_id": WORKFLOW, "documents": 1,
            "time": "2023-01-05T00:00:00Z"}


def documents(server):
    return server.rows(CUSTOMER, WORKFLOW, "daily", "2023-01-05", "2023-01-05")[0]["num_documents"]


def begin_post(connection, length):
    """Sends the head of a POST, and returns when the server has read it. Another connection's
    answer would not tell that: it may be on another loop."""
    connection.sendall(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % length)
    interim = connection.recv(65536)
    if interim != b"HTTP/1.1 100 Continue\r\n\r\n":
        raise AssertionError(interim)


class Load:
    """Threads that send batches of ten, and queries, until the server does not answer."""

    def __init__(self, server, threads):
        self.server = server
        self.stored = []
        self.problems = []
        self.threads = [threading.Thread(target=self.run, args=(number,))
                        for number in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        batch = 0
        while True:
            try:
                answer = self.server.post([event(f"{number}-{batch}-{i}") for i in range(10)])
                if answer.status == 200:
                    self.stored.append(answer.json()["accepted"])
                elif answer.status != 503:
                    self.problems.append(answer)
                answer = self.server.get(usage_target(CUSTOMER, WORKFLOW, "daily", "2023-01-01",
                                                      "2023-12-31"))
                if answer.status not in (200, 503) or (answer.status == 200 and
                                                       len(answer.json()) != 365):
                    self.problems.append(answer)
            except (OSError, http.client.HTTPException):
                return
            batch += 1

    def join(self):
        for thread in self.threads:
            thread.join()


class Stop(unittest.TestCase):
    def test_under_load(self):
        rng = tallyd.make_random()
        for shards in (1, 3):
            with Server("--shards", str(shards), "--io-threads", "2") as server:
                load = Load(server, 6)
                time.sleep(0.2 + 0.3 * rng.random())
                server.stop()
                load.join()
                self.assertEqual(load.problems, [])
                self.assertRegex(server.log(), "event=stopping signal=15")
                server.start()
                # Every request that was taken has been answered.
                self.assertEqual(documents(server), sum(load.stored))
                server.stop()

    def test_a_request_in_flight_is_finished_and_its_connection_closed(self):
        with Server() as server:
            body = json.dumps([event("flight")]).encode()
            with server.connect() as connection, server.connect() as idle:
                idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertTrue(idle.recv(65536).startswith(b"HTTP/1.1 200 "))
                begin_post(connection, len(body))
                connection.sendall(body[:10])
                server.process.send_signal(signal.SIGTERM)
                server.wait_logged("event=stopping")
                self.assertEqual(idle.recv(65536), b"")
                connection.sendall(body[10:])
                answer = connection.recv(65536)
                self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
                self.assertIn(b"\r\nConnection: close\r\n", answer)
                self.assertIn(b'"accepted":1', answer)
                self.assertEqual(connection.recv(65536), b"")
            self.assertEqual(server.wait_exit(), 0)
            server.start()
            self.assertEqual(documents(server), 1)
            server.stop()

    def test_a_client_that_never_ends_its_request_is_not_waited_for_longer_than_the_drain(self):
        with Server("--drain", "300ms") as server:
            with server.connect() as connection:
                begin_post(connection, 100)
                server.stop()
                self.assertEqual(connection.recv(65536), b"")

    def test_sigint_is_the_same(self):
        with Server() as server:
            server.post(event("a"))
            server.process.send_signal(signal.SIGINT)
            self.assertEqual(server.wait_exit(), 0)
            server.start()
            self.assertEqual(documents(server), 1)
            server.stop()

    def test_at_any_moment_of_the_start(self):
        rng = tallyd.make_random()
        with Server() as server:
            for number in range(20):
                server.post([event(f"{number}-{i}") for i in range(20)])
            server.kill()
            for number in range(6):
                server.start(ready=False)
                time.sleep(0.02 * rng.random() * (number % 3))
                server.stop()
            server.start()
            self.assertEqual(documents(server), 400)
            server.stop()

    def test_a_second_signal_while_stopping_does_no_harm(self):
        with Server("--drain", "500ms") as server:
            server.post(event("a"))
            with server.connect() as connection:
                connection.sendall(POST + b"Content-Length: 100\r\n\r\n[")
                server.get("/healthz")
                server.process.send_signal(signal.SIGTERM)
                server.wait_logged("event=stopping")
                server.process.send_signal(signal.SIGTERM)
                self.assertEqual(server.wait_exit(), 0)
            server.start()
            self.assertEqual(documents(server), 1)
            server.stop()


if __name__ == "__main__":
    tallyd.main()
