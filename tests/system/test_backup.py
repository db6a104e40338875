"""`tally backup` of a server that takes events: every copy opens, holds what was acknowledged before
it began, each event once, and of what came later a beginning; and nothing that happens to the
backup harms the server."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

import tallyd
import tool
from tallyd import Server

CUSTOMERS = [f"6a4be78c-8c4e-4c1e-83fe-0000000000{i:02x}" for i in range(8)]
WORKFLOW = "01234567-89ab-4def-8123-456789abcdef"
COPIES = 3


class Sender(threading.Thread):
    """Sends batches for a few customers, one after the other, until it is told to stop."""

    def __init__(self, server, number, customers):
        super().__init__()
        self.server = server
        self.number = number
        self.customers = customers
        self.acknowledged = 0  # batches; read by others
        self.news = threading.Condition()
        self.stopping = False
        self.problem = None

    def events(self, batch):
        """The events of a batch: the n-th of a customer is called so."""
        return [{"id": f"{self.number}-{batch * 4 + i}", "customer_id": customer,
                 "workflow_id": WORKFLOW, "time": "2023-01-31T12:00:00Z", "documents": 1,
                 "user_id": "u" * 100}
                for customer in self.customers for i in range(4)]

    def run(self):
        try:
            while not self.stopping:
                answer = self.server.post(self.events(self.acknowledged))
                if answer.status != 200 or answer.json()["accepted"] != 4 * len(self.customers):
                    raise AssertionError(answer)
                with self.news:
                    self.acknowledged += 1
                    self.news.notify_all()
        except BaseException as error:  # told by the main thread
            with self.news:
                self.problem = error
                self.news.notify_all()

    def wait(self, batches):
        with self.news:
            while self.acknowledged < batches and self.problem is None:
                self.news.wait(1)
        if self.problem is not None:
            raise self.problem


class Backup(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="tally-backup-")
        self.addCleanup(shutil.rmtree, self.directory, True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def back_up(self, server, name):
        result = tool.run("backup", self.path(name), "--data", server.directory)
        self.assertEqual(result.code, 0, result)
        self.assertRegex(result.out, r"^\S+: \d+ shards?, \d+ values, .* copied and verified in ")
        return result

    def ids(self, directory):
        """The ids of each customer in a directory, in the order of the feed."""
        result = tool.run("export", "events", "--format", "ndjson", "--quiet", "--data", directory)
        self.assertEqual(result.code, 0, result)
        found = {}
        for line in result.out.splitlines():
            event = json.loads(line)
            found.setdefault(event["customer_id"], []).append(event["id"])
        return found

    def documents(self, directory, customer):
        result = tool.run("usage", "--customer", customer, "--workflow", WORKFLOW, "--start",
                          "2023-01", "--end", "2023-01", "--freq", "monthly", "--extended",
                          "--json", "--data", directory)
        self.assertEqual(result.code, 0, result)
        return json.loads(result.out)[0]["num_documents"]

    def check_copy(self, directory, senders, at_least):
        """Every customer has a beginning of what was sent for it, as long as what had been
        acknowledged, and the totals are of exactly these."""
        found = self.ids(directory)
        for sender, batches in zip(senders, at_least):
            for customer in sender.customers:
                ids = found.get(customer, [])
                self.assertEqual(ids, [f"{sender.number}-{i}" for i in range(len(ids))])
                self.assertGreaterEqual(len(ids), 4 * batches)
                self.assertEqual(self.documents(directory, customer), len(ids))

    def test_copies_under_load(self):
        with Server("--shards", "3") as server:
            senders = [Sender(server, 0, CUSTOMERS[:3]), Sender(server, 1, CUSTOMERS[3:])]
            for sender in senders:
                sender.start()
            try:
                before = []
                for number in range(COPIES):
                    for sender in senders:
                        sender.wait(5 * (number + 1))
                    before.append([sender.acknowledged for sender in senders])
                    self.back_up(server, f"copy{number}")
            finally:
                for sender in senders:
                    sender.stopping = True
                for sender in senders:
                    sender.join()
            for sender in senders:
                sender.wait(0)
            self.assertEqual(server.get("/readyz").status, 200)
            server.stop()
            for number in range(COPIES):
                self.assertEqual(sorted(os.listdir(self.path(f"copy{number}"))),
                                 ["shard-000", "shard-001", "shard-002"])
                verified = tool.run("verify", self.path(f"copy{number}"))
                self.assertEqual(verified.code, 0, verified)
                self.check_copy(self.path(f"copy{number}"), senders, before[number])
            self.check_copy(server.directory, senders,
                            [sender.acknowledged for sender in senders])
            self.check_restored(senders)

    def check_restored(self, senders):
        """A restore is a copy: a server takes it, knows the ids, and goes on."""
        shutil.copytree(self.path("copy0"), self.path("restored"))
        with Server(directory=self.path("restored")) as server:
            answer = server.post(senders[0].events(0)).json()
            self.assertEqual((answer["accepted"], answer["duplicates"]), (0, 12))
            self.assertEqual(server.post(senders[0].events(10 ** 6)).json()["accepted"], 12)
            server.stop()

    def fill(self, server, batches=4):
        for batch in range(batches):
            answer = server.post([
                {"id": f"{batch}-{i}", "customer_id": CUSTOMERS[i % 8], "workflow_id": WORKFLOW,
                 "user_id": "u" * 128} for i in range(2000)])
            self.assertEqual(answer.json()["accepted"], 2000)

    def start_and_catch(self, server, number, name):
        """Signals a backup while its partial directory is there; its result, or None when it was
        done first."""
        process = tool.start("backup", self.path(name), "--data", server.directory)
        while process.poll() is None and not os.path.exists(self.path(name + ".partial")):
            pass
        process.send_signal(number)
        result = tool.finish(process)
        return result if result.code == -number else None

    def test_a_killed_backup_leaves_nothing_that_looks_like_a_copy(self):
        with Server("--shards", "2") as server:
            self.fill(server)
            for attempt in range(300):
                name = f"killed{attempt}"
                if self.start_and_catch(server, signal.SIGKILL, name):
                    break
            else:
                self.fail("no backup was caught on its way")
            self.assertFalse(os.path.exists(self.path(name)))
            self.assertTrue(os.path.exists(self.path(name + ".partial")))
            self.fill_one(server, "after")
            # The next run clears what it left, and is a copy of all.
            self.back_up(server, name)
            self.assertFalse(os.path.exists(self.path(name + ".partial")))
            self.assertEqual(sum(map(len, self.ids(self.path(name)).values())), 4 * 2000 + 1)
            server.stop()

    def fill_one(self, server, name):
        answer = server.post({"id": name, "customer_id": CUSTOMERS[0], "workflow_id": WORKFLOW})
        self.assertEqual(answer.json()["accepted"], 1)

    def test_an_interrupted_backup_cleans_up(self):
        with Server("--shards", "2") as server:
            self.fill(server)
            for number in (signal.SIGINT, signal.SIGTERM):
                for attempt in range(300):
                    name = f"stopped{number}-{attempt}"
                    result = self.start_and_catch(server, number, name)
                    # A signal before it is caught ends the program where it stands.
                    if result is not None and "interrupted" in result.err:
                        break
                else:
                    self.fail("no backup was caught on its way")
                self.assertFalse(os.path.exists(self.path(name)))
                self.assertFalse(os.path.exists(self.path(name + ".partial")))
            self.fill_one(server, "after")
            server.stop()

    def test_a_full_disk_leaves_no_copy(self):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tally", self.directory],
                              capture_output=True, check=False)
        if done.returncode != 0:
            self.skipTest("mounting a small file system was refused: " + done.stderr.decode())
        self.addCleanup(subprocess.run, ["umount", "-l", self.directory], check=False)
        with Server("--shards", "1") as server:
            self.fill(server)
            result = tool.run("backup", self.path("copy"), "--data", server.directory)
            self.assertEqual(result.code, 1, result)
            self.assertIn("No space left on device", result.err)
            self.assertEqual(os.listdir(self.directory), [])
            self.fill_one(server, "after")
            server.stop()

    def test_what_is_there_already_is_not_touched(self):
        with Server("--shards", "1") as server:
            self.fill_one(server, "one")
            self.back_up(server, "copy")
            result = tool.run("backup", self.path("copy"), "--data", server.directory)
            self.assertEqual(result.code, 1, result)
            self.assertIn("is there already", result.err)
            os.makedirs(self.path("other.partial"))
            with open(self.path("other.partial/mine"), "w", encoding="utf-8"):
                pass
            result = tool.run("backup", self.path("other"), "--data", server.directory)
            self.assertEqual(result.code, 1, result)
            self.assertTrue(os.path.exists(self.path("other.partial/mine")))
            # An empty directory, and a slash at the end, are fine.
            os.makedirs(self.path("empty"))
            self.back_up(server, "empty/")
            self.assertEqual(self.documents(self.path("empty"), CUSTOMERS[0]), 0)
            server.stop()

    def test_a_directory_that_no_server_holds(self):
        with Server("--shards", "2", directory=self.path("tally-data")) as server:
            self.fill_one(server, "one")
            server.stop()
        result = tool.run("backup", "copy", "--quiet", cwd=self.directory)
        self.assertEqual((result.code, result.out, result.err), (0, "", ""), result)
        self.assertEqual(self.ids(self.path("copy")), {CUSTOMERS[0]: ["one"]})
        # A copy can be copied.
        result = tool.run("backup", "again", "--data", "copy", cwd=self.directory)
        self.assertEqual(result.code, 0, result)
        self.assertEqual(self.ids(self.path("again")), {CUSTOMERS[0]: ["one"]})

    def test_what_cannot_be_copied(self):
        result = tool.run("backup", self.path("copy"), "--data", self.path("none"))
        self.assertEqual(result.code, 3, result)
        self.assertIn("holds no database", result.err)
        result = tool.run("backup", self.path("copy"), self.path("more"))
        self.assertEqual(result.code, 2, result)
        result = tool.run("backup")
        self.assertEqual(result.code, 2, result)
        self.assertIn("it needs the directory", result.err)
        self.assertEqual(os.listdir(self.directory), [])


if __name__ == "__main__":
    tool.main()
