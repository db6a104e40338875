"""`tally` as its users run it: usage, workflows, status and rejects of a server and of a directory,
what is wrong on a command line, exit codes."""

import contextlib
import http.server
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import unittest

import forward
import tallyd
import tool
from tallyd import Server

CUSTOMER = "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
WORKFLOW = "0f6b0a4e-7d0c-4c55-9a53-2f4d3c1c8a10"
SERIES = ("--customer", CUSTOMER, "--workflow", WORKFLOW)
COMMANDS = tool.run("help", "--words").out.split() if tool.PROGRAM else []


def event(number, **fields):
    return {"id": f"e{number}", "customer_id": CUSTOMER, "workflow_id": WORKFLOW,
            "time": f"2023-0{number}-15T10:00:00Z", **fields}


EVENTS = [event(1, credits="999999999.999999", documents=4294967295, pages=3, processing_ms=1000),
          event(2, credits="-0.000001"), event(3, credits=0.5, documents=1, pages=7)]


@contextlib.contextmanager
def temporary(prefix="tally-tool-"):
    path = tempfile.mkdtemp(prefix=prefix)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def answers(*documents):
    """A server that gives these (status, document) in turn, the last one again and again; yields
    its URL and the paths it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            status, document = documents[min(len(asked), len(documents) - 1)]
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    class Threads(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            pass  # the tool may go at any time

    with Threads(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


def url(server):
    return "http://{}:{}".format(*server.address)


class ToolTest(unittest.TestCase):
    def check(self, result, code, out=None, err=""):
        """`out` and `err`: the whole text, or a compiled pattern that is searched in it."""
        self.assertEqual(result.code, code, result)
        for text, want in ((result.out, out), (result.err, err)):
            if isinstance(want, re.Pattern):
                self.assertRegex(text, want, result)
            elif want is not None:
                self.assertEqual(text, want, result)


class Queries(ToolTest):
    """Of a server, then of its directory, which must not make a difference."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--shards", "2")
        answer = cls.server.post(EVENTS)
        assert answer.status == 200 and answer.json()["accepted"] == 3, answer
        cls.directory = cls.server.directory

    @classmethod
    def tearDownClass(cls):
        cls.server.remove()

    def on_both(self, *arguments):
        """What both say, which must be the same."""
        of_server = tool.run(*arguments, "--server", url(self.server))
        self.server.stop()
        try:
            of_directory = tool.run(*arguments, "--data", self.directory)
        finally:
            self.server.start()
        of_directory.err = of_directory.err.replace(self.directory, url(self.server))
        of_server.err = re.sub(r"http://127\.0\.0\.1:\d+", url(self.server), of_server.err)
        self.assertEqual(repr(of_server), repr(of_directory))
        return of_server

    def test_usage_is_exact_to_the_last_digit(self):
        range_ = (*SERIES, "--start", "2023-01", "--end", "2023-03")
        result = self.on_both("usage", *range_, "--extended")
        self.check(result, 0)
        rows = [line.split() for line in result.out.splitlines()[3:]]
        self.assertEqual(rows[1][:5], ["2023-01", "999999999.999999", "4294967295", "3", "0.333333"])
        self.assertEqual(rows[2][:4], ["2023-02", "-0.000001", "0", "0"])
        self.assertEqual(rows[3][:5], ["2023-03", "0.5", "1", "7", "0"])
        self.assertEqual(rows[5], ["total", "1000000000.499998", "4294967296", "10"])

    def test_usage_as_csv_and_json(self):
        range_ = (*SERIES, "--start", "2023-01", "--end", "2023-03")
        self.check(self.on_both("usage", *range_, "--csv"), 0,
                   "date,processed_credits\n2023-01,999999999.999999\n2023-02,-0.000001\n"
                   "2023-03,0.5\n")
        result = self.on_both("usage", *range_, "--json")
        self.check(result, 0)
        self.assertEqual(json.loads(result.out, parse_float=str),
                         [{"date": "2023-01", "processed_credits": "999999999.999999"},
                          {"date": "2023-02", "processed_credits": "-0.000001"},
                          {"date": "2023-03", "processed_credits": "0.5"}])

    def test_workflows_are_listed(self):
        arguments = ("workflows", "--customer", CUSTOMER, "--freq", "daily", "--start")
        self.check(self.on_both(*arguments, "2023-01-01"), 0, WORKFLOW + "\n")
        self.check(self.on_both(*arguments, "2023-06-01", "--end", "2023-06-02"), 0,
                   f"customer {CUSTOMER} used no workflow in this range\n")
        csv = self.on_both(*arguments, "2023-01-01", "--csv").out.splitlines()
        self.assertEqual(csv[0], "workflow_id,usage_url")
        self.assertTrue(csv[1].startswith(WORKFLOW + ","), csv)

    def test_what_the_server_refuses_is_told_with_its_reasons(self):
        result = self.on_both("usage", *SERIES, "--start", "2023-99")
        self.assertEqual((result.code, result.out), (1, ""), result)
        self.assertRegex(result.err, r"answered 422 .*\n  query\.start: '2023-99'")

    def test_a_reader_that_has_enough_is_no_error(self):
        hours = ("usage", *SERIES, "--freq", "hourly", "--start", "2023-01-01T00Z", "--end",
                 "2024-01-31T23Z")
        lines, result = tool.close_early(tool.start(*hours, "--server", url(self.server)))
        self.assertEqual(lines, [f"customer {CUSTOMER}\n"])
        self.check(result, -signal.SIGPIPE, "")

    def test_output_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            result = tool.run("workflows", "--customer", CUSTOMER, "--freq", "daily", "--start",
                              "2023-01-01", "--server", url(self.server), stdout=full)
        self.check(result, 1, None, re.compile("could not be written: No space left on device"))

    def test_the_server_may_be_named_by_the_environment(self):
        arguments = ("workflows", "--customer", CUSTOMER, "--freq", "daily", "--start",
                     "2023-01-01")
        found = {"TALLY_SERVER": url(self.server)}
        self.check(tool.run(*arguments, env=found), 0, WORKFLOW + "\n")
        # The command line is nearer.
        result = tool.run(*arguments, "--server", "http://127.0.0.1:1", env=found)
        self.check(result, 3, "", re.compile("no answer from http://127.0.0.1:1: "))
        result = tool.run(*arguments, "--data", "/nowhere", env=found)
        self.check(result, 3, "", re.compile("^tally: the data directory /nowhere cannot be "))


class Directories(ToolTest):
    def test_a_directory_that_is_held_says_by_whom(self):
        with Server() as server:
            result = tool.run("status", "--data", server.directory)
            self.check(result, 3, "", f"tally: the directory {server.directory} is in use by "
                                      f"process {server.process.pid}; stop it first, or use "
                                      "another\n")
            self.assertEqual(server.get("/readyz").status, 200)

    def test_no_database_is_created(self):
        with temporary() as path:
            result = tool.run("status", "--data", path)
            self.check(result, 3, "", re.compile("holds no database .*tallyd --data"))
            self.assertEqual(os.listdir(path), [])
            self.check(tool.run("status", "--data", path + "/a"), 3, "",
                       re.compile("cannot be entered: No such file or directory"))
            self.check(tool.run("status", "--data", ""), 3, "", re.compile("cannot be entered"))

    def test_a_server_and_a_directory_exclude_each_other(self):
        result = tool.run("status", "--data", "/tmp", "--server", "http://127.0.0.1:1")
        self.check(result, 2, "", re.compile("--server and --data exclude each other"))

    def test_nothing_is_left_behind(self):
        with Server() as server, temporary() as private:
            server.stop()
            here = {"TMPDIR": private}
            self.check(tool.run("status", "--data", server.directory, env=here), 0)
            self.assertEqual(os.listdir(private), [])
            for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
                watch = tool.start("status", "--watch=100ms", "--data", server.directory, env=here)
                self.assertIn("directory", watch.stdout.readline())
                (made,) = os.listdir(private)
                mode = os.stat(os.path.join(private, made)).st_mode
                self.assertEqual(stat.S_IMODE(mode), 0o700)
                watch.send_signal(number)
                self.check(tool.finish(watch), -number)
                self.assertEqual(os.listdir(private), [])
            server.start()  # after all that, the database is whole

    def test_an_import_into_a_directory_counts_once(self):
        with Server() as server, temporary() as path:
            self.assertEqual(server.post(EVENTS[:1]).json()["accepted"], 1)
            server.stop()
            file = os.path.join(path, "events.ndjson")
            with open(file, "w", encoding="utf-8") as out:
                out.writelines(json.dumps(one) + "\n" for one in EVENTS)
            for accepted, duplicates in ((2, 1), (0, 3)):
                result = tool.run("import", file, "--data", server.directory)
                self.assertEqual(result.code, 0, result)
                self.assertRegex(result.out, rf"accepted +{accepted}\nduplicates +{duplicates}\n")
            server.start()
            rows = server.rows(CUSTOMER, WORKFLOW, "monthly", "2023-01", "2023-03")
            self.assertEqual([row["processed_credits"] for row in rows],
                             ["999999999.999999", "-0.000001", "0.5"])

    def test_a_server_on_a_unix_socket_is_reached(self):
        with temporary() as path:
            address = "unix:" + os.path.join(path, "http.sock")
            with subprocess.Popen([tallyd.PROGRAM, "--data", path + "/data", "--http", address,
                                   "--forward", "off"], stdin=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True) as server:
                try:
                    for line in server.stderr:
                        if "event=ready" in line:
                            break
                    result = tool.run("status", "--server", address)
                    self.check(result, 0, re.compile("server +" + re.escape(address)))
                finally:
                    server.terminate()
                    server.stderr.read()
            result = tool.run("status", "--server", address)
            self.check(result, 3, "", re.compile("no answer from " + re.escape(address)))


class Status(ToolTest):
    def test_a_server_that_is_ready(self):
        with Server("--shards", "2") as server:
            self.assertEqual(server.post(EVENTS).json()["accepted"], 3)
            result = tool.run("status", "--server", url(server))
            self.check(result, 0)
            for want in (r"^server +http://127\.0\.0\.1:\d+, version \d+\.\d+\.\d+, pid "
                         rf"{server.process.pid}$", r"^state +ready$", r"^Forward +0 connections",
                         r"^series +1$", r"^commits +1, 0 failed, p50 at most ",
                         r"^queue +0 events in 0 batches, 0 batches refused$",
                         r"^dedup +window 35 d of 35 d; 3 ids in ", r"^journal +\d+ B, events since ",
                         r"^rejects +0 kept in 0 B, 0 dropped$", r"^storage +\[.*\] \d+\.\d% ",
                         r"^accepted +3 ", r"^duplicate +0 ", r"^shard +series"):
                self.assertRegex(result.out, re.compile(want, re.MULTILINE))
            as_json = tool.run("status", "--json", "--server", url(server))
            self.check(as_json, 0)
            self.assertEqual(json.loads(as_json.out)["events"]["accepted"], 3)

    def test_one_that_is_not_ready_is_told_by_the_exit_code(self):
        document = {"version": "0.1.0", "pid": 1, "started": "x", "uptime_ms": 1, "ready": False,
                    "reason": "the disk is full", "connections": 0, "forward": None}
        with answers((200, document)) as (address, _):
            self.check(tool.run("status", "--server", address), 1,
                       re.compile("^state +not ready: the disk is full$", re.MULTILINE))
            self.check(tool.run("status", "--json", "--server", address), 1)
        self.check(tool.run("status", "--server", address), 3, "", re.compile("no answer from"))
        with answers((404, {"title": "Not Found", "status": 404})) as (address, _):
            self.check(tool.run("status", "--server", address), 1, "",
                       re.compile("answered 404 Not Found"))
        with answers((200, b"<html>")) as (address, _):
            self.check(tool.run("status", "--server", address), 1, "",
                       re.compile("did not answer as a Tally server does"))

    def test_watching_goes_on_until_nobody_reads(self):
        with Server() as server:
            for more in ((), ("--json",)):
                watch = tool.start("status", "--watch=100ms", *more, "--server", url(server))
                lines = []
                while sum("pid" in line for line in lines) < 3:
                    lines.append(watch.stdout.readline())
                _, result = tool.close_early(watch, 0)
                self.check(result, -signal.SIGPIPE, "")
                self.assertEqual(any("/s now" in line for line in lines), not more, lines)


def broken(number, **fields):
    """A record that lacks its workflow."""
    return {"id": f"r{number}", "customer_id": CUSTOMER, **fields}


class Rejects(ToolTest):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--forward", "127.0.0.1:0", "--shards", "2")
        with forward.producer(cls.server) as producer:
            producer.send(forward.forward(
                [broken(1, note="1\u001b[2J"), broken(2, n=123456789012345678),
                 {**broken(3), "workflow_id": "none"}], chunk="c"))
            producer.take_ack("c")

    @classmethod
    def tearDownClass(cls):
        cls.server.remove()

    def list(self, *arguments):
        return tool.run("rejects", *arguments, "--server", url(self.server))

    def test_each_is_a_line_with_its_reason(self):
        result = self.list()
        self.check(result, 0)
        lines = result.out.splitlines()
        self.assertEqual(lines[0].split(), ["seq", "received", "code", "source", "message"])
        self.assertEqual(len(lines), 4)
        self.assertEqual([line.split()[2] for line in lines[1:]],
                         ["invalid_field", "missing_field", "missing_field"])
        self.assertIn("workflow_id: missing", lines[2])

    def test_records_are_shown_as_they_came(self):
        result = self.list("--records", "--code", "missing_field")
        self.check(result, 0)
        self.assertIn('"n":123456789012345678}', result.out)
        self.assertNotIn("\033", result.out)
        records = [json.loads(line)["record"] for line in self.list("--ndjson").out.splitlines()]
        self.assertEqual([record["id"] for record in records], ["r3", "r2", "r1"])
        self.assertEqual(records[2]["note"], "1\u001b[2J")

    def test_a_part_says_how_to_go_on(self):
        first = self.list("--limit", "1")
        self.check(first, 0)
        self.assertEqual(len(first.out.splitlines()), 3)
        after = re.search(r"older ones: --after (\d+), or --all", first.out).group(1)
        rest = json.loads(self.list("--json", "--after", after).out)
        self.assertEqual([one["record"]["id"] for one in rest["rejects"]], ["r2", "r1"])
        self.assertIsNone(rest["next"])
        part = json.loads(self.list("--json", "--limit", "2").out)
        self.assertEqual([one["record"]["id"] for one in part["rejects"]], ["r3", "r2"])
        self.assertEqual(part["next"], part["rejects"][1]["seq"])

    def test_none_is_said(self):
        self.check(self.list("--code", "overflow"), 0, "no such rejects are kept\n")
        self.check(self.list("--code", "overflow", "--json"), 0, '{"rejects":[],"next":null}\n')
        self.check(self.list("--code", "overflow", "--ndjson"), 0, "")

    def test_a_directory_has_them_too(self):
        with Server("--forward", "127.0.0.1:0") as server:
            with forward.producer(server) as producer:
                producer.send(forward.message(broken(1), chunk="c"))
                producer.take_ack("c")
            of_server = tool.run("rejects", "--json", "--server", url(server))
            server.stop()
            of_directory = tool.run("rejects", "--json", "--data", server.directory)
            self.check(of_directory, 0, of_server.out)

    def test_all_pages_are_read_and_damage_is_passed(self):
        def page(first, last, following):
            return {"rejects": [{"seq": seq, "code": "too_old", "source": "s", "message": "m",
                                 "received": "r", "encoding": "json", "record": {}}
                                for seq in range(first, last, -1)], "next": following}

        problem = {"title": "Internal Server Error", "status": 500, "detail": "damaged", "next": 7}
        with answers((200, page(20, 10, 11)), (500, problem), (200, page(6, 0, None))) as \
                (address, asked):
            result = tool.run("rejects", "--all", "--ndjson", "--server", address)
        self.check(result, 1, None, re.compile("answered 500 Internal Server Error: damaged"))
        self.assertEqual([json.loads(line)["seq"] for line in result.out.splitlines()],
                         [*range(20, 10, -1), *range(6, 0, -1)])
        self.assertEqual(asked, ["/v1/rejects?limit=1000", "/v1/rejects?limit=1000&after=11",
                                 "/v1/rejects?limit=1000&after=7"])


class CommandLines(ToolTest):
    def test_what_is_wrong_is_said_and_nothing_sent(self):
        needed = (*SERIES, "--start", "2023-01")
        for arguments, message in (
                ((), "tally COMMAND"),
                (("usge",), "there is no command 'usge'; did you mean 'usage'?"),
                (("help", "nothing"), "there is no command 'nothing'"),
                (("usage",), "it needs --customer UUID, --workflow UUID, --start DATE"),
                (("usage", *needed, "--freq", "yearly"), "must be one of monthly, weekly, daily"),
                (("usage", *needed, "--formt"), "there is no flag --formt"),
                (("usage", *needed, "--extendd"), "did you mean --extended?"),
                (("usage", *needed, "word"), "what is meant by 'word'?"),
                (("usage", *needed, "--json", "--csv"), "exclude each other"),
                (("workflows", "--customer", "x", "--freq", "daily", "--start", "2023"), "a UUID"),
                (("status", "--watch", "5"), "what is meant by '5'?"),
                (("status", "--watch=5"), "a time such as"),
                (("status", "--server", "ftp://x"), "neither an http:// or https:// URL"),
                (("status", "--server", "unix:"), "the path is missing"),
                (("status", "--server", ""), "neither an http:// or https:// URL"),
                (("rejects", "--limit", "0"), "a whole number, at least 1"),
                (("rejects", "--json", "--ndjson"), "exclude each other"),
                (("rejects", "--code", "bad"), "must be one of missing_field")):
            with self.subTest(arguments):
                result = tool.run(*arguments)
                self.assertEqual((result.code, result.out), (2, ""), result)
                self.assertIn(message, result.err)

    def test_every_command_has_a_page(self):
        self.assertEqual(set(COMMANDS), {"backup", "bench", "close", "dump", "export", "import",
                                         "load", "rejects", "revisions", "status", "usage",
                                         "verify", "void", "workflows", "help"})
        overview = tool.run("--help")
        self.check(overview, 0)
        self.assertEqual(repr(tool.run("help")), repr(overview))
        for command in COMMANDS:
            if command == "help":
                continue
            page = tool.run("help", command)
            self.check(page, 0, re.compile(f"^tally {command} "))
            self.assertEqual(repr(tool.run(command, "--help")), repr(page))
            self.assertEqual(repr(tool.run(command, "--unfinished", "-h")).count("no flag"), 1)
            self.assertRegex(overview.out, rf"(?m)^  {command} ")
            for line in (page.out + overview.out).splitlines():
                self.assertLessEqual(len(line), 80, line)
            for code in "0123":
                self.assertRegex(page.out, rf"(?m)^  {code}  \w")

    def test_the_version(self):
        self.check(tool.run("--version"), 0, re.compile(r"^tally \d+\.\d+\.\d+\n$"))


if __name__ == "__main__":
    tool.main()
