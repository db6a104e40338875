"""What the tests of `tally import` share: events as files, a run of the tool, and a Gate.

A Gate stands between the tool and the server where a test needs one: a proxy that can hold a
request, answer it itself, or cut it off, so that nothing here depends on how fast a machine is.
"""

import csv
import http.client
import http.server
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

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


class ImportCase(unittest.TestCase):
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
