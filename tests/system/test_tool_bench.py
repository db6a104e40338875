"""`tally bench` sends what it says, and tells what became of it."""

import json

import tallyd
import tool
from tallyd import Server

FIELDS = {"loop", "seconds", "messages", "accepted", "duplicates", "rejected", "refused_messages",
          "lost_messages", "reconnects", "events_per_second", "bytes_per_second", "latency_ms"}


def forward(server):
    return "%s:%d" % server.forward_address


class Bench(tallyd.ServerCase):
    def bench(self, *arguments):
        """A run's result as JSON. Without a warm-up everything that is sent is counted."""
        done = tool.run("bench", "--json", "--warm-up", "0", "--duration", "0", "--batch", "50",
                        *arguments)
        self.assertEqual((done.code, done.err), (0, ""), done)
        result = json.loads(done.out)
        self.assertEqual(set(result), FIELDS)
        self.assertEqual(result["messages"] * 50, result["accepted"])
        latency = list(result["latency_ms"].values())
        self.assertEqual(latency, sorted(latency))
        self.assertGreater(latency[0], 0)
        return result

    def check(self, *arguments):
        """The events that were asked for are stored, each of them new."""
        before = self.server.metric("tally_events_total", result="accepted")
        result = self.bench("--events", "2000", *arguments)
        self.assertEqual(result["accepted"], 2000)
        after = self.server.metric("tally_events_total", result="accepted")
        self.assertEqual(after - before, 2000)
        return result

    def http(self):
        return "--server", "http://%s:%d" % self.server.address

    def test_every_format_over_http(self):
        for name in ("json", "ndjson", "msgpack"):
            with self.subTest(name):
                self.check(*self.http(), "--format", name, "--connections", "3")

    def test_every_format_over_forward(self):
        for name in ("arrays", "maps"):
            with self.subTest(name):
                result = self.check("--forward", forward(self.server), "--format", name)
                self.assertEqual(result["loop"], "closed")

    def test_at_a_rate(self):
        result = self.check(*self.http(), "--rate", "100000", "--connections", "2")
        self.assertEqual(result["loop"], "open")

    def test_answers_that_wait_for_each_other(self):
        self.check(*self.http(), "--outstanding", "8")

    def test_for_a_time(self):
        done = tool.run("bench", *self.http(), "--duration", "200ms", "--warm-up", "50ms")
        self.assertEqual((done.code, done.err), (0, ""), done)
        self.assertRegex(done.out, r"^\d+ events in 0\.\d\d s: \d+ events/s, ")
        self.assertRegex(done.out, r"(?m)^latency of a message, ms:  p50 [\d.]+  p90 ")

    def test_what_the_server_refuses_is_told(self):
        with Server("--body-max", "1KiB") as server:
            done = tool.run("bench", "--server", "http://%s:%d" % server.address, "--events", "100",
                            "--batch", "100", "--warm-up", "0")
            self.assertEqual(done.code, 1, done)
            self.assertIn("messages refused: 1, the last one with status 413\n", done.out)

    def test_wrong_words(self):
        for arguments, words in (
                (("--server", "ftp://x"), "'ftp://x' is no server to measure"),
                (("--forward", "127.0.0.1:1", "--format", "json"), "is for the other protocol"),
                (("--batch", "0"), "--batch")):
            done = tool.run("bench", *arguments)
            self.assertEqual(done.code, 2, done)
            self.assertIn(words, done.err)

    def test_nobody_there(self):
        done = tool.run("bench", "--forward", "127.0.0.1:1")
        self.assertEqual(done.code, 3, done)
        self.assertIn("cannot connect to 127.0.0.1:1: Connection refused", done.err)


if __name__ == "__main__":
    tool.main()
