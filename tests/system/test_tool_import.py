"""`tally import` against a real server: every event in the files counts once, whatever happens.

Between the tool and the server stands a Gate where a test needs one: a proxy that can hold a
request, answer it itself, or cut it off, so that nothing here depends on how fast a machine is.
"""

import csv
import gzip
import http.client
import http.server
import io
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import tallyd
from tallyd import Server

TALLY = os.environ.get("TALLY", "")
CUSTOMER = "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
WORKFLOW = "0f6b0a4e-7d0c-4c55-9a53-2f4d3c1c8a10"
COLUMNS = ("id", "customer_id", "workflow_id", "time", "credits", "documents", "pages")
SECONDS = 120  # that anything may take on a loaded machine


def make_events(count, first=0):
    """Events whose sums tell whether one is missing or counted twice."""
    return [{"id": f"e{number}", "customer_id": CUSTOMER, "workflow_id": WORKFLOW,
             "time": f"2023-01-{1 + number % 28:02}T10:00:00Z", "credits": "0.000001",
             "documents": 1, "pages": number} for number in range(first, first + count)]


def as_csv(events, line_end="\r\n", **options):
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator=line_end, **options)
    writer.writeheader()
    writer.writerows(events)
    return text.getvalue()


def as_ndjson(events):
    return "".join(json.dumps(event) + "\n" for event in events)


class Result:
    def __init__(self, code, out, err):
        self.code = code
        self.out = out
        self.err = err
        self.counts = {name: int(number) for name, number in
                       re.findall(r"^(events|accepted|good|duplicates|rejected) +(\d+)$", out,
                                  re.MULTILINE)}

    def __repr__(self):
        return f"exit code {self.code}\n{self.out}\n{self.err}"


class Gate:
    """A proxy in front of a server. `rule(number)`, called for each POST with its number from 1,
    answers None to pass it on, a status to answer with, or "cut" to close without an answer."""

    def __init__(self, server, rule=lambda number: None):
        self.server = server
        self.rule = rule
        self.lock = threading.Lock()
        self.posts = 0
        gate = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.answer(*gate.ask("GET", self.path, None, {}))

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with gate.lock:
                    gate.posts += 1
                    number = gate.posts
                verdict = gate.rule(number)
                if isinstance(verdict, int):
                    self.answer(verdict, json.dumps({"title": "Gate", "detail": "not now"}),
                                {"Retry-After": "0"})
                    return
                if verdict == "cut":
                    self.close_connection = True
                    return
                status, text, headers = gate.ask("POST", self.path, body,
                                                 {"Content-Type": self.headers["Content-Type"]})
                self.answer(status, text, headers)

            def answer(self, status, text, headers):
                if status is None:
                    self.close_connection = True
                    return
                data = text.encode()
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    self.close_connection = True

        class GateServer(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                if not isinstance(sys.exc_info()[1], ConnectionError):  # a tool that was killed
                    super().handle_error(request, client_address)

        self.http = GateServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,))
        self.thread.start()

    def ask(self, method, path, body, headers):
        """The server's (status, body, headers); None for the status when it does not answer."""
        address = self.server.address
        if address is None:  # it is being started
            return None, "", {}
        connection = http.client.HTTPConnection(*address, timeout=SECONDS)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode(), {}
        except (OSError, http.client.HTTPException):
            return None, "", {}
        finally:
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


class Hold:
    """A rule that holds requests from the `first` on until released; then passes them on, or
    does what `then` says."""

    def __init__(self, first, then=None):
        self.first = first
        self.then = then
        self.reached = threading.Event()
        self.released = threading.Event()

    def __call__(self, number):
        if number < self.first or self.released.is_set():
            return None
        self.reached.set()
        self.released.wait(SECONDS)
        return self.then

    def wait(self):
        if not self.reached.wait(SECONDS):
            raise AssertionError("the request never came")


class Import(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="tally-import-")
        self.addCleanup(shutil.rmtree, self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read().decode()

    def start(self, *arguments, server=None, **options):
        if server is not None:
            arguments = ("--server", server, *arguments)
        environment = {name: value for name, value in os.environ.items() if name != "TALLY_SERVER"}
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([TALLY, "import", *arguments], env=environment,
                                cwd=self.directory, **options)

    def finish(self, process, text=None):
        out, err = process.communicate(text, timeout=SECONDS)
        result = Result(process.returncode, out.decode(), (err or b"").decode())
        if "Sanitizer" in result.err or "runtime error" in result.err:
            self.fail(repr(result))
        return result

    def run_import(self, *arguments, server=None, text=None):
        options = {} if text is None else {"stdin": subprocess.PIPE}
        return self.finish(self.start(*arguments, server=server, **options), text)

    def check(self, result, code, **counts):
        self.assertEqual(result.code, code, repr(result))
        for name, count in counts.items():
            self.assertEqual(result.counts[name], count, repr(result))

    def check_totals(self, server, events):
        """Exactly these events are counted."""
        rows = server.rows(CUSTOMER, WORKFLOW, "monthly", "2023-01", "2023-01")
        self.assertEqual(rows[0]["num_documents"], len(events))
        self.assertEqual(rows[0]["num_pages"], sum(event["pages"] for event in events))
        credits = rows[0]["processed_credits"]
        self.assertEqual(round(float(credits) * 1000000), len(events))

    @staticmethod
    def url(server):
        return f"http://127.0.0.1:{server.address[1]}"

    # --- What is in the files ---

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

    # --- Interruptions ---

    def test_resume_after_the_tool_was_killed(self):
        events = make_events(3000)
        self.write("a.csv", as_csv(events))
        with Server() as server:
            hold = Hold(10)
            with Gate(server, hold) as gate:
                process = self.start("--batch", "100", "a.csv", server=gate.url)
                hold.wait()
                process.kill()
                self.finish(process)
                hold.released.set()
            result = self.run_import("a.csv", server=self.url(server))
            self.check(result, 0, events=3000)
            self.assertGreaterEqual(result.counts["duplicates"], 500, repr(result))
            self.check_totals(server, events)

    def test_the_server_is_killed_and_comes_back(self):
        events = make_events(3000)
        self.write("a.ndjson", as_ndjson(events))
        with Server() as server:
            for number in range(3):
                hold = Hold(4 + 7 * number)
                with Gate(server, hold) as gate:
                    process = self.start("--batch", "100", "a.ndjson", server=gate.url)
                    hold.wait()
                    server.kill()
                    hold.released.set()  # what was held meets no server
                    server.start()
                    result = self.finish(process)
                self.check(result, 0, events=3000, rejected=0)
                if number == 0:
                    self.assertIn("trying again for up to 60 s", result.err)
                    self.assertIn("takes events again", result.err)
                self.check_totals(server, events)

    def test_answers_that_are_lost(self):
        """The server stores a batch, but the answer does not arrive: stored once, told so."""
        events = make_events(1000)
        self.write("a.csv", as_csv(events))
        with Server() as server:
            lost = set()

            class Lossy(Gate):
                def ask(self, method, path, body, headers):
                    answer = super().ask(method, path, body, headers)
                    with self.lock:
                        if method != "POST" or body in lost:
                            return answer
                        lost.add(body)
                    return None, "", {}

            with Lossy(server) as gate:
                result = self.run_import("--batch", "100", "a.csv", server=gate.url)
            self.check(result, 0, events=1000, accepted=0, duplicates=1000)
            self.assertEqual(len(lost), 10)
            self.check_totals(server, events)

    def test_a_server_that_is_busy_for_a_while(self):
        events = make_events(1000)
        self.write("a.csv", as_csv(events))
        busy = {1: 503, 2: 429, 3: 507, 5: 500, 6: 503, 8: "cut", 9: 504}
        with Server() as server, Gate(server, busy.get) as gate:
            result = self.run_import("--batch", "100", "a.csv", server=gate.url)
            self.check(result, 0, accepted=1000)
            self.assertEqual(gate.posts, 10 + len(busy))
            self.assertRegex(result.err, r"answered \d+ Gate: not now; trying again")
            self.check_totals(server, events)

    def test_patience_has_an_end(self):
        self.write("a.csv", as_csv(make_events(1000)))
        with Server() as server, Gate(server, lambda number: 503) as gate:
            result = self.run_import("--batch", "100", "--parallel", "1", "--retry-for", "0s",
                                     "a.csv", server=gate.url)
            self.check(result, 1, events=0)
            self.assertEqual(gate.posts, 1)
            self.assertIn("answered 503 Gate: not now", result.err)
            self.assertIn("Nothing was counted", result.err)
            result = self.run_import("--batch", "100", "--retry-for", "500ms", "a.csv",
                                     server=gate.url)
            self.check(result, 1, events=0)
            self.assertGreater(gate.posts, 5)
            self.assertIn("given up after", result.err)
            self.check_totals(server, [])

    def test_a_refusal_ends_the_import_and_says_where(self):
        events = make_events(1000)
        self.write("a.csv", as_csv(events))
        with Server() as server:
            with Gate(server, {4: 413}.get) as gate:
                result = self.run_import("--batch", "100", "--parallel", "1", "a.csv",
                                         server=gate.url)
            self.check(result, 1, accepted=300)
            self.assertEqual(gate.posts, 4)
            self.assertIn("answered 413 Gate: not now", result.err)
            self.assertIn("Everything before line 302 of a.csv is counted.", result.err)
            self.assertIn("Run the same command again: ids that were stored count once. "
                          "This server remembers them for 35 d.", result.err)
            result = self.run_import("a.csv", server=self.url(server))
            self.check(result, 0, accepted=700, duplicates=300)
            self.check_totals(server, events)

    def test_no_server(self):
        self.write("a.csv", as_csv(make_events(10)))
        with Server() as server:
            url = self.url(server)
            server.stop()
            result = self.run_import("--retry-for", "0s", "a.csv", server=url)
            self.check(result, 3, events=0)
            self.assertIn("no answer from " + url, result.err)

    def test_something_else_at_that_address(self):
        self.write("a.csv", as_csv(make_events(10)))

        class Other(Gate):
            def ask(self, method, path, body, headers):
                return 200, "<html>", {}

        with Other(None) as gate:
            result = self.run_import("a.csv", server=gate.url)
            self.check(result, 1, events=0)
            self.assertIn("did not answer as a Tally server does", result.err)

    def test_control_c(self):
        events = make_events(3000)
        self.write("a.csv", as_csv(events))
        with Server() as server:
            hold = Hold(10)
            with Gate(server, hold) as gate:
                process = self.start("--batch", "100", "a.csv", server=gate.url)
                hold.wait()
                process.send_signal(signal.SIGINT)
                # Seen once it has stopped to read: what flies is awaited all the same.
                while self.catches_interrupts(process):
                    time.sleep(0.01)
                hold.released.set()
                result = self.finish(process)
            self.assertEqual(result.code, -signal.SIGINT, repr(result))
            self.assertIn("interrupted", result.err)
            self.assertIn("Run the same command again", result.err)
            counted = result.counts["accepted"]
            self.assertTrue(900 <= counted < 3000, repr(result))
            self.assertEqual(result.counts["rejected"], 0)
            rows = server.rows(CUSTOMER, WORKFLOW, "monthly", "2023-01", "2023-01")
            self.assertEqual(rows[0]["num_documents"], counted)
            result = self.run_import("a.csv", server=self.url(server))
            self.check(result, 0, accepted=3000 - counted, duplicates=counted)
            self.check_totals(server, events)

    @staticmethod
    def catches_interrupts(process):
        """Whether SIGINT is caught: the handler, once it ran, puts the default back."""
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            mask = int(re.search(r"SigCgt:\s*([0-9a-f]+)", file.read()).group(1), 16)
        return bool(mask >> (signal.SIGINT - 1) & 1)

    # --- The rest ---

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
    if not os.access(TALLY, os.X_OK):
        raise SystemExit("TALLY must be the path of the tally that is to be tested")
    tallyd.main()
