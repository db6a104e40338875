"""@fluent-org/logger for Node sends to Tally unchanged, in every mode; nothing that it sends is lost
or counted twice however often the server is killed."""

import json
import os
import shutil
import subprocess
import tempfile
import threading
import unittest

import clients
import tallyd
from forward import CUSTOMER, SECONDS, WORKFLOW, record
from tallyd import Server

MODES = ("Message", "Forward", "PackedForward", "CompressedPackedForward")
NAMES = {"Message": "message", "Forward": "forward", "PackedForward": "packed",
         "CompressedPackedForward": "compressed"}  # of the metric


def documents(server):
    rows = server.rows(CUSTOMER, WORKFLOW, "daily", "2023-01-05", "2023-01-05")
    return sum(row["num_documents"] for row in rows)


def command(name, count):
    return {"records": [record(f"{name}-{i}") for i in range(count)], "time": SECONDS * 1000 + 250}


class Client:
    """The client program, told one command after another while the server comes and goes."""

    def __init__(self, path, mode):
        self.process = subprocess.Popen(
            [clients.NODE, os.path.join(clients.FOLDER, "fluent.mjs"), path, mode],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        # It ends by itself, but not when its server stays away.
        self.guard = threading.Timer(4 * tallyd.ANSWER_SECONDS, self.process.kill)
        self.guard.start()

    def tell(self, one):
        self.process.stdin.write(json.dumps(one) + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the client has ended: {self.process.wait()}")
        return json.loads(line)

    def finish(self):
        self.process.stdin.close()
        code = self.process.wait(tallyd.ANSWER_SECONDS)
        self.remove()
        return code

    def remove(self):
        self.guard.cancel()
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class FluentNode(unittest.TestCase):
    def setUp(self):
        clients.require()
        folder = tempfile.mkdtemp(prefix="tally-socket-")
        self.addCleanup(shutil.rmtree, folder)
        self.path = os.path.join(folder, "forward.sock")
        self.server = Server("--forward-socket", self.path)
        self.addCleanup(self.server.remove)

    def test_every_mode(self):
        expected = 0
        for mode in MODES:
            results = clients.run("fluent.mjs", self.path, mode,
                                  commands=(command(mode, 1), command(mode + "-more", 200)))
            self.assertEqual(results, [{"acknowledged": 1}, {"acknowledged": 200}], mode)
            expected += 201
            self.assertEqual(documents(self.server), expected, mode)
            self.assertGreater(self.server.metric("tally_forward_messages_total",
                                                  mode=NAMES[mode]), 0)
        self.assertEqual(self.server.get("/v1/rejects").json()["rejects"], [])
        self.server.stop()

    def test_killed_again_and_again(self):
        expected = 0
        for mode in MODES:
            client = Client(self.path, mode)
            self.addCleanup(client.remove)
            for number in range(3):
                client.tell(command(f"{mode}-{number}-first", 100))
                self.assertEqual(client.hear(), {"acknowledged": 100})
                expected += 100
                self.assertEqual(documents(self.server), expected)
                client.tell(command(f"{mode}-{number}-second", 100))
                # It is being sent, or not yet, or was acknowledged already: all is well.
                self.server.kill() if number < 2 else self.server.stop()
                self.server.start()
                self.assertEqual(client.hear(), {"acknowledged": 100})
                expected += 100
                self.assertEqual(documents(self.server), expected)
            self.assertEqual(client.finish(), 0)
        self.assertEqual(self.server.get("/v1/rejects").json()["rejects"], [])
        self.server.stop()


if __name__ == "__main__":
    tallyd.main()
