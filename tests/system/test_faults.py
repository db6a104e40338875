"""A disk that fails under the real program: no acknowledged event is lost, none counts twice.

    test_faults.py [all]

A library (tests/faults/preload.c) lets one write or sync of data.mdb fail, once or for good, at any
place of a commit. Then either the server says that nothing was stored and takes the same batch when
it comes again, or it answers "outcome unknown", logs why and ends; started again it shows every
acknowledged event once and the batch in flight wholly or not at all. Some places, or all of them.
"""

import errno
import itertools
import json
import mmap
import os
import struct
import sys
import tempfile
import unittest

import forward
import tallyd
from tallyd import Server

PRELOAD = os.environ.get("TALLY_PRELOAD", "")
CUSTOMER = "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
WORKFLOW = "01234567-89ab-4def-8123-456789abcdef"
BATCH = 400
SHORT = 0  # half of it is written
CALLS = 8  # more than a commit of such a batch makes
EVERYTHING = len(sys.argv) > 1 and sys.argv.pop(1) == "all"


class Control:
    """Which call fails: the struct of preload.c in a file that both sides map."""

    def __init__(self):
        handle, self.path = tempfile.mkstemp(prefix="tally-fault-")
        os.ftruncate(handle, 20)
        self.memory = mmap.mmap(handle, 20)
        os.close(handle)

    def arm(self, call, code, stays):
        self.memory[:20] = struct.pack("<5i", call, code, stays, 1, 0)

    def disarm(self):
        """Returns how many calls have failed."""
        hits = struct.unpack("<5i", self.memory[:20])[4]
        self.memory[:20] = bytes(20)
        return hits

    def remove(self):
        self.memory.close()
        os.remove(self.path)


class FaultyServer(Server):
    """A tallyd whose calls go through the library."""

    def __init__(self, control, *options):
        self.control = control
        super().__init__(*options)

    def start(self, *more_options, ready=True):
        before = dict(os.environ)
        os.environ["LD_PRELOAD"] = PRELOAD
        os.environ["TALLY_FAULT_FILE"] = self.control.path
        os.environ["ASAN_OPTIONS"] = before.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        try:
            return super().start(*more_options, ready=ready)
        finally:
            os.environ.clear()
            os.environ.update(before)


def batch(number):
    return "\n".join(json.dumps({
        "id": f"{number}-{i}", "customer_id": CUSTOMER, "workflow_id": WORKFLOW, "documents": 1,
        "time": f"2023-01-{1 + i % 28:02}T00:00:00Z"}) for i in range(BATCH)).encode()


class Faults(unittest.TestCase):
    def setUp(self):
        self.control = Control()
        self.addCleanup(self.control.remove)
        self.rng = tallyd.make_random()

    def send(self, server, number):
        return server.post(batch(number), "application/x-ndjson")

    def documents(self, server):
        rows = server.rows(CUSTOMER, WORKFLOW, "daily", "2023-01-01", "2023-01-31")
        return sum(row["num_documents"] for row in rows)

    def check_end(self, server):
        """The process has stopped by itself, and said why; the next one serves."""
        self.assertEqual(server.wait_exit(), 1)
        self.assertIn("event=commit_outcome_unknown", server.log())
        self.control.disarm()
        server.start()

    def check_case(self, server, number, call, code, stays):
        """One batch meets one failure. Returns whether the failure happened."""
        case = f"call {call} fails with {errno.errorcode.get(code, 'SHORT')}, stays {stays}"
        stored = self.documents(server)
        self.control.arm(call, code, stays)
        answer = self.send(server, number)
        if answer.status == 500:
            self.assertEqual(answer.json()["outcome"], "unknown", case)
            code_of_exit = server.wait_exit()
            hits = self.control.disarm()
            self.assertEqual(code_of_exit, 1, case)
            self.assertIn("event=commit_outcome_unknown", server.log(), case)
            server.start()
        else:
            hits = self.control.disarm()
        if answer.status == 200:
            self.assertEqual(answer.json()["accepted"], BATCH, case)
            self.assertEqual(self.documents(server), stored + BATCH, case)
            return hits != 0
        self.assertIn(answer.status, (500, 507), case)
        self.assertGreater(hits, 0, case)
        found = self.documents(server) - stored
        self.assertIn(found, (0, BATCH) if answer.status == 500 else (0,), case)
        again = self.send(server, number)
        self.assertEqual(again.status, 200, f"{case}: {again}")
        self.assertEqual(again.json()["duplicates" if found else "accepted"], BATCH, case)
        self.assertEqual(self.documents(server), stored + BATCH, case)
        return True

    def test_a_write_or_a_sync_fails_anywhere_in_a_commit(self):
        cases = list(itertools.product(range(1, CALLS), (errno.EIO, errno.ENOSPC, SHORT), (0, 1)))
        if not EVERYTHING:
            cases = self.rng.sample([case for case in cases if case[0] < 5], 6)
        happened = 0
        with FaultyServer(self.control, "--shards", "1") as server:
            self.assertEqual(self.send(server, 0).status, 200)
            for number, (call, code, stays) in enumerate(cases, 1):
                happened += self.check_case(server, number, call, code, stays)
            self.assertGreater(happened, len(cases) // 3)
            server.kill()
            server.start()
            self.assertEqual(self.documents(server), (len(cases) + 1) * BATCH)
            server.stop()

    def test_a_start_fails_and_the_next_one_does_not(self):
        calls = range(1, 6) if EVERYTHING else [1, self.rng.randrange(2, 5)]
        with FaultyServer(self.control, "--shards", "1") as server:
            self.assertEqual(self.send(server, 0).status, 200)
            for call in calls:
                server.kill()
                self.control.arm(call, errno.EIO, 1)
                server.start(ready=False)
                server._wait_for(lambda: any("event=ready" in line or "event=cannot_open" in line
                                             for line in server.lines))
                if "event=cannot_open" in server.log():
                    self.assertEqual(server.wait_exit(), 1)
                    self.assertRegex(server.log(), "event=cannot_open problem=.*Input/output error")
                self.control.disarm()
                server.kill()
                server.start()
                self.assertEqual(self.documents(server), BATCH)
            server.stop()

    def test_a_forward_message_in_flight(self):
        """No acknowledgement, then the end; sent again to the next process it counts once."""
        with FaultyServer(self.control, "--shards", "1") as server:
            self.assertEqual(self.send(server, 0).status, 200)
            for call in range(1, 5) if EVERYTHING else [self.rng.randrange(1, 5)]:
                entries = [[forward.SECONDS, {"id": f"f{call}-{i}", "customer_id": CUSTOMER,
                                              "workflow_id": WORKFLOW, "documents": 1}]
                           for i in range(BATCH)]
                message = forward.pack(["usage", entries, {"chunk": f"chunk {call}"}])
                stored = self.documents(server)
                self.control.arm(call, errno.EIO, 1)
                acknowledged = self.deliver(server, message)
                self.assertFalse(acknowledged)
                self.check_end(server)
                self.assertIn(self.documents(server) - stored, (0, BATCH))
                self.assertTrue(self.deliver(server, message))
                self.assertEqual(self.documents(server), stored + BATCH)
            server.stop()

    def deliver(self, server, message):
        """Sends a message on a connection of its own: whether it was acknowledged."""
        with tallyd.socket.create_connection(server.forward_address,
                                             timeout=tallyd.ANSWER_SECONDS) as connection:
            try:
                connection.sendall(message)
                return connection.recv(100).startswith(b"\x81\xa3ack")
            except ConnectionError:
                return False


if __name__ == "__main__":
    if not os.access(PRELOAD, os.R_OK):
        sys.exit("TALLY_PRELOAD must be the path of the library of tests/faults/preload.c")
    tallyd.main()
