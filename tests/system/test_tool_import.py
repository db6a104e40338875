"""`tally import` against a real server: every event in the files counts once."""

import csv
import gzip
import io
import json
import os
import pty
import select
import subprocess
import threading
import time

import tallyd
from importing import (CUSTOMER, SECONDS, WORKFLOW, Gate, Hold, ImportCase, as_csv, as_ndjson,
                       make_events)
from tallyd import Server


class Import(ImportCase):
    def test_files_of_every_kind(self):
        """CSV, TSV, other names of columns, NDJSON, gzip: one import, one sum."""
        events = make_events(7000)
        self.write("a.csv", "\ufeff" + as_csv(events[:1500], quoting=csv.QUOTE_ALL))
        self.write("b.tsv", as_csv(events[1500:2000], "\n", delimiter="\t"))
        self.write("c.ndjson", "\n \n" + as_ndjson(events[2000:4000]).replace("\n", "\r\n\r\n"))
        with gzip.open(self.path("d.jsonl.gz"), "wt") as file:
            file.write(as_ndjson(events[4000:5000])[:-1])
        with gzip.open(self.path("e.CSV.GZ"), "wt") as file:
            file.write(as_csv(events[5000:6000]))
        with open(self.path("e.CSV.GZ"), "ab") as file:  # a second member
            file.write(gzip.compress(as_csv(events[6000:]).split("\r\n", 1)[1].encode()))
        with Server() as server:
            result = self.run_import("a.csv", "b.tsv", "c.ndjson", "d.jsonl.gz", "e.CSV.GZ",
                                     "--batch", "300", server=self.url(server))
            self.check(result, 0, events=7000, accepted=7000, duplicates=0, rejected=0)
            self.check_totals(server, events)
            result = self.run_import("a.csv", "e.CSV.GZ", server=self.url(server))
            self.check(result, 0, accepted=0, duplicates=3500)
            self.check_totals(server, events)

    def test_columns_by_hand(self):
        events = make_events(100)
        text = as_csv(events, "\n", delimiter=";").replace("customer_id", '"Kunde; Nr."', 1)
        self.write("a.csv", text.replace("pages", "Seiten", 1))
        self.write("b.txt", as_csv(events, "\n").split("\n", 1)[1])
        with Server() as server:
            result = self.run_import("--delimiter", ";", "--column", "Kunde; Nr.=customer_id",
                                     "a.csv", "--column=Seiten=pages", server=self.url(server))
            self.check(result, 0, accepted=100)
            self.check_totals(server, events)
            result = self.run_import(
                "--no-header", "--columns", "id,customer_id,workflow_id,time,credits,documents,x",
                "--column", "x=pages", "--format", "csv", "b.txt", server=self.url(server))
            self.check(result, 0, duplicates=100)

    def test_rejected_lines_can_be_corrected_and_imported(self):
        events = make_events(2500)
        wrong = [dict(events[10], time="yesterday"), dict(events[20], credits="1.1234567"),
                 dict(events[30], customer_id="", id='with "quotes"\r\nand lines')]
        lines = as_csv(events).split("\r\n")
        lines[11], lines[21], lines[31] = (as_csv([event])[:-2].split("\r\n", 1)[1]
                                           for event in wrong)
        lines[41] += ",one,two"
        lines[51] = lines[51].replace("e50", 'e"50')
        lines[2001] = lines[2001].replace("e2000", "\udcff")
        self.write("a.csv", "\r\n".join(lines).encode(errors="surrogateescape"))
        with Server() as server:
            result = self.run_import("--rejects", "bad.csv", "a.csv", server=self.url(server))
            self.check(result, 1, events=2500, accepted=2494, rejected=6)
            with open(self.path("bad.csv"), "rb") as file:
                bad = file.read()
            self.assertEqual(bad.decode(errors="surrogateescape"), "\r\n".join(
                [lines[0], lines[11], lines[21], lines[31], lines[41], lines[51], lines[2001], ""]))
            reasons = list(csv.DictReader(io.StringIO(self.read("bad.csv.reasons"))))
            self.assertEqual(
                [(row["file"], row["line"], row["id"], row["code"]) for row in reasons],
                [("a.csv", "12", "e10", "invalid_field"), ("a.csv", "22", "e20", "invalid_field"),
                 ("a.csv", "32", 'with "quotes"\r\nand lines', "missing_field"),
                 ("a.csv", "43", "", "invalid_field"), ("a.csv", "53", "", "invalid_field"),
                 ("a.csv", "2003", "", "invalid_field")])
            for row, part in zip(reasons, ("yesterday", "1.1234567", "customer_id: missing",
                                           "9 cells", "a quote stands inside", "not UTF-8")):
                self.assertIn(part, row["message"])
            self.write("bad.csv", as_csv([events[number] for number in (10, 20, 30, 40, 50, 2000)]))
            result = self.run_import("--rejects", "worse.csv", "bad.csv", server=self.url(server))
            self.check(result, 0, accepted=6, rejected=0)
            self.check_totals(server, events)
            self.assertEqual(self.read("worse.csv") + self.read("worse.csv.reasons"), "")

    def test_rejected_ndjson(self):
        events = make_events(30)
        lines = as_ndjson(events).split("\n")
        lines[3], lines[7], lines[29] = "{", '{"id": 7}  ', json.dumps(dict(events[0], pages=9))
        text = "\r\n\n".join(lines[:30])
        with Server() as server:
            result = self.run_import("--format", "ndjson", "--rejects", "bad.ndjson", "-",
                                     server=self.url(server), text=text.encode())
            self.check(result, 1, accepted=27, rejected=3)
            self.assertEqual(self.read("bad.ndjson"),
                             lines[3] + "\r\n" + lines[7] + "\r\n" + lines[29] + "\n")
            reasons = list(csv.DictReader(io.StringIO(self.read("bad.ndjson.reasons"))))
            self.assertEqual([(row["line"], row["code"]) for row in reasons],
                             [("7", "invalid_field"), ("15", "invalid_field"), ("59", "id_conflict")])
            # Without a file the reasons are shown.
            result = self.run_import("--format", "ndjson", server=self.url(server),
                                     text=text.encode())
            self.check(result, 1, duplicates=27, rejected=3)
            self.assertIn("standard input:59: id_conflict: ", result.err)

    def test_a_line_too_long_harms_no_other(self):
        events = make_events(100)
        lines = as_csv(events, "\n").split("\n")
        long_line = 'x,"' + "y" * 3000000 + '",z'
        lines.insert(50, long_line)
        self.write("a.csv", "\n".join(lines))
        with Server() as server:
            result = self.run_import("--rejects", "bad.csv", "a.csv", server=self.url(server))
            self.check(result, 1, accepted=100, rejected=1)
            self.check_totals(server, events)
            self.assertEqual(self.read("bad.csv"), lines[0] + "\n" + long_line + "\n")
            self.assertIn("longer than 1 MiB", self.read("bad.csv.reasons"))

    def test_many_rejects_are_counted(self):
        self.write("a.csv", "id,customer_id,workflow_id\n" + "a,b,c\n" * 2345)
        with Server() as server:
            result = self.run_import("a.csv", server=self.url(server))
            self.check(result, 1, events=2345, rejected=2345)
            self.assertEqual(result.err.count("a.csv:"), 10, result.err)
            self.assertIn("2335 more rejected", result.err)

    def test_what_is_wrong_before_the_start_sends_nothing(self):
        self.write("good.csv", as_csv(make_events(10)))
        self.write("bad.csv", "id,customer_id\n1,2\n")
        self.write("semicolons.csv", as_csv(make_events(1), delimiter=";"))
        self.write("empty.csv", "")
        self.write("other.csv", as_csv(make_events(1)).replace("pages", "Pages", 1))
        self.write("some.ndjson", as_ndjson(make_events(1)))
        cases = [
            (["good.csv", "bad.csv"], "no column for workflow_id"),
            (["semicolons.csv"], "--delimiter ';'"),
            (["good.csv", "empty.csv"], "not even a header"),
            (["good.csv", "none.csv"], "No such file"),
            (["good.csv", "."], "--format"),
            (["--format", "csv", "."], "is a directory"),
            (["good"], "--format csv or --format ndjson"),
            (["--rejects", "good.csv", "good.csv"], "is also read"),
            (["--rejects", "none/file", "good.csv"], "No such file"),
            (["--rejects", "r", "good.csv", "other.csv"], "its header is another"),
            (["--rejects", "r", "good.csv", "some.ndjson"], "import CSV and NDJSON one by one"),
            (["--delimiter", ";", "some.ndjson"], "are for CSV"),
            (["--delimiter", "ab", "good.csv"], "one character"),
            (["--column", "x=credit", "good.csv"], "no such field"),
            (["--column", "x=id", "--column", "id=", "good.csv"], "no column 'x'"),
            (["--no-header", "good.csv"], "needs --columns"),
            (["--columns", "id", "good.csv"], "add --no-header"),
            (["--batch", "0", "good.csv"], "--batch"),
            (["--parallel", "65", "good.csv"], "--parallel"),
        ]
        with Server() as server:
            for arguments, part in cases:
                with self.subTest(arguments):
                    result = self.run_import(*arguments, server=self.url(server))
                    self.assertEqual(result.code, 2, repr(result))
                    self.assertIn(part, result.err)
            self.check_totals(server, [])
            self.assertEqual(self.read("good.csv"), as_csv(make_events(10)))

    def test_ignored_columns_are_told_once(self):
        self.write("a.csv", as_csv(make_events(5)).replace("pages", "Pages", 1))
        self.write("b.csv", as_csv(make_events(5, 5)).replace("pages", "Pages", 1))
        with Server() as server:
            result = self.run_import("a.csv", "b.csv", server=self.url(server))
            self.check(result, 0, accepted=10)
            self.assertEqual(result.err.count("ignored"), 1, result.err)
            self.assertIn("a.csv: ignored, as an event has no such fields: Pages", result.err)

    # --- Standard input, gzip ---

    def test_a_producer_that_pauses_is_not_kept_waiting(self):
        events = make_events(20)
        with Server() as server:
            process = self.start("--format", "ndjson", server=self.url(server),
                                 stdin=subprocess.PIPE)
            for part in (events[:7], events[7:]):
                process.stdin.write(as_ndjson(part).encode())
                process.stdin.flush()
                deadline = time.monotonic() + SECONDS
                done = events[:part[-1]["pages"] + 1]
                while server.rows(CUSTOMER, WORKFLOW, "monthly", "2023-01",
                                  "2023-01")[0]["num_documents"] < len(done):
                    self.assertLess(time.monotonic(), deadline, "the events never came")
                    time.sleep(0.02)
            self.check(self.finish(process), 0, accepted=20)

    def test_a_gzip_file_that_was_cut_off(self):
        events = make_events(5000)
        whole = gzip.compress(as_csv(events).encode())
        self.write("a.csv.gz", whole[:len(whole) // 2])
        with Server() as server:
            result = self.run_import("a.csv.gz", server=self.url(server))
            self.assertEqual(result.code, 1, repr(result))
            self.assertIn("a.csv.gz: the gzip data ends too early", result.err)
            accepted = result.counts["accepted"]
            self.assertTrue(0 < accepted < 5000, repr(result))
            self.check_totals(server, events[:accepted])
            self.assertIn(f"Everything up to line {accepted + 1} of a.csv.gz", result.err)
            self.write("a.csv.gz", whole)
            result = self.run_import("a.csv.gz", server=self.url(server))
            self.check(result, 0, accepted=5000 - accepted, duplicates=accepted)
            self.check_totals(server, events)

    def test_requests_in_parallel(self):
        events = make_events(2000)
        self.write("a.csv", as_csv(events))
        flying = 0
        most = 0
        full = threading.Condition()

        def rule(_):
            nonlocal flying, most
            with full:
                flying += 1
                most = max(most, flying)
                full.notify_all()
                if not full.wait_for(lambda: most >= 3, SECONDS):
                    return 400
                flying -= 1
            return None

        with Server() as server, Gate(server, rule) as gate:
            result = self.run_import("--batch", "100", "--parallel", "3", "a.csv", server=gate.url)
            self.check(result, 0, accepted=2000)
            self.assertEqual(most, 3)
            self.check_totals(server, events)

    def test_a_dry_run_needs_no_server(self):
        events = make_events(1500)
        lines = as_csv(events, "\n").split("\n")
        lines[5] = lines[5].replace("0.000001", "1e99")
        lines[6] = lines[6].replace("2023-", "1923-")
        self.write("a.csv", "\n".join(lines))
        result = self.run_import("--dry-run", "--rejects", "bad.csv", "a.csv")
        self.check(result, 1, events=1500, good=1498, rejected=2)
        self.assertEqual(self.read("bad.csv"), "\n".join([lines[0], lines[5], lines[6], ""]))
        self.assertIn("too_old", self.read("bad.csv.reasons"))

    def test_a_data_directory(self):
        events = make_events(3000)
        self.write("a.csv", as_csv(events))
        with Server() as server:
            result = self.run_import("--data", server.directory, "a.csv")
            self.assertEqual(result.code, 3, repr(result))
            server.stop()
            result = self.run_import("--data", server.directory, "a.csv")
            self.check(result, 0, accepted=3000)
            server.start()
            self.check_totals(server, events)

    def test_progress_on_a_terminal(self):
        events = make_events(2000)
        self.write("a.csv", as_csv(events))
        main, terminal = pty.openpty()
        hold = Hold(5)
        seen = b""
        with Server() as server, Gate(server, hold) as gate:
            process = self.start("--batch", "100", "a.csv", server=gate.url, stderr=terminal)
            os.close(terminal)
            deadline = time.monotonic() + SECONDS
            while True:
                ready, _, _ = select.select([main], [], [], 0.1)
                try:
                    piece = os.read(main, 65536) if ready else b""
                except OSError:  # EIO: the tool has closed it
                    break
                seen += piece
                if b"%" in seen:
                    hold.released.set()
                self.assertLess(time.monotonic(), deadline, seen)
            self.check(self.finish(process), 0, accepted=2000)
        os.close(main)
        text = seen.decode()
        self.assertRegex(text, r"\d+%  \d+ events  \d+/s")
        self.assertRegex(text, r"\r +\r$", "the line is wiped at the end")
        for line in text.split("\r"):
            self.assertLess(len(line), 80)

    def test_quiet(self):
        self.write("a.csv", as_csv(make_events(10)))
        with Server() as server:
            result = self.run_import("--quiet", "a.csv", server=self.url(server))
            self.assertEqual((result.code, result.out, result.err), (0, "", ""))


if __name__ == "__main__":
    tallyd.main()
