"""tallyd as a service: where it listens, how it is set up."""

import fcntl
import os
import socket
import stat
import subprocess
import tempfile
import unittest

import tallyd


def ask(path, target):
    """The answer of an HTTP server on a Unix socket, as bytes."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(tallyd.ANSWER_SECONDS)
        connection.connect(path)
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


class Program:
    """A tallyd that is given nothing but `arguments`, whose log is read line by line."""

    def __init__(self, *arguments, environment=None, pass_fds=()):
        self.lines = []
        self.process = subprocess.Popen([tallyd.PROGRAM, *arguments], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        env={**os.environ, **(environment or {})},
                                        pass_fds=pass_fds)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def wait_logged(self, text):
        """Reads the log on to the line that holds `text`, and returns it."""
        for raw in self.process.stderr:
            self.lines.append(raw.decode())
            if text in self.lines[-1]:
                return self.lines[-1]
        raise AssertionError(f"no {text!r} in:\n" + "".join(self.lines))

    def stop(self):
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        for raw in self.process.stderr:
            self.lines.append(raw.decode())
        return self.process.wait(tallyd.STOP_SECONDS)


class Supervisor:
    """What systemd is to a service of Type=notify: a socket that messages come to."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "notify.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(tallyd.START_SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.socket.close()

    def take(self):
        """The next message, as {"READY": "1", ...}."""
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())


class UnixSockets(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="tally-service-")
        self.addCleanup(temporary.cleanup)
        self.directory = temporary.name
        self.http = os.path.join(self.directory, "http.sock")
        self.forward = os.path.join(self.directory, "forward.sock")
        self.data = os.path.join(self.directory, "data")

    def test_http_is_served_on_a_unix_socket(self):
        with Program("--data", self.data, "--http", "unix:" + self.http, "--forward", "off",
                     "--forward-socket", self.forward) as program:
            line = program.wait_logged("event=listening")
            self.assertIn(f"http=unix:{self.http} forward_socket={self.forward}", line)
            program.wait_logged("event=ready")
            for path in (self.http, self.forward):
                mode = os.stat(path).st_mode
                self.assertTrue(stat.S_ISSOCK(mode))
                self.assertEqual(stat.S_IMODE(mode), 0o660)
            self.assertIn(b" 200 ", ask(self.http, "/readyz"))
            self.assertEqual(program.stop(), 0)
        self.assertEqual(os.listdir(self.directory), ["data"], "the socket files are gone")

    def test_what_a_killed_server_left_is_replaced(self):
        for _ in range(2):
            with Program("--data", self.data, "--http", "unix:" + self.http, "--forward",
                         "off") as program:
                program.wait_logged("event=ready")
                self.assertIn(b" 200 ", ask(self.http, "/healthz"))
                program.process.kill()
                program.process.wait()
            self.assertTrue(os.path.exists(self.http))

    def test_a_socket_that_is_served_is_left_alone(self):
        with Program("--data", self.data, "--http", "unix:" + self.http, "--forward",
                     "off") as program:
            program.wait_logged("event=ready")
            code, _, log = tallyd.run("--data", self.data + "2", "--http", "unix:" + self.http,
                                      "--forward", "off")
            self.assertEqual(code, 1)
            self.assertRegex(log, "event=cannot_listen .*another process listens there")
            self.assertIn(b" 200 ", ask(self.http, "/healthz"))
            self.assertEqual(program.stop(), 0)

    def test_a_start_that_fails_leaves_nothing_behind(self):
        for arguments, problem in (
                (["--forward-socket", "/nonexistent/socket"], "cannot_listen"),
                (["--forward", "0.0.0.0:0"], "cannot_listen .*only loopback addresses"),
                (["--data", "/nonexistent/data"], "cannot_open")):
            code, _, log = tallyd.run("--data", self.data, "--http", "unix:" + self.http,
                                      "--forward", "off", *arguments)
            self.assertEqual(code, 1, log)
            self.assertRegex(log, f"level=error event={problem}")
            self.assertFalse(os.path.exists(self.http))


class Settings(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="tally-service-")
        self.addCleanup(temporary.cleanup)
        self.directory = temporary.name
        self.file = os.path.join(self.directory, "tally.conf")

    def write(self, *lines):
        with open(self.file, "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))

    def test_a_file_is_enough(self):
        data = os.path.join(self.directory, "data")
        self.write("# Tally", f"data = {data}", "http = 127.0.0.1:0", "forward = off", "shards = 2")
        with Program("--config", self.file) as program:
            self.assertIn(f"data={data} shards=2", program.wait_logged("event=ready"))
            self.assertEqual(program.stop(), 0)

    def test_the_environment_is_enough(self):
        data = os.path.join(self.directory, "data")
        with Program(environment={"TALLY_DATA": data, "TALLY_HTTP": "127.0.0.1:0",
                                  "TALLY_FORWARD": "off", "TALLY_SHARDS": "2"}) as program:
            self.assertIn(f"data={data} shards=2", program.wait_logged("event=ready"))
            self.assertEqual(program.stop(), 0)

    def test_a_check_starts_nothing(self):
        data = os.path.join(self.directory, "data")
        self.write(f"data = {data}", "shards = 2")
        code, out, err = tallyd.run("--check", "--config", self.file, "--drain", "1s")
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(out, rf"(?m)^shards = 2 +# {self.file}:2$")
        self.assertRegex(out, r"(?m)^drain = 1s +# flag$")
        self.assertFalse(os.path.exists(data))
        self.write("shards = 2", "drain = soon")
        code, out, err = tallyd.run("--check", "--config", self.file)
        self.assertEqual((code, out), (2, ""))
        self.assertIn(f"tallyd: {self.file}:2: drain 'soon' is wrong; it takes a time", err)


@unittest.skipUnless(os.environ.get("TALLY_SYSTEMD") == "ON", "built without libsystemd")
class Notifications(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="tally-service-")
        self.addCleanup(temporary.cleanup)
        self.directory = temporary.name
        self.http = os.path.join(self.directory, "http.sock")
        self.data = os.path.join(self.directory, "data")
        self.arguments = ["--data", self.data, "--http", "unix:" + self.http, "--forward", "off",
                          "--shards", "1"]

    def test_the_supervisor_hears_of_recovery_service_and_end(self):
        with Supervisor(self.directory) as supervisor, \
             Program(*self.arguments, environment={"NOTIFY_SOCKET": supervisor.path}) as program:
            message = supervisor.take()
            self.assertEqual(message["STATUS"], "recovering")
            self.assertGreaterEqual(int(message["EXTEND_TIMEOUT_USEC"]), 10_000_000)
            message = supervisor.take()
            self.assertEqual(message, {"READY": "1", "STATUS": "serving on unix:" + self.http})
            self.assertIn(b" 200 ", ask(self.http, "/readyz"))
            self.assertEqual(program.stop(), 0)
            message = supervisor.take()
            self.assertEqual((message["STOPPING"], message["STATUS"]), ("1", "stopping"))
            self.assertGreaterEqual(int(message["EXTEND_TIMEOUT_USEC"]), 10_000_000,
                                    "not shorter than --drain")

    def hold_recovery(self):
        """Makes a database whose next recovery waits until what this returns is closed: LMDB waits
        for whoever has its lock file to himself."""
        with Program(*self.arguments) as program:
            program.wait_logged("event=ready")
            program.process.kill()
        lock = open(os.path.join(self.data, "shard-000", "lock.mdb"), "r+b")
        self.addCleanup(lock.close)
        fcntl.lockf(lock, fcntl.LOCK_EX, 1, 0)
        return lock

    def test_a_long_recovery_asks_for_more_time(self):
        lock = self.hold_recovery()
        with Supervisor(self.directory) as supervisor, \
             Program(*self.arguments, environment={"NOTIFY_SOCKET": supervisor.path}) as program:
            for _ in range(2):
                self.assertIn("EXTEND_TIMEOUT_USEC", supervisor.take())
            self.assertIn(b" 503 ", ask(self.http, "/readyz"))
            lock.close()
            while "READY" not in (message := supervisor.take()):
                self.assertEqual(message["STATUS"], "recovering")
            self.assertIn(b" 200 ", ask(self.http, "/readyz"))
            self.assertEqual(program.stop(), 0)

    def test_a_signal_during_recovery_ends_it_cleanly(self):
        lock = self.hold_recovery()
        with Supervisor(self.directory) as supervisor, \
             Program(*self.arguments, environment={"NOTIFY_SOCKET": supervisor.path}) as program:
            self.assertIn("EXTEND_TIMEOUT_USEC", supervisor.take())
            program.process.terminate()
            program.wait_logged("event=stopping")
            lock.close()
            program.wait_logged("event=stopped exit_code=0")
            self.assertEqual(program.process.wait(tallyd.STOP_SECONDS), 0)
            while "STOPPING" not in (message := supervisor.take()):
                self.assertNotIn("READY", message)

    def test_a_watchdog_is_fed(self):
        with Supervisor(self.directory) as supervisor, \
             Program(*self.arguments, environment={"NOTIFY_SOCKET": supervisor.path,
                                                   "WATCHDOG_USEC": "400000"}) as program:
            while "READY" not in supervisor.take():
                pass
            for _ in range(3):
                self.assertEqual(supervisor.take(), {"WATCHDOG": "1"})
            self.assertEqual(program.stop(), 0)

    def test_another_process_watchdog_is_left_alone(self):
        with Supervisor(self.directory) as supervisor, \
             Program(*self.arguments, environment={"NOTIFY_SOCKET": supervisor.path,
                                                   "WATCHDOG_USEC": "1000",
                                                   "WATCHDOG_PID": "1"}) as program:
            program.wait_logged("event=ready")
            self.assertEqual(program.stop(), 0)
            message = supervisor.take()
            while "STOPPING" not in message:
                self.assertNotIn("WATCHDOG", message)
                message = supervisor.take()

    def test_a_start_that_fails_is_never_ready(self):
        os.mkdir(self.data)
        with open(os.path.join(self.data, "shard-000"), "w", encoding="ascii"):
            pass
        with Supervisor(self.directory) as supervisor, \
             Program(*self.arguments, environment={"NOTIFY_SOCKET": supervisor.path}) as program:
            program.wait_logged("event=cannot_open")
            program.wait_logged("event=stopped exit_code=1")
            self.assertEqual(program.process.wait(tallyd.STOP_SECONDS), 1)
            while "STOPPING" not in (message := supervisor.take()):
                self.assertNotIn("READY", message)


class Journal(unittest.TestCase):
    """Lines for the journal begin with their priority."""

    def log_of(self, names_its_stream, *arguments):
        reader, writer = os.pipe()
        status = os.fstat(writer)
        stream = f"{status.st_dev}:{status.st_ino + (0 if names_its_stream else 1)}"
        process = subprocess.Popen([tallyd.PROGRAM, "--http", "127.0.0.1:0", "--forward", "off",
                                    *arguments],
                                   stdin=subprocess.DEVNULL, stderr=writer,
                                   env={**os.environ, "JOURNAL_STREAM": stream})
        os.close(writer)
        lines = []
        with open(reader, encoding="utf-8") as log:
            for line in log:
                lines.append(line)
                if "event=ready" in line:
                    process.terminate()
        process.wait()
        return lines

    def test_lines_have_priorities_only_in_the_journal(self):
        with tempfile.TemporaryDirectory(prefix="tally-service-") as directory:
            data = os.path.join(directory, "data")
            lines = self.log_of(True, "--data", data)
            self.assertEqual(len(lines), 4, lines)
            for line in lines:
                self.assertRegex(line, "^<6>ts=[^ ]+ level=info ")
            for line in self.log_of(False, "--data", data):
                self.assertRegex(line, "^ts=[^ ]+ level=info ")
            lines = self.log_of(True, "--data", os.path.join(directory, "no", "data"))
            self.assertRegex(lines[1], "^<3>ts=[^ ]+ level=error event=cannot_open ")


if __name__ == "__main__":
    tallyd.main()
