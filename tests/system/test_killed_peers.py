"""A peer that is killed in the middle of a message, at any byte of it: nothing of the message is
counted, nothing of it is left behind, and the next message is taken.

    test_killed_peers.py [all]

Every prefix of small messages and some of large ones, over TCP and over Unix sockets, by HTTP and by
the Forward protocol, ended by a reset and by a close; peers that go without their answer; some of
the combinations, or all.
"""

import json
import os
import shutil
import socket
import struct
import sys
import tempfile
import time
import unittest

import forward
import tallyd
from tallyd import Server

CUSTOMER, WORKFLOW = forward.CUSTOMER, forward.WORKFLOW
EVERYTHING = len(sys.argv) > 1 and sys.argv.pop(1) == "all"
LARGE = 4000  # events of a large message
KEPT = 16 << 10  # bytes of body memory that a request may find ready


def event(identity):
    return {"id": identity, "customer_id": CUSTOMER, "workflow_id": WORKFLOW, "documents": 1,
            "time": "2023-01-05T00:00:00Z"}


def http_message(identities, chunked=False):
    body = "\n".join(json.dumps(event(identity)) for identity in identities).encode()
    head = "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
    if not chunked:
        return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
    pieces = [body[i:i + 100] for i in range(0, len(body), 100)]
    return (head.encode() + b"Transfer-Encoding: chunked\r\n\r\n"
            + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n")


def records(identities):
    return [forward.record(identity, documents=1) for identity in identities]


FORWARD_MODES = {name: (lambda identities, mode=mode: mode(records(identities), "chunk"))
                 for name, mode in forward.MODES.items()}


class KilledPeers(unittest.TestCase):
    def setUp(self):
        self.rng = tallyd.make_random()
        self.directory = tempfile.mkdtemp(prefix="tally-peers-")
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.http_path = os.path.join(self.directory, "http")
        self.forward_path = os.path.join(self.directory, "forward")

    # --- Peers ---

    def connect(self, address):
        if isinstance(address, str):
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(tallyd.ANSWER_SECONDS)
            peer.connect(address)
            return peer
        return socket.create_connection(address, timeout=tallyd.ANSWER_SECONDS)

    def cut(self, address, data, reset):
        """Sends and dies: a reset forgets what was not delivered, as the end of a machine does."""
        peer = self.connect(address)
        try:
            peer.sendall(data)
        except ConnectionError:
            pass  # the server has refused the rest already
        if reset:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()

    # --- What must be left: nothing ---

    def gauges(self, server):
        metrics = server.metrics()
        return {name: metrics[name, ()] for name in (
            "tally_http_connections", "tally_http_requests_waiting", "tally_http_body_bytes",
            "tally_forward_connections", "tally_forward_pending_bytes")}

    def is_left(self, server):
        """What is left of peers, but for the connection that asks, and what it reuses."""
        gauges = self.gauges(server)
        gauges["tally_http_connections"] -= 1
        gauges["tally_http_requests_waiting"] -= 1
        if gauges["tally_http_body_bytes"] <= KEPT:
            gauges["tally_http_body_bytes"] = 0
        return {name: value for name, value in gauges.items() if value != 0}

    def check_nothing_left(self, server, documents):
        deadline = time.monotonic() + tallyd.ANSWER_SECONDS
        while self.is_left(server):
            self.assertLess(time.monotonic(), deadline, self.is_left(server))
            time.sleep(0.01)
        self.assertEqual(self.documents(server), documents)

    def documents(self, server):
        rows = server.rows(CUSTOMER, WORKFLOW, "daily", "2023-01-01", "2023-01-31")
        return sum(row["num_documents"] for row in rows)

    def cut_everywhere(self, server, address, message, step):
        """Each prefix but the whole message."""
        for length in range(0, len(message), step):
            self.cut(address, message[:length], reset=length // step % 2 == 0)
        for reset in (True, False):
            self.cut(address, message[:-1], reset)

    def cut_somewhere(self, address, message, times):
        for _ in range(times):
            self.cut(address, message[:self.rng.randrange(1, len(message))],
                     reset=self.rng.random() < 0.5)

    # --- The messages ---

    def check_http(self, server, address, chunked, step):
        """Small and large messages, and then they are sent whole and counted once."""
        name = f"{'chunked' if chunked else 'plain'} {address}"
        before = self.documents(server)
        small = http_message([f"{name} {i}" for i in range(2)], chunked)
        large = http_message([f"{name} large {i}" for i in range(LARGE)], chunked)
        self.cut_everywhere(server, address, small, step)
        self.cut_somewhere(address, large, 10)
        self.check_nothing_left(server, before)
        for message in (small, large):
            with self.connect(address) as peer:
                peer.sendall(message)
                self.assertTrue(peer.recv(100).startswith(b"HTTP/1.1 200"))
        self.assertEqual(self.documents(server), before + 2 + LARGE)

    def check_forward(self, server, address, mode, step):
        name = f"{mode} {address}"
        before = self.documents(server)
        small = FORWARD_MODES[mode]([f"{name}"])
        large = FORWARD_MODES["packed" if mode == "message" else mode](
            [f"{name} large {i}" for i in range(LARGE)])
        self.cut_everywhere(server, address, small, step)
        self.cut_somewhere(address, large, 10)
        self.check_nothing_left(server, before)
        for message in (small, large):
            with forward.Producer(address) as producer:
                producer.send(message)
                producer.take_ack("chunk")
        self.assertEqual(self.documents(server), before + 1 + LARGE)

    def check_all_http(self, server, address):
        for chunked in (False, True):
            self.check_http(server, address, chunked, 1 if EVERYTHING else 3)

    def check_all_forward(self, server, address):
        modes = list(FORWARD_MODES) if EVERYTHING else self.rng.sample(list(FORWARD_MODES), 2)
        for mode in modes:
            self.check_forward(server, address, mode, 1)

    def test_over_tcp(self):
        with Server("--shards", "1") as server:
            self.check_all_http(server, server.address)
            self.check_all_forward(server, server.forward_address)
            server.stop()

    def test_over_unix_sockets(self):
        """Metrics and totals are asked for over the sockets, too."""
        with UnixServer(self.http_path, self.forward_path) as server:
            self.check_all_http(server, self.http_path)
            self.check_all_forward(server, self.forward_path)
            server.stop()

    # --- Peers that do not wait for the answer ---

    def test_without_the_answer(self):
        """A whole message whose peer is gone is counted or not, and once when it comes again. An
        answer that nobody takes, and a long one that is taken in part, hold nothing back."""
        with Server("--shards", "1") as server:
            sent = 0
            for number in range(40):
                identities = [f"gone {number} {i}" for i in range(50)]
                message = http_message(identities) if number % 2 else \
                    forward.packed_forward(records(identities), "chunk")
                address = server.address if number % 2 else server.forward_address
                self.cut(address, message, reset=number % 4 < 2)
                with self.connect(server.address) as peer:
                    peer.sendall(http_message(identities))
                    self.assertTrue(peer.recv(100).startswith(b"HTTP/1.1 200"))
                sent += 50
            for number in range(20):
                peer = self.connect(server.address)
                peer.sendall(b"GET /v1/events?limit=2000 HTTP/1.1\r\nHost: x\r\n\r\n")
                if number % 2:
                    peer.recv(1 + self.rng.randrange(4000))
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.close()
            self.check_nothing_left(server, sent)
            server.stop()


class UnixServer(Server):
    """A tallyd that serves HTTP and Forward on Unix sockets."""

    def __init__(self, http_path, forward_path):
        self.http_path = http_path
        super().__init__("--shards", "1", "--forward-socket", forward_path, start=False)
        self.start("--http", "unix:" + http_path, ready=False)
        self.wait_logged("event=ready")

    def _read_log(self, stream):
        self.address = self.http_path  # nothing to be found out
        super()._read_log(stream)

    def _connection(self):
        connection = tallyd.http.client.HTTPConnection("localhost", timeout=tallyd.ANSWER_SECONDS)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(tallyd.ANSWER_SECONDS)
        connection.sock.connect(self.http_path)
        self._forget_connection()
        self._local.connection = connection
        self._connections.append(connection)
        return connection


if __name__ == "__main__":
    tallyd.main()
