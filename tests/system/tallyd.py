"""Runs the real tallyd for the tests in this folder. Standard library only.

Environment, set by CMake:
  TALLYD       path of the program under test (required)
  TALLY_SEED   seed of random tests; a fresh one is taken, and printed, when it is missing

Threads: a Server may be asked from any thread, but is started and stopped by one.
"""

import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

PROGRAM = os.environ.get("TALLYD", "")
START_SECONDS = 60  # a sanitized build on a loaded machine is slow
STOP_SECONDS = 60
ANSWER_SECONDS = 60

# What a sanitizer prints when it finds something.
FINDINGS = re.compile(r"runtime error:|ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|Assertion")


class Answer:
    """One HTTP answer: status, headers (names in lower case) and body bytes."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:400]!r}>"


class Server:
    """A tallyd on a free port of 127.0.0.1 over `directory` (a temporary one by default)."""

    def __init__(self, *options, directory=None, start=True):
        self.options = list(options)
        self.owns_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="tally-system-")
        self.process = None
        self.lines = []
        self.address = None
        self.forward_address = None
        self._news = threading.Condition()
        self._reader = None
        self._local = threading.local()
        self._connections = []
        if start:
            self.start()

    # --- The process ---

    def start(self, *more_options, ready=True):
        """Starts the program, and waits until it takes events unless told not to."""
        self.address = self.forward_address = None
        self.lines = []
        command = [PROGRAM, "--data", self.directory, "--http", "127.0.0.1:0",
                   "--forward", "127.0.0.1:0", *self.options, *more_options]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read_log, args=(self.process.stderr,))
        self._reader.start()
        if not self._wait_for(lambda: self.address is not None):
            raise AssertionError("tallyd did not listen:\n" + self.log())
        if ready:
            self.wait_ready()
        return self

    def _read_log(self, stream):
        for raw in stream:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            found = re.search(r"event=listening http=127\.0\.0\.1:(\d+)"
                              r"(?: forward=127\.0\.0\.1:(\d+))?", line)
            with self._news:
                self.lines.append(line)
                if found:
                    self.address = ("127.0.0.1", int(found.group(1)))
                    if found.group(2):
                        self.forward_address = ("127.0.0.1", int(found.group(2)))
                self._news.notify_all()
        stream.close()
        with self._news:
            self._news.notify_all()

    def _wait_for(self, condition):
        deadline = time.monotonic() + START_SECONDS
        with self._news:
            while not condition():
                if self.process.poll() is not None and not self._reader.is_alive():
                    return condition()
                if time.monotonic() > deadline:
                    return False
                self._news.wait(0.1)
        return True

    def wait_logged(self, text):
        """Waits until a log line holds `text`."""
        if not self._wait_for(lambda: any(text in line for line in self.lines)):
            raise AssertionError(f"no log line with {text!r}:\n" + self.log())

    def wait_ready(self, status=200):
        """Waits until /readyz answers `status`."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError("tallyd has ended:\n" + self.log())
            if self.get("/readyz").status == status:
                return
            time.sleep(0.01)
        raise AssertionError(f"/readyz did not become {status}:\n" + self.log())

    def log(self):
        return "\n".join(self.lines)

    def wait_exit(self):
        """Waits for the end of the process and returns its exit code."""
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("tallyd did not end:\n" + self.log())
        self._reader.join()
        self._forget_connection()
        if FINDINGS.search(self.log()):
            raise AssertionError("a sanitizer or an assertion complained:\n" + self.log())
        return code

    def stop(self):
        """SIGTERM, and the exit code that it promises."""
        self.process.send_signal(signal.SIGTERM)
        code = self.wait_exit()
        if code != 0:
            raise AssertionError(f"exit code {code} after SIGTERM:\n" + self.log())

    def kill(self):
        """kill -9, unless it has ended."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self._forget_connection()

    def remove(self):
        """Ends the program in whatever way and removes a directory of its own."""
        self.kill()
        if self._reader is not None:
            self._reader.join()
        self._forget_connections()
        if self.owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            sys.stderr.write("--- log of tallyd ---\n" + self.log() + "\n")
        self.remove()

    # --- HTTP. Each thread has one connection that is kept alive. ---

    def _forget_connection(self):
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._connections.remove(connection)
        self._local.connection = None

    def _forget_connections(self):
        """Those of threads that have ended, too."""
        self._forget_connection()
        while self._connections:
            self._connections.pop().close()

    def _connection(self):
        connection = getattr(self._local, "connection", None)
        if connection is not None and self._local.address != self.address:
            self._forget_connection()
            connection = None
        if connection is None:
            connection = http.client.HTTPConnection(*self.address, timeout=ANSWER_SECONDS)
            self._local.connection = connection
            self._local.address = self.address
            self._connections.append(connection)
        return connection

    def request(self, method, target, body=None, headers=None):
        """One request on this thread's connection. Raises OSError or HTTPException as sockets do;
        nothing is ever sent twice."""
        connection = self._connection()
        try:
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            answer = Answer(response.status,
                            {name.lower(): value for name, value in response.getheaders()},
                            response.read())
        except (OSError, http.client.HTTPException):
            self._forget_connection()
            raise
        if response.will_close:
            self._forget_connection()
        return answer

    def get(self, target, headers=None):
        return self.request("GET", target, headers=headers)

    def post(self, events, content_type="application/json", target="/v1/events"):
        """Sends events: bytes or text as they are, anything else as JSON."""
        if not isinstance(events, (bytes, str)):
            events = json.dumps(events)
        if isinstance(events, str):
            events = events.encode()
        return self.request("POST", target, events, {"Content-Type": content_type})

    def rows(self, customer, workflow, frequency, start, end, extended=True):
        """The rollups of a series, which must be answered."""
        answer = self.get(usage_target(customer, workflow, frequency, start, end)
                          + ("&extended=true" if extended else ""))
        if answer.status != 200:
            raise AssertionError(answer)
        return json.loads(answer.body, parse_float=lambda text: text)

    def connect(self):
        """A plain socket to the HTTP server."""
        return socket.create_connection(self.address, timeout=ANSWER_SECONDS)

    def raw(self, data, close_write=True):
        """Sends bytes on a connection of their own, and returns all that comes back until the
        server closes. Errors of a connection that the server has cut count as its end."""
        received = b""
        with self.connect() as connection:
            try:
                connection.sendall(data)
                if close_write:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            try:
                while True:
                    piece = connection.recv(65536)
                    if not piece:
                        break
                    received += piece
            except ConnectionError:
                pass
        return received

    def metrics(self):
        """{(name, (("label", "value"), ...)): number}, without a check of the format."""
        values = {}
        for line in self.get("/metrics").body.decode().splitlines():
            if line and not line.startswith("#"):
                name, labels, value = parse_sample(line)
                values[name, labels] = value
        return values

    def metric(self, name, **labels):
        return self.metrics()[name, tuple(sorted(labels.items()))]


class ServerCase(unittest.TestCase):
    """One server for all tests of a class; it must stop cleanly after the last one."""

    options = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.options)

    @classmethod
    def tearDownClass(cls):
        try:
            cls.server.stop()
        finally:
            cls.server.remove()


def parse_sample(line):
    """(name, labels, value) of a sample line of the Prometheus text format, strictly."""
    found = re.fullmatch(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)", line)
    if not found:
        raise AssertionError(f"no sample: {line!r}")
    labels = []
    rest = found.group(2) or ""
    while rest:
        pair = re.match(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,(?=.)|$)', rest)
        if not pair:
            raise AssertionError(f"malformed labels: {line!r}")
        labels.append((pair.group(1), pair.group(2)))
        rest = rest[pair.end():]
    return found.group(1), tuple(sorted(labels)), float(found.group(3))


def run(*arguments, timeout=START_SECONDS):
    """Runs the program to its end: (exit code, stdout, stderr)."""
    done = subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=timeout, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def usage_target(customer, workflow, frequency, start=None, end=None):
    parameters = [f"{name}={value}" for name, value in (("start", start), ("end", end))
                  if value is not None]
    return (f"/reseller/customers/{customer}/usage/workflows/workflow_id/{workflow}/{frequency}"
            + ("?" + "&".join(parameters) if parameters else ""))


def list_target(customer, frequency, query=""):
    return f"/reseller/customers/{customer}/usage/workflows/{frequency}{query}"


def make_random():
    """A random generator whose seed is printed, and can be given in TALLY_SEED."""
    seed = int(os.environ.get("TALLY_SEED") or random.SystemRandom().getrandbits(48))
    print(f"TALLY_SEED={seed}", flush=True)
    return random.Random(seed)


def random_uuid(rng):
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def main():
    if not os.access(PROGRAM, os.X_OK):
        sys.exit("TALLYD must be the path of the tallyd that is to be tested")
    unittest.main(verbosity=2)
