"""A tallyd that is started, watched, stopped and started again."""

import os
import re
import signal
import unittest

import tallyd
from api import CUSTOMER, WORKFLOW, event
from tallyd import Server, list_target, usage_target


class Operations(unittest.TestCase):
    def test_health_and_readiness(self):
        with Server() as server:
            for path, body in (("/healthz", "alive"), ("/readyz", "ready")):
                answer = server.get(path)
                self.assertEqual((answer.status, answer.json()), (200, {"status": body}))
            server.stop()
            self.assertRegex(server.log(), r"level=info event=ready .*shards=\d")
            self.assertRegex(server.log(), r"level=info event=stopped exit_code=0")
            for line in server.lines:
                self.assertRegex(line, r"^ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=\w+ "
                                       r"event=\w+( \w+=(\"([^\"\\]|\\.)*\"|[^ \"]+))*$")

    def test_metrics_are_in_the_prometheus_text_format(self):
        with Server("--shards", "2") as server:
            server.post([event("a", time="2023-01-05T00:00:00Z"), event("b", pages=-1),
                         event("a", time="2023-01-05T00:00:00Z")])
            server.post("no json")
            server.get(usage_target(CUSTOMER, WORKFLOW, "monthly", "2023-01", "2023-01"))
            server.raw(b"nonsense\r\n\r\n")
            answer = server.get("/metrics")
            self.assertEqual(answer.headers["content-type"],
                             "text/plain; version=0.0.4; charset=utf-8")
            values = self.check_metrics(answer.body.decode())
            for result, count in (("accepted", 1), ("duplicate", 1), ("out_of_range", 1),
                                  ("id_conflict", 0), ("not_stored", 0)):
                self.assertEqual(values["tally_events_total", (("result", result),)], count)
            self.assertEqual(values["tally_query_seconds_count", ()], 1)
            self.assertGreaterEqual(values["tally_commit_seconds_count", ()], 1)
            self.assertEqual(values["tally_http_refused_bodies_total", ()], 1)
            self.assertEqual(values["tally_http_faults_total", (("kind", "malformed"),)], 1)
            self.assertEqual(sum(value for (name, _), value in values.items()
                                 if name == "tally_dedup_entries"), 1)
            for shard in "01":
                self.assertEqual(values["tally_dedup_window_seconds", (("shard", shard),)], 35 * 86400)
            server.stop()

    def check_metrics(self, text):
        """Families are declared, whole and in one piece; histograms are cumulative."""
        self.assertTrue(text.endswith("\n"))
        values, types, family = {}, {}, None
        lines = text.splitlines()
        for number, line in enumerate(lines):
            if line.startswith("# HELP "):
                family = line.split(" ")[2]
                self.assertNotIn(family, types)
                self.assertGreater(len(line.split(" ", 3)[3]), 0)
                self.assertTrue(lines[number + 1].startswith(f"# TYPE {family} "), line)
            elif line.startswith("# TYPE "):
                self.assertEqual(line.split(" ")[2], family)
                types[family] = line.split(" ")[3]
                self.assertIn(types[family], ("counter", "gauge", "histogram"))
            else:
                name, labels, value = tallyd.parse_sample(line)
                base = re.sub(r"_(bucket|sum|count)$", "", name)
                self.assertEqual(base if types.get(base) == "histogram" else name, family, line)
                self.assertNotIn((name, labels), values)
                if types[family] == "counter":
                    self.assertRegex(name, "(_total|_sequence)$")
                self.assertGreaterEqual(value, 0)
                values[name, labels] = value
        for family, kind in types.items():
            if kind == "histogram":
                self.check_histogram(family, values)
        return values

    def check_histogram(self, family, values):
        buckets = [(float(dict(labels)["le"]), value) for (name, labels), value in values.items()
                   if name == family + "_bucket"]
        self.assertEqual(buckets, sorted(buckets))
        self.assertEqual(sorted(value for _, value in buckets), [value for _, value in buckets])
        self.assertEqual(buckets[-1], (float("inf"), values[family + "_count", ()]))
        self.assertIn((family + "_sum", ()), values)

    def test_a_restart_keeps_everything(self):
        target = usage_target(CUSTOMER, WORKFLOW, "daily", "2023-01-01", "2023-12-31") + "&extended=1"
        for options in (["--shards", "1"], ["--shards", "3"]):
            with Server(*options) as server:
                events = [event(f"r{number}", credits=f"{number}.{number:06}", pages=number,
                                documents=1, processing_ms=number * 7,
                                time=1672531200000 + number * 17000000) for number in range(1500)]
                server.post(events)
                before = server.get(target).body
                listed = server.get(list_target(CUSTOMER, "daily", "?start=2023-01-01")).body
                for end in (server.stop, server.kill, server.stop):
                    end()
                    server.start()
                    self.assertEqual(server.get(target).body, before)
                    self.assertEqual(
                        server.get(list_target(CUSTOMER, "daily", "?start=2023-01-01")).body, listed)
                    answer = server.post(events + [dict(events[0], pages=9)]).json()
                    self.assertEqual((answer["accepted"], answer["duplicates"]), (0, 1500))
                    self.assertEqual(answer["rejected"][0]["code"], "id_conflict")
                server.stop()

    def test_a_second_process_on_the_directory_is_refused(self):
        with Server() as server:
            code, _, log = tallyd.run("--data", server.directory, "--http", "127.0.0.1:0",
                                      "--forward", "off")
            self.assertEqual(code, 1)
            self.assertRegex(log, "level=error event=cannot_open problem=.*(in use|another|other)")
            self.assertEqual(server.get("/readyz").status, 200)
            server.stop()

    def test_a_port_that_is_taken_is_refused(self):
        with Server() as server:
            code, _, log = tallyd.run("--data", server.directory + "/other", "--http",
                                      f"127.0.0.1:{server.address[1]}")
            self.assertEqual(code, 1)
            self.assertRegex(log, f"event=cannot_listen .*{server.address[1]}.*in use")
            server.stop()

    def test_addresses_that_others_can_reach_are_refused(self):
        with Server(start=False) as server:
            for address in ("0.0.0.0:0", "[::]:0"):
                code, _, log = tallyd.run("--data", server.directory, "--http", address)
                self.assertEqual(code, 1, log)
                self.assertRegex(log, "event=cannot_listen problem=.*(loopback|not available|family)")
            self.assertEqual(os.listdir(server.directory), [])

    def test_the_command_line(self):
        code, out, err = tallyd.run("--help")
        self.assertEqual((code, err), (0, ""))
        for option in ("--data DIR", "--http HOST:PORT", "--shards N", "--dedup-window TIME",
                       "--map-size SIZE", "--help, --version"):
            self.assertIn(option, out)
        code, out, err = tallyd.run("--version")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, r"^tallyd \d+\.\d+\.\d+\n$")
        for arguments in (["--nonsense"], ["argument"], ["--http"], ["--shards", "0"],
                          ["--shards", "-1"], ["--shards", "1000"], ["--map-size", "1KiB"],
                          ["--map-size", "lots"], ["--map-size", "99999999999GiB"],
                          ["--dedup-window", "5"], ["--dedup-window", "-1h"], ["--drain", "soon"],
                          ["--io-threads", "0"], ["--series-max", "x"], ["--body-max", "1"]):
            code, out, err = tallyd.run(*arguments)
            self.assertEqual((code, out), (2, ""), arguments)
            self.assertIn("Try 'tallyd --help'.", err)

    def test_directories_that_cannot_be_used(self):
        with Server(start=False) as server:
            path = os.path.join(server.directory, "file")
            with open(path, "w", encoding="ascii") as file:
                file.write("x")
            for directory in (path, path + "/below", "/proc/tally"):
                code, _, log = tallyd.run("--data", directory, "--http", "127.0.0.1:0",
                                          "--forward", "off")
                self.assertEqual(code, 1, log)
                self.assertIn("event=cannot_open", log)
                self.assertIn(directory, log)

    def test_the_number_of_shards_stays(self):
        with Server("--shards", "2") as server:
            server.stop()
            code, _, log = tallyd.run("--data", server.directory, "--http", "127.0.0.1:0",
                                      "--forward", "off", "--shards", "3")
            self.assertEqual(code, 1)
            self.assertRegex(log, "created with 2")
            server.options = []
            server.start()
            server.wait_logged("shards=2")
            server.stop()

    def test_a_data_file_that_has_been_cut_short_is_told(self):
        """Mapped pages that do not exist are a signal, not an error."""
        with Server("--shards", "1") as server:
            server.post([event(f"{number}") for number in range(5000)])
            server.stop()
            path = os.path.join(server.directory, "shard-000", "data.mdb")
            for parts in (2, 3, 5):
                os.truncate(path, os.path.getsize(path) * (parts - 1) // parts)
            code, _, log = tallyd.run("--data", server.directory, "--http", "127.0.0.1:0",
                                      "--forward", "off")
            self.assertIn(code, (1, -signal.SIGBUS), log)
            self.assertRegex(log, "level=error event=(data_unreadable|cannot_open) problem=")

    def test_data_of_a_newer_version_or_damaged_is_refused(self):
        for name, change, message in (("state", b"\x60", "format version 96.*newer"),
                                      ("state", None, "checksum|does not match")):
            with Server("--shards", "1") as server:
                server.post(event("a"))
                server.stop()
                path = os.path.join(server.directory, "shard-000", "data.mdb")
                with open(path, "r+b") as file:
                    content = file.read()
                    # The key, its record's version, then the record's checksum (storage/store_records.c).
                    places = [found.start() for found in
                              re.finditer(re.escape(name.encode()) + rb"[\1-\x0f]\0\0\0", content)]
                    self.assertTrue(places)
                    for place in places:
                        at = place + len(name) + (0 if change else 4)
                        file.seek(at)
                        file.write(change or bytes([content[at] ^ 1]))
                code, _, log = tallyd.run("--data", server.directory, "--http", "127.0.0.1:0",
                                          "--forward", "off")
                self.assertEqual(code, 1, log)
                self.assertRegex(log, f"event=cannot_open problem=.*({message})")


if __name__ == "__main__":
    tallyd.main()
