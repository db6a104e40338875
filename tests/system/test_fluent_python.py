"""fluent-logger for Python sends to Tally unchanged. Needs Debian's python3-fluent-logger, and so
Debian's own Python."""

import logging
import os
import shutil
import tempfile
import time
import unittest

from fluent import asyncsender, handler, sender

import tallyd
from forward import CUSTOMER, SECONDS, WORKFLOW, record
from tallyd import Server


def documents(server, start="2023-01-05", end="2023-01-05"):
    rows = server.rows(CUSTOMER, WORKFLOW, "daily", start, end)
    return sum(row["num_documents"] for row in rows)


class FluentPython(unittest.TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp(prefix="tally-socket-")
        self.addCleanup(shutil.rmtree, folder)
        self.path = os.path.join(folder, "forward.sock")
        self.server = Server("--forward-socket", self.path)
        self.addCleanup(self.server.remove)

    def sender(self, make=sender.FluentSender, **options):
        host, port = self.server.forward_address
        made = make("usage", **({"host": host, "port": port} | options))
        self.addCleanup(made.close)
        return made

    def wait_documents(self, expected, *days):
        """Nothing is acknowledged to this client, so that only the sums tell."""
        deadline = time.monotonic() + tallyd.ANSWER_SECONDS
        while documents(self.server, *days) < expected and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(documents(self.server, *days), expected)

    def check_nothing_rejected(self):
        self.assertEqual(self.server.get("/v1/rejects").json()["rejects"], [])

    def test_over_tcp_and_over_a_unix_socket(self):
        expected = 0
        for options in ({}, {"host": "unix://" + self.path}):
            for precise in (False, True):
                made = self.sender(nanosecond_precision=precise, **options)
                for number in range(50):
                    self.assertTrue(made.emit_with_time(
                        "app", SECONDS + (0.25 if precise else 0),
                        record(f"{len(options)}-{precise}-{number}")), made.last_error)
                expected += 50
                self.wait_documents(expected)
        self.check_nothing_rejected()

    def test_without_a_time_it_is_now(self):
        before = time.strftime("%Y-%m-%d", time.gmtime())
        for precise in (False, True):
            self.assertTrue(self.sender(nanosecond_precision=precise)
                            .emit(None, record(f"now-{precise}")))
        after = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 60))
        self.wait_documents(2, before, after)
        self.check_nothing_rejected()

    def test_closed_right_after_the_last_event(self):
        for number in range(20):
            made = self.sender()
            made.emit_with_time("app", SECONDS, record(f"closed-{number}"))
            made.close()
        self.wait_documents(20)

    def test_the_asynchronous_sender(self):
        made = self.sender(asyncsender.FluentSender)
        for number in range(200):
            self.assertTrue(made.emit_with_time("app", SECONDS, record(f"async-{number}")))
        made.close()
        self.wait_documents(200)

    def test_the_handler_of_the_logging_module(self):
        host, port = self.server.forward_address
        made = handler.FluentHandler("usage", host=host, port=port)
        made.setFormatter(handler.FluentRecordFormatter({"level": "%(levelname)s"}))
        logger = logging.getLogger("usage")
        logger.setLevel(logging.INFO)
        logger.addHandler(made)
        for number in range(10):
            logger.info(record(f"logged-{number}", time="2023-01-05T01:02:03Z"))
        logger.removeHandler(made)
        made.close()
        self.wait_documents(10)
        self.check_nothing_rejected()

    def test_what_it_buffers_while_the_server_is_away_arrives_once(self):
        # On the Unix socket: a port may be another program's in the meantime.
        made = self.sender(host="unix://" + self.path)
        for number in range(100):
            self.assertTrue(made.emit_with_time("app", SECONDS, record(f"before-{number}")))
        self.wait_documents(100)
        self.server.stop()
        for number in range(50):
            self.assertFalse(made.emit_with_time("app", SECONDS, record(f"away-{number}")))
        self.server.start()
        self.assertTrue(made.emit_with_time("app", SECONDS, record("after")), made.last_error)
        self.wait_documents(151)
        self.check_nothing_rejected()
        self.server.stop()


if __name__ == "__main__":
    tallyd.main()
