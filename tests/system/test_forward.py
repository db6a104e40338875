"""The Fluentd Forward protocol: what is acknowledged is stored, what cannot be counted is kept."""

import time
import uuid

import forward
import tallyd
from forward import CUSTOMER, SECONDS, EventTime, pack, producer, record


def rejects(server):
    """The kept rejects, newest first."""
    listed = server.get("/v1/rejects?limit=1000")
    if listed.status != 200:
        raise AssertionError(listed)
    return listed.json()["rejects"]


class WithServer(tallyd.ServerCase):
    """One server for all tests of a class; each counts in a workflow of its own."""

    def setUp(self):
        self.workflow = str(uuid.uuid4())

    def record(self, identity, **fields):
        return record(f"{self.workflow}-{identity}", **({"workflow_id": self.workflow} | fields))

    def count(self, start="2023-01-01", end="2023-01-31"):
        """Documents of this test's workflow."""
        rows = self.server.rows(CUSTOMER, self.workflow, "daily", start, end)
        return sum(row["num_documents"] for row in rows)

    def wait_count(self, expected):
        """Waits until so many documents are counted, where nothing is acknowledged."""
        deadline = time.monotonic() + tallyd.ANSWER_SECONDS
        while self.count() < expected and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(self.count(), expected)

    def wait_metric(self, name, expected, **labels):
        deadline = time.monotonic() + tallyd.ANSWER_SECONDS
        while self.server.metric(name, **labels) < expected and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(self.server.metric(name, **labels), expected)


class Modes(WithServer):
    def test_every_mode_is_counted_when_it_is_acknowledged(self):
        expected = 0
        with producer(self.server) as connection:
            for number, (mode, make) in enumerate(forward.MODES.items()):
                chunk = f"chunk-{mode}"
                connection.send(make([self.record(f"{mode}-{i}") for i in range(10)], chunk))
                connection.take_ack(chunk)
                expected += 10
                self.assertEqual(self.count(), expected, mode)
                self.assertEqual(number, list(forward.MODES).index(mode))

    def test_a_chunk_sent_again_is_acknowledged_and_counted_once(self):
        with producer(self.server) as connection:
            for mode, make in forward.MODES.items():
                for _ in range(3):
                    connection.send(make([self.record(f"again-{i}") for i in range(5)], mode))
                    connection.take_ack(mode)
        self.assertEqual(self.count(), 5)

    def test_a_chunk_comes_back_as_it_was(self):
        with producer(self.server) as connection:
            for chunk in ("p8n9gmxTQVC8/nh2wlKKeQ==", "", b"\x00\xff", 7, "ü" * 300, [1, {"a": 2}]):
                connection.send(pack(["t", [], {"chunk": chunk}]))
                connection.take_ack(chunk)

    def test_records_by_name_and_by_position(self):
        with producer(self.server) as connection:
            connection.send(forward.forward([self.record("by-name"), [
                "by-position", uuid.UUID(CUSTOMER).bytes, self.workflow, "1.5", 2, 3, 400, "user"],
                ["shortest", CUSTOMER, uuid.UUID(self.workflow).bytes, 0, 4, 0, 0]], "a"))
            connection.take_ack("a")
        row = self.server.rows(CUSTOMER, self.workflow, "monthly", "2023-01", "2023-01")[0]
        self.assertEqual((row["num_documents"], row["num_pages"], row["processed_credits"]),
                         (7, 3, "1.5"))

    def test_every_form_of_time(self):
        times = (SECONDS, float(SECONDS), EventTime(SECONDS, 999999999), [SECONDS, {}],
                 EventTime(SECONDS, 5, fixed=False), [EventTime(SECONDS), {"some": "metadata"}])
        with producer(self.server) as connection:
            for number, moment in enumerate(times):
                connection.send(forward.forward([self.record(f"t{number}")], number, moment))
                connection.take_ack(number)
            self.assertEqual(self.count("2023-01-05", "2023-01-05"), len(times))
            # The record's own time wins.
            connection.send(forward.message(self.record("own", time="2023-01-07T12:00:00Z"), "own"))
            connection.take_ack("own")
            self.assertEqual(self.count("2023-01-07", "2023-01-07"), 1)
            # No time is now.
            before = time.strftime("%Y-%m-%d", time.gmtime())
            connection.send(forward.message(self.record("nil"), "nil", None)
                            + forward.message(self.record("zero"), "zero", 0))
            connection.take_ack("nil")
            connection.take_ack("zero")
            after = time.strftime("%Y-%m-%d", time.gmtime())
            self.assertEqual(self.count(before, after), 2)

    def test_packed_entries_in_text_bytes_and_gzip_members(self):
        records = [self.record(f"p{i}") for i in range(12)]
        with producer(self.server) as connection:
            for number, sent in enumerate((
                    forward.packed_forward(records[:3], 0, text=True),
                    forward.packed_forward(records[3:6], 1, compressed="text"),
                    forward.compressed_forward(records[6:9], 2),
                    forward.compressed_forward(records[9:], 3, members=3))):
                connection.send(sent)
                connection.take_ack(number)
                self.assertEqual(self.count(), 3 * (number + 1))

    def test_any_tag(self):
        with producer(self.server) as connection:
            for number, tag in enumerate(("", "a.b.c", "\x00\n\"", "ü" * 200, b"\xff\xfe")):
                connection.send(forward.message(self.record(f"tag{number}"), number, tag=tag))
                connection.take_ack(number)
        self.assertEqual(self.count(), 5)

    def test_a_large_message(self):
        records = [self.record(f"large-{i}", user_id="u" * 100) for i in range(20000)]
        with producer(self.server) as connection:
            for chunk, make in (("a", forward.forward), ("b", forward.packed_forward),
                                ("c", forward.compressed_forward)):
                connection.send(make(records, chunk))
                connection.take_ack(chunk)
                self.assertEqual(self.count(), len(records))


class Streams(WithServer):
    def test_one_byte_at_a_time(self):
        sent = b"".join(make([self.record(f"{mode}-slow")], mode)
                        for mode, make in forward.MODES.items())
        with producer(self.server) as connection:
            for byte in sent:
                connection.send(bytes([byte]))
            for mode in forward.MODES:
                connection.take_ack(mode)
        self.assertEqual(self.count(), len(forward.MODES))

    def test_pieces_of_any_size(self):
        rng = tallyd.make_random()
        sent, chunks, expected = b"", [], 1
        for number in range(300):
            make = rng.choice(list(forward.MODES.values()))
            chunk = rng.choice((None, number))
            size = rng.choice((1, 2, 30))
            sent += make([self.record(f"{number}-{i}") for i in range(size)], chunk)
            expected += size
            chunks += [] if chunk is None else [chunk]
        with producer(self.server) as connection:
            at = 0
            while at < len(sent):
                size = rng.choice((1, 7, 100, 3000, 60000))
                connection.send(sent[at:at + size])
                at += size
            connection.send(forward.message(self.record("last"), "last"))
            for chunk in (*chunks, "last"):
                connection.take_ack(chunk)
        # What had no chunk is counted, too: it came before what is acknowledged.
        self.assertEqual(self.count(), expected)

    def test_many_messages_in_one_write_are_acknowledged_in_their_order(self):
        with producer(self.server) as connection:
            connection.send(b"".join(forward.message(self.record(f"m{i}"), i) for i in range(5000)))
            for number in range(5000):
                connection.take_ack(number)
        self.assertEqual(self.count(), 5000)

    def test_without_a_chunk_nothing_is_sent_and_all_is_stored(self):
        with producer(self.server) as connection:
            connection.send(b"".join(make([self.record(f"{mode}-silent")], None)
                                     for mode, make in forward.MODES.items()))
            connection.finish()
            connection.take_end()
        self.assertEqual(self.count(), len(forward.MODES))

    def test_a_producer_that_closes_right_after_writing(self):
        for number in range(20):
            with producer(self.server) as connection:
                connection.send(forward.message(self.record(f"gone-{number}")))
        self.wait_count(20)

    def test_a_half_closed_connection_gets_its_acknowledgements(self):
        with producer(self.server) as connection:
            connection.send(forward.forward([self.record(f"half-{i}") for i in range(1000)], "a")
                            + forward.message(self.record("half"), "b"))
            connection.finish()
            connection.take_ack("a")
            connection.take_ack("b")
            connection.take_end()
        self.assertEqual(self.count(), 1001)

    def test_messages_that_are_no_arrays_are_ignored(self):
        ignored = self.server.metric("tally_forward_messages_total", mode="ignored")
        with producer(self.server) as connection:
            for value in (None, {"a": 1}, "text", 7, True, 1.5, EventTime(1)):
                connection.send(pack(value))
            connection.send(forward.message(self.record("after"), "after"))
            connection.take_ack("after")
        self.assertEqual(self.count(), 1)
        self.assertEqual(self.server.metric("tally_forward_messages_total", mode="ignored"),
                         ignored + 7)
        self.server.wait_logged("event=forward_ignored peer=127.0.0.1 ")
        self.assertEqual(sum("event=forward_ignored" in line for line in self.server.lines), 1)

    def test_a_stream_that_breaks_is_closed_after_what_came_before(self):
        for number, garbage in enumerate((b"\xc1", b"\x92\xa1t\xc1", b"\x91\xdd\xff\xff\xff\xff"
                                          + b"\xdd\xff\xff\xff\xff" * 3)):
            good = forward.message(self.record(f"good-{number}"), number)
            with producer(self.server) as connection:
                connection.send(good + garbage)
                connection.take_ack(number)
                if number < 2:
                    connection.take_end()
                    self.server.wait_logged(
                        f"event=forward_closed peer=127.0.0.1 "
                        f"byte={len(good) + garbage.index(0xc1)} ")
        self.assertEqual(self.count(), 3)

    def test_an_end_at_any_byte_of_a_message(self):
        whole = forward.message(self.record("whole-000"))
        for cut in range(len(whole)):
            one = forward.message(self.record(f"whole-{cut:03}"))
            part = forward.message(self.record(f"part--{cut:03}"), tag="usage")
            with producer(self.server) as connection:
                connection.send(one + part[:cut])
                if cut % 2:
                    connection.finish()
                    connection.take_end()
        self.wait_count(len(whole))

    def test_a_reset_at_any_byte_harms_nobody_else(self):
        whole = forward.message(self.record("reset"), "reset")
        for cut in range(0, len(whole), 3):
            connection = producer(self.server)
            connection.send(whole[:cut])
            connection.reset()
        with producer(self.server) as connection:
            connection.send(whole)
            connection.reset()
        with producer(self.server) as connection:
            connection.send(forward.message(self.record("after"), "after"))
            connection.take_ack("after")
        self.assertIn(self.count(), (1, 2))


class Rejects(WithServer):
    def keep(self, sent, chunk="c"):
        with producer(self.server) as connection:
            connection.send(sent)
            connection.take_ack(chunk)

    def test_what_cannot_be_counted_is_kept_with_its_reason_and_acknowledged(self):
        bad = {"id": "bad", "customer_id": "nobody", "workflow_id": self.workflow}
        self.keep(forward.forward([self.record("good"), bad, 7], "c", tag="usage.app"))
        self.assertEqual(self.count(), 1)
        newest = rejects(self.server)[:2]
        self.assertEqual({one["code"] for one in newest}, {"invalid_field"})
        for one in newest:
            self.assertEqual(one["source"], "forward 127.0.0.1 usage.app")
            self.assertTrue(one["message"])
        self.assertIn("customer_id", str(newest))

    def test_a_reject_sent_again_is_kept_once(self):
        before = len(rejects(self.server))
        sent = forward.packed_forward([{"id": f"again-{self.workflow}"}], "c")
        for _ in range(3):
            self.keep(sent)
        self.assertEqual(len(rejects(self.server)), before + 1)

    def test_events_that_the_database_refuses_are_kept(self):
        before = len(rejects(self.server))
        self.keep(forward.forward([self.record("same", documents=1)], "c"))
        self.keep(forward.forward([self.record("same", documents=2)], "c"))
        self.keep(forward.compressed_forward([self.record("future", time="9999-01-01T00:00:00Z")],
                                             "c"))
        newest = rejects(self.server)
        self.assertEqual(len(newest), before + 2)
        self.assertEqual([one["code"] for one in newest[:2]], ["too_new", "id_conflict"])
        self.assertEqual(self.count(), 1)

    def test_an_array_that_is_no_message_is_one_reject(self):
        before = len(rejects(self.server))
        with producer(self.server) as connection:
            connection.send(pack([1, 2, self.workflow]) + forward.message(self.record("x"), "x"))
            connection.take_ack("x")
        self.assertEqual(len(rejects(self.server)), before + 1)

    def test_packed_entries_that_break_off_are_kept(self):
        before = len(rejects(self.server))
        stream = forward.packed([self.record("one"), self.record("two")])
        self.keep(pack(["t", stream[:-1], {"chunk": "c"}]))
        self.assertEqual(self.count(), 1)
        self.assertEqual(len(rejects(self.server)), before + 1)


if __name__ == "__main__":
    tallyd.main()
