"""A full map and a full disk: events are refused with 507, queries work, nothing acknowledged is
lost, and events are taken again once there is space."""

import json
import os
import subprocess
import tempfile
import threading
import unittest

import tallyd
from tallyd import Server

CUSTOMER = "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
WORKFLOW = "01234567-89ab-4def-8123-456789abcdef"
BATCH = 2000
START_MS = 1672531200000  # 2023-01-01


def batch(number):
    """A batch that takes some 400 KB of the journal: one document an event."""
    return "\n".join(json.dumps({
        "id": f"{number}-{i}", "customer_id": CUSTOMER, "workflow_id": WORKFLOW, "documents": 1,
        "time": START_MS + (number * BATCH + i) * 1000 % (90 * 86400000), "user_id": "u" * 128})
        for i in range(BATCH)).encode()


class Full(unittest.TestCase):
    def send(self, server, number):
        return server.post(batch(number), "application/x-ndjson")

    def fill(self, server, start=0):
        """Sends batches until one is refused: how many were taken, and the refusal."""
        for number in range(start, start + 1000):
            answer = self.send(server, number)
            if answer.status != 200:
                return number, answer
            self.assertEqual(answer.json()["accepted"], BATCH)
        self.fail("it never became full")

    def documents(self, server):
        rows = server.rows(CUSTOMER, WORKFLOW, "daily", "2023-01-01", "2023-04-30")
        return sum(row["num_documents"] for row in rows)

    def check_full(self, server, taken, refusal):
        self.assertEqual(refusal.status, 507, refusal)
        self.assertEqual(refusal.headers["content-type"], "application/problem+json")
        self.assertRegex(refusal.json()["detail"], "(?i)full|space|reserve")
        server.wait_ready(503)
        self.assertRegex(server.get("/readyz").json()["detail"], "full")
        self.assertEqual(server.get("/healthz").status, 200)
        self.assertEqual(server.metric("tally_full", shard="0"), 1)
        self.assertEqual(self.documents(server), taken * BATCH)
        # Even one event, again and again; and what is refused is not stored in part.
        for _ in range(3):
            one = {"id": "one", "customer_id": CUSTOMER, "workflow_id": WORKFLOW}
            self.assertEqual(server.post(one).status, 507)
        server.wait_logged("event=space_low")
        self.assertEqual(self.documents(server), taken * BATCH)

    def check_all_again(self, server, taken):
        """Everything once: a retry of what was stored is a duplicate, of what was refused is not."""
        for number in range(taken):
            self.assertEqual(self.send(server, number).json()["duplicates"], BATCH)
        self.assertEqual(self.send(server, taken).json()["accepted"], BATCH)
        self.assertEqual(self.documents(server), (taken + 1) * BATCH)

    def test_a_full_map(self):
        with Server("--shards", "1") as server:
            server.stop()
            server.start("--map-size", "8MiB")
            taken, refusal = self.fill(server)
            self.assertGreater(taken, 2)
            self.check_full(server, taken, refusal)
            # As full as before, after a clean end as well as after none.
            for end in (server.stop, server.kill):
                end()
                server.start("--map-size", "8MiB", ready=False)
                server.wait_logged("event=ready")
                self.assertEqual(self.documents(server), taken * BATCH)
                self.assertEqual(self.send(server, taken).status, 507)
            server.stop()
            server.start("--map-size", "64MiB")
            self.assertEqual(self.documents(server), taken * BATCH)
            self.check_all_again(server, taken)
            server.stop()
            server.start()
            self.assertEqual(self.documents(server), (taken + 1) * BATCH)
            server.stop()

    def test_a_full_map_under_load(self):
        """Many clients run into the wall at once."""
        with Server("--shards", "2", "--map-size", "8MiB") as server:
            stored, statuses = [], set()

            def client(base):
                for number in range(base, base + 16):
                    answer = self.send(server, number)
                    statuses.add(answer.status)
                    if answer.status == 200:
                        stored.append(answer.json()["accepted"])

            threads = [threading.Thread(target=client, args=(1000 * i,)) for i in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(statuses, {200, 507})
            self.assertEqual(self.documents(server), sum(stored))
            server.kill()
            server.start(ready=False)
            server.wait_logged("event=ready")
            self.assertEqual(self.documents(server), sum(stored))
            server.stop()


class Mount:
    """A small file system of its own, or a reason why there is none."""

    def __init__(self, size):
        self.path = tempfile.mkdtemp(prefix="tally-disk-")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tally", self.path],
                              capture_output=True, check=False) if os.geteuid() == 0 else None
        self.problem = None
        if done is None:
            self.problem = "only root may mount a small file system"
        elif done.returncode != 0:
            self.problem = "mounting a small file system was refused: " + done.stderr.decode()

    def remove(self):
        if self.problem is None:
            subprocess.run(["umount", "-l", self.path], check=False)
        os.rmdir(self.path)


class FullDisk(Full):
    test_a_full_map = None
    test_a_full_map_under_load = None

    def setUp(self):
        self.disk = Mount("24m")
        self.addCleanup(self.disk.remove)
        if self.disk.problem:
            self.skipTest(self.disk.problem)
        self.ballast = os.path.join(self.disk.path, "ballast")

    def take_space(self, leave):
        """Fills the disk but for `leave` bytes."""
        disk = os.statvfs(self.disk.path)
        size = max(disk.f_bavail * disk.f_frsize - leave, 0)
        with open(self.ballast, "ab") as file:
            file.write(b"\0" * size)

    def test_a_full_disk(self):
        directory = os.path.join(self.disk.path, "data")
        with Server("--shards", "1", "--map-size", "32MiB", directory=directory) as server:
            self.assertEqual(self.send(server, 0).status, 200)
            self.take_space(12 << 20)
            taken, refusal = self.fill(server, 1)
            self.check_full(server, taken, refusal)
            os.remove(self.ballast)
            self.check_recovery(server, taken)

    def check_recovery(self, server, taken):
        """Space has been freed: events are taken again, without a restart, and without an event
        (nobody sends any to a server that is not ready)."""
        server.wait_ready()
        self.assertEqual(self.send(server, taken).json()["accepted"], BATCH)
        server.wait_logged("event=space_back")
        self.assertEqual(self.documents(server), (taken + 1) * BATCH)
        server.kill()
        server.start()
        self.assertEqual(self.documents(server), (taken + 1) * BATCH)
        self.check_all_again(server, taken + 1)
        server.stop()

    def test_a_full_disk_is_told_before_an_event_is_refused(self):
        """Nobody sends any: who balances the load must know without."""
        directory = os.path.join(self.disk.path, "data")
        with Server("--shards", "1", "--map-size", "32MiB", directory=directory) as server:
            self.take_space(0)
            server.wait_ready(503)
            os.remove(self.ballast)
            server.wait_ready()
            self.assertEqual(self.send(server, 0).json()["accepted"], BATCH)
            server.stop()

    def test_a_disk_that_is_filled_by_somebody_else(self):
        """Not even the reserve is left: the commit itself fails, with ENOSPC."""
        directory = os.path.join(self.disk.path, "data")
        with Server("--shards", "1", "--map-size", "32MiB", directory=directory) as server:
            for number in range(3):
                self.assertEqual(self.send(server, number).status, 200)
            self.take_space(0)
            refusal = self.send(server, 3)
            self.check_full(server, 3, refusal)
            # Nothing can be stored, but a stop and a start lose nothing.
            server.stop()
            server.start(ready=False)
            server.wait_logged("event=ready")
            self.assertEqual(self.documents(server), 3 * BATCH)
            self.assertEqual(self.send(server, 3).status, 507)
            server.wait_logged("event=space_low")
            os.remove(self.ballast)
            self.check_recovery(server, 3)


if __name__ == "__main__":
    tallyd.main()
