"""The Fluentd Forward protocol where something ends: the room for a message, the server, the disk;
nothing is lost or counted twice."""

import os
import shutil
import signal
import tempfile
import threading
import time
import unittest

import forward
import tallyd
import test_full
from forward import SECONDS, Producer, compact, documents, producer, record
from tallyd import Server

MIB = 1 << 20


class Limits(unittest.TestCase):
    def test_a_message_over_the_limit_closes_its_connection_after_what_came_before(self):
        with Server("--forward-message-max", "64KiB") as server:
            frame = len(forward.message(record("exact", user_id="", note="x" * 60000), 1))
            exact = record("exact", user_id="", note="x" * (60000 + 65536 - frame))
            for over in (0, 1):
                exact["note"] += "x" * over
                sent = forward.message(exact, 1)
                self.assertEqual(len(sent), 65536 + over)
                good = forward.message(record(f"good-{over}"), 0)
                with producer(server) as connection:
                    connection.send(good)
                    try:
                        connection.send(sent)
                    except OSError:
                        self.assertEqual(over, 1)
                    connection.take_ack(0)
                    if not over:
                        connection.take_ack(1)
                    else:
                        connection.take_end()
            server.wait_logged(f"event=forward_closed peer=127.0.0.1 byte={len(good)} ")
            self.assertEqual(server.metric("tally_forward_broken_streams_total"), 1)
            self.assertEqual(documents(server), 3)
            server.stop()

    def test_no_forward_at_all(self):
        with Server("--forward", "off") as server:
            self.assertIsNone(server.forward_address)
            server.stop()


class UnixSocket(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tally-socket-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, "forward.sock")

    def test_the_same_on_a_unix_socket(self):
        with Server("--forward-socket", self.path) as server:
            with Producer(self.path) as connection, producer(server) as other:
                for number, one in enumerate((connection, other)):
                    one.send(forward.forward([record(f"unix-{number}"), {"id": "bad"}], "c"))
                    one.take_ack("c")
            self.assertEqual(documents(server), 2)
            server.stop()
        self.assertFalse(os.path.exists(self.path))

    def test_a_socket_file_left_by_a_killed_server_is_replaced(self):
        with Server("--forward-socket", self.path, "--forward", "off") as server:
            server.kill()
            self.assertTrue(os.path.exists(self.path))
            server.start()
            with Producer(self.path) as connection:
                connection.send(forward.message(record("again"), "c"))
                connection.take_ack("c")
            server.stop()


class Clients:
    """Threads that send chunks until the server does not answer, resend what was not acknowledged,
    and remember what was."""

    def __init__(self, server, seed, count=4):
        self.server = server
        self.rng = tallyd.random.Random(seed)
        self.lock = threading.Lock()
        self.unacknowledged = {}  # chunk: (message, documents)
        self.acknowledged = 0
        self.next_chunk = 0
        self.problems = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(self.rng.getrandbits(64),))
                        for _ in range(count)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def join(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def make(self, rng):
        with self.lock:
            chunk = f"c{self.next_chunk}"
            self.next_chunk += 1
        size = rng.choice((1, 2, 20, 300))
        records = [compact(f"{chunk}-{i}") if rng.random() < 0.5 else record(f"{chunk}-{i}")
                   for i in range(size)]
        sent = rng.choice(list(forward.MODES.values()))(records, chunk)
        with self.lock:
            self.unacknowledged[chunk] = (sent, size)
        return chunk

    def book(self, chunk):
        with self.lock:
            self.acknowledged += self.unacknowledged.pop(chunk)[1]

    def run(self, seed):
        rng = tallyd.random.Random(seed)
        try:
            with producer(self.server) as connection:
                waiting = []
                while not self.stopping.is_set():
                    waiting.append(self.make(rng))
                    connection.send(self.unacknowledged[waiting[-1]][0])
                    while len(waiting) > rng.choice((0, 3, 8)):
                        connection.take_ack(waiting[0])
                        self.book(waiting.pop(0))
        except (OSError, EOFError):
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.problems.append(repr(error))

    def settle(self):
        """Sends again what was not acknowledged."""
        with producer(self.server) as connection:
            for chunk in list(self.unacknowledged):
                connection.send(self.unacknowledged[chunk][0])
                connection.take_ack(chunk)
                self.book(chunk)


class Ends(unittest.TestCase):
    def run_rounds(self, end, *options, rounds=3):
        rng = tallyd.make_random()
        with Server(*options) as server:
            clients = Clients(server, rng.getrandbits(64))
            for _ in range(rounds):
                clients.start()
                time.sleep(0.2 + 0.5 * rng.random())
                end(server)
                clients.join()
                server.start()
                self.assertEqual(clients.problems, [])
                self.assertGreaterEqual(documents(server), clients.acknowledged)
                # Until then no id was sent twice, so that nothing can have been counted twice.
                clients.settle()
                self.assertEqual(documents(server), clients.acknowledged)
                fresh = Clients(server, rng.getrandbits(64))
                fresh.acknowledged, fresh.next_chunk = clients.acknowledged, clients.next_chunk
                clients = fresh
            server.stop()
            server.start()
            self.assertEqual(documents(server), clients.acknowledged)
            server.stop()

    def test_kill_under_load(self):
        self.run_rounds(Server.kill, "--shards", "2", "--io-threads", "2")

    def test_stop_under_load(self):
        self.run_rounds(Server.stop, "--shards", "2", "--io-threads", "2")

    def test_sent_before_the_database_is_recovered(self):
        with Server() as server:
            server.kill()
            server.start(ready=False)
            with producer(server) as connection:
                connection.send(forward.message(record("early"), "early"))
                connection.take_ack("early")
            self.assertEqual(documents(server), 1)
            server.stop()

    def test_a_stop_drops_half_a_message_and_closes(self):
        with Server() as server:
            with producer(server) as connection, producer(server) as idle:
                connection.send(forward.message(record("whole"), "whole"))
                connection.take_ack("whole")
                connection.send(forward.message(record("half"), "half")[:-1])
                idle.send(forward.message(record("idle"), "idle"))
                idle.take_ack("idle")
                server.process.send_signal(signal.SIGTERM)
                connection.take_end()
                idle.take_end()
            self.assertEqual(server.wait_exit(), 0)
            server.start()
            self.assertEqual(documents(server), 2)
            server.stop()


class Full(unittest.TestCase):
    """No space: what was sent waits, its producers are held back, and nothing is lost."""

    MESSAGE = 2000  # records, some 400 KB

    def chunk(self, number):
        return forward.packed_forward([record(f"{number}-{i}", user_id="u" * 128)
                                       for i in range(self.MESSAGE)], number)

    def fill(self, server):
        """Events by HTTP until no more are taken; how many were."""
        for number in range(1000):
            answer = server.post([record(f"http-{number}-{i}", time=SECONDS * 1000,
                                         user_id="u" * 128) for i in range(self.MESSAGE)])
            if answer.status != 200:
                self.assertEqual(answer.status, 507)
                return number * self.MESSAGE
        return self.fail("it never became full")

    def wait_metric(self, server, name):
        """Waits until it is not 0."""
        deadline = time.monotonic() + tallyd.ANSWER_SECONDS
        while server.metric(name) == 0:
            self.assertLess(time.monotonic(), deadline, name)
            time.sleep(0.01)

    def test_a_producer_is_held_back_and_can_send_all_again_after_a_restart(self):
        with Server("--shards", "1", "--drain", "300ms") as server:
            server.stop()
            server.start("--map-size", "8MiB")
            stored = self.fill(server)
            connection = producer(server)

            def send():
                try:
                    for number in range(200):
                        connection.send(self.chunk(number))
                except OSError:
                    pass

            thread = threading.Thread(target=send)
            thread.start()
            self.wait_metric(server, "tally_forward_reads_paused_total")
            self.wait_metric(server, "tally_forward_retries_total")
            self.assertLess(server.metric("tally_forward_received_bytes_total"), 32 * MIB)
            self.assertLess(server.metric("tally_forward_pending_bytes"), 40 * MIB)
            self.assertEqual(server.metric("tally_forward_acks_total"), 0)
            self.assertEqual(documents(server), stored)
            server.stop()
            server.wait_logged("event=forward_waits peer=127.0.0.1 ")
            server.wait_logged("event=forward_dropped records=")
            thread.join()
            with connection:
                connection.take_end()
            server.start()
            self.assertEqual(documents(server), stored)
            with producer(server) as connection:
                for number in range(10):
                    connection.send(self.chunk(number))
                    connection.take_ack(number)
            self.assertEqual(documents(server), stored + 10 * self.MESSAGE)
            server.stop()

    def test_what_waits_is_stored_once_there_is_space(self):
        disk = test_full.Mount("24m")
        self.addCleanup(disk.remove)
        if disk.problem:
            self.skipTest(disk.problem)
        ballast = os.path.join(disk.path, "ballast")
        with Server("--shards", "1", "--map-size", "32MiB",
                    directory=os.path.join(disk.path, "data")) as server:
            size = os.statvfs(disk.path)
            with open(ballast, "wb") as file:
                file.write(b"\0" * (size.f_bavail * size.f_frsize - 8 * MIB))
            stored = self.fill(server)
            with producer(server) as connection, producer(server) as gone:
                gone.send(forward.forward([record(f"gone-{i}") for i in range(10)]))
                gone.close()
                connection.send(self.chunk(0) + self.chunk(1))
                self.wait_metric(server, "tally_forward_retries_total")
                self.assertEqual(documents(server), stored)
                os.remove(ballast)
                connection.take_ack(0)
                connection.take_ack(1)
            deadline = time.monotonic() + tallyd.ANSWER_SECONDS
            expected = stored + 2 * self.MESSAGE + 10
            while documents(server) < expected and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertEqual(documents(server), expected)
            self.assertEqual(server.metric("tally_forward_dropped_records_total"), 0)
            server.stop()


if __name__ == "__main__":
    tallyd.main()
