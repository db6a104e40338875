"""What no well-behaved client sends. Each gets a clear error or a closed connection, and the server
goes on serving everybody else."""

import json
import re
import socket
import unittest

import tallyd
from tallyd import Server, usage_target

CUSTOMER = "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
WORKFLOW = "01234567-89ab-4def-8123-456789abcdef"
OK = 200
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def answers(data):
    """Takes what came back apart: [(status, headers, body)]; fails when it is no HTTP."""
    found = []
    while data:
        head, separator, rest = data.partition(b"\r\n\r\n")
        if not separator:
            raise AssertionError(f"a cut answer: {data!r}")
        lines = head.decode("ascii").split("\r\n")
        status = re.fullmatch(r"HTTP/1\.1 (\d{3}) [A-Za-z ]+", lines[0])
        if not status:
            raise AssertionError(f"no status line: {lines[0]!r}")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        length = int(headers.get("content-length", 0))
        found.append((int(status.group(1)), headers, rest[:length]))
        data = rest[length:]
    return found


def chunked(*chunks, end=b"0\r\n\r\n"):
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def event(identity, **fields):
    return json.dumps({"id": identity, "customer_id": CUSTOMER, "workflow_id": WORKFLOW,
                       "time": "2023-01-05T00:00:00Z", "documents": 1, **fields}).encode()


class Malformed(tallyd.ServerCase):
    options = ("--body-max", "256KiB")

    def tearDown(self):
        self.assertEqual(self.server.get("/healthz").status, OK)
        self.assertEqual(self.server.get("/readyz").status, OK)

    def documents(self):
        return self.server.rows(CUSTOMER, WORKFLOW, "daily", "2023-01-05",
                                "2023-01-05")[0]["num_documents"]

    def expect(self, data, *statuses):
        """The answers' statuses in order, after which the server closes; the last error explains
        itself. No statuses: closed without a word."""
        got = answers(self.server.raw(data))
        self.assertEqual([status for status, _, _ in got], list(statuses), (data[:200], got))
        for status, headers, body in got:
            if status >= 400:
                self.assertEqual(headers["content-type"], "application/problem+json")
                self.assertEqual(json.loads(body)["status"], status)
                self.assertTrue(json.loads(body)["detail"])
        return got

    def test_bodies_of_two_lengths(self):
        for headers in (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
                        b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
                        b"Content-Length: 2\r\nContent-Length: 2\r\n",
                        b"Content-Length: 2\r\nContent-Length: 3\r\n",
                        b"Content-Length: 2, 2\r\n", b"Content-Length: +2\r\n",
                        b"Content-Length: -2\r\n", b"Content-Length: 0x2\r\n",
                        b"Content-Length: 2 2\r\n", b"Content-Length:\r\n",
                        b"Content-Length: 99999999999999999999999\r\n",
                        b"Content-Length: 18446744073709551617\r\n",
                        b"Transfer-Encoding: chunked, chunked\r\n",
                        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                        b"Content-Length : 2\r\n"):
            got = self.expect(POST + headers + b"\r\n[]GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
                              *self.one_error(POST + headers + b"\r\n[]"))
            self.assertGreaterEqual(got[0][0], 400)

    def one_error(self, data):
        """The status of the only answer, which is a refusal by the HTTP layer."""
        got = answers(self.server.raw(data))
        self.assertEqual(len(got), 1, (data, got))
        self.assertIn(got[0][0], (400, 413, 501), (data, got))
        self.assertEqual(got[0][1]["connection"], "close")
        return [got[0][0]]

    def test_transfer_codings_that_are_not_understood(self):
        self.expect(POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501)
        self.expect(POST + b"Transfer-Encoding: gzip\r\n\r\n", 501)

    def test_malformed_chunks(self):
        head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
        for body in (b"x\r\n", b"\r\n", b"-1\r\n[]", b"2\n[]\r\n0\r\n\r\n", b"2\r\n[]0\r\n\r\n",
                     b"3\r\n[]\r\n0\r\n\r\n", b"0x2\r\n[]\r\n0\r\n\r\n", b" 2\r\n[]\r\n0\r\n\r\n",
                     b"2\r\n[]\n0\r\n\r\n", b"fffffffffffffffff\r\n", b"2;a=\"\x00\"\r\n[]\r\n0\r\n\r\n"):
            self.expect(head + body, 400)
        self.expect(head + b"ffffffffffffffff\r\n", 413)
        self.expect(head + b"40001\r\n" + b" " * 0x40001, 413)

    def test_chunked_uploads_in_all_cuts(self):
        body = b"[" + event("chunk") + b"," + event("chunk2") + b"]"
        head = POST + b"Transfer-Encoding: Chunked\r\n\r\n"
        before = self.documents()
        self.expect(head + chunked(body), OK)
        self.expect(head + chunked(*[body[i:i + 1] for i in range(len(body))]), OK)
        self.expect(head + chunked(body, end=b"000;x=y\r\nX-Trailer: 1\r\n\r\n"), OK)
        got = self.expect(head + b"2;ext=1\r\n[]\r\n0\r\n\r\n" + head + chunked(body), OK, OK)
        self.assertEqual(json.loads(got[1][2])["duplicates"], 2)
        self.assertEqual(self.documents(), before + 2)

    def test_line_ends_folds_and_bytes_that_do_not_belong(self):
        for data in (b"GET /healthz HTTP/1.1\nHost: x\n\n",
                     b"GET /healthz HTTP/1.1\r\nHost: x\n\r\n",
                     b"GET /healthz HTTP/1.1\r\nHost: x\r\n\n",
                     b"GET /healthz HTTP/1.1\r\nHost: x\rX: y\r\n\r\n",
                     GET + b"X-Folded: a\r\n b\r\n\r\n", GET + b"X-Folded: a\r\n\tb\r\n\r\n",
                     GET + b" X: y\r\n\r\n", GET + b"X : y\r\n\r\n", GET + b": y\r\n\r\n",
                     GET + b"X\r\n\r\n", GET + b"X: a\x00b\r\n\r\n", GET + b"X\x00: b\r\n\r\n",
                     GET + b"X\xff: b\r\n\r\n", b"GET /health\x00z HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"GET /health z HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"get /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"G\x00T /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"GET\r\n\r\n", b"\x00" * 100,
                     b"GET /healthz\r\n\r\n", b"GET /healthz HTTQ/1.1\r\nHost: x\r\n\r\n",
                     b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x55" * 300,
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n",
                     b"*1\r\n$4\r\nPING\r\n"):
            self.expect(data, 400)
        for version in (b"2.0", b"1.2", b"3.1"):
            got = answers(self.server.raw(b"GET /healthz HTTP/%s\r\nHost: x\r\n\r\n" % version))
            self.assertEqual([status for status, _, _ in got], [505], version)

    def test_host_is_required_once(self):
        self.expect(b"GET /healthz HTTP/1.1\r\n\r\n", 400)
        self.expect(b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400)
        self.expect(b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400)
        self.expect(b"GET /healthz HTTP/1.0\r\n\r\n", OK)
        self.expect(b"GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n", OK)
        self.expect(b"GET /healthz HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", OK)

    def test_heads_that_are_too_long(self):
        self.expect(GET + b"X-Long: " + b"a" * (1 << 20) + b"\r\n\r\n", 431)
        self.expect(GET + b"".join(b"X-%d: y\r\n" % i for i in range(101)) + b"\r\n", 431)
        self.expect(b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414)
        self.expect(b"A" * (1 << 20), 400)
        self.expect(GET + b"X-Long: " + b"a" * 20000 + b"\r\n\r\n", OK)
        self.expect(POST + b"Transfer-Encoding: chunked\r\n\r\n" +
                    chunked(b"[]", end=b"0\r\nX: " + b"a" * (8 << 20) + b"\r\n\r\n"),
                    *self.trailer_statuses())

    def trailer_statuses(self):
        data = (POST + b"Transfer-Encoding: chunked\r\n\r\n"
                + chunked(b"[]", end=b"0\r\nX: " + b"a" * (8 << 20) + b"\r\n\r\n"))
        statuses = [status for status, _, _ in answers(self.server.raw(data))]
        self.assertTrue(statuses in ([413], [431]), statuses)
        return statuses

    def test_a_body_that_is_too_long_is_refused_before_it_is_sent(self):
        with self.server.connect() as connection:
            connection.sendall(POST + b"Content-Length: 99999999999\r\n\r\n")
            answer = connection.recv(65536)
            self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer)
        with self.server.connect() as connection:
            connection.sendall(POST + b"Content-Length: 262145\r\nExpect: 100-continue\r\n\r\n")
            answer = connection.recv(65536)
            self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer)

    def test_the_error_reaches_a_client_that_is_still_sending(self):
        got = self.expect(POST + b"Content-Length: 300000\r\n\r\n" + b" " * 300000, 413)
        self.assertIn("262144", json.loads(got[0][2])["detail"])

    def test_expect_100_continue(self):
        body = b"[" + event("expected") + b"]"
        head = POST + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body)
        with self.server.connect() as connection:
            for _ in range(2):
                connection.sendall(head)
                interim = connection.recv(65536)
                self.assertEqual(interim, b"HTTP/1.1 100 Continue\r\n\r\n")
                connection.sendall(body)
                self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 200 "))
        # A client that does not wait gets both, or the answer alone.
        got = [status for status, _, _ in answers(self.server.raw(head + body))]
        self.assertIn(got, ([100, OK], [OK]))
        self.expect(POST + b"Content-Length: 2\r\nExpect: the-unexpected\r\n\r\n[]", 417)

    def test_pipelined_requests_are_answered_in_order(self):
        requests, expected = [], []
        for number in range(200):
            if number % 3 == 0:
                body = b"[" + event(f"pipe{number}", documents=0) + b"]"
                requests.append(POST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
                expected.append(b'{"accepted":1,"duplicates":0,"rejected":[]}')
            elif number % 3 == 1:
                requests.append(b"GET " + usage_target(CUSTOMER, WORKFLOW, "monthly",
                                                       f"{2000 + number % 50}-01",
                                                       f"{2000 + number % 50}-01").encode()
                                + b" HTTP/1.1\r\nHost: x\r\n\r\n")
                expected.append(b'[{"date":"%d-01","processed_credits":0}]' % (2000 + number % 50))
            else:
                requests.append(b"GET /nothing%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
                expected.append(None)
        for last in (b"", GET + b"Connection: close\r\n\r\n"):
            got = answers(self.server.raw(b"".join(requests) + last))
            self.assertEqual(len(got), 200 + (last != b""))
            for (status, _, body), want in zip(got, expected):
                self.assertEqual(status, 404 if want is None else OK)
                if want is not None:
                    self.assertEqual(body, want)
            expected = [want and want.replace(b'"accepted":1,"duplicates":0',
                                              b'"accepted":0,"duplicates":1') for want in expected]

    def test_what_follows_an_error_or_the_last_request_is_not_served(self):
        self.expect(GET + b"\r\n" + b"nonsense\r\n\r\n" + GET + b"\r\n", OK, 400)
        self.expect(GET + b"Connection: close\r\n\r\n" + GET + b"\r\n", OK)
        self.expect(b"GET /healthz HTTP/1.0\r\n\r\n" + GET + b"\r\n", OK)

    def test_a_request_byte_by_byte(self):
        body = b"[" + event("slow", documents=0) + b"]"
        with self.server.connect() as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in POST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body):
                connection.sendall(bytes([byte]))
            self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 200 "))

    def test_clients_that_die_in_the_middle_store_nothing(self):
        before = self.documents()
        body = b"[" + b",".join(event(f"dead{number}") for number in range(100)) + b"]"
        full = POST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        parts = chunked(body[:5000], body[5000:])
        other = POST + b"Transfer-Encoding: chunked\r\n\r\n"
        for data in (full[:30], full[:90], full[:len(full) // 2], full[:-1],
                     other + parts[:3000], other + parts[:-2]):
            for abruptly in (True, False):
                with self.server.connect() as connection:
                    if abruptly:  # a reset instead of an orderly end
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                              b"\1\0\0\0\0\0\0\0")
                    connection.sendall(data)
        self.assertEqual(self.documents(), before)
        # One that dies after its last byte has sent all of it: stored, or it may be resent.
        with self.server.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(full)
        answer = self.server.post(body).json()
        self.assertEqual(answer["accepted"] + answer["duplicates"], 100)
        self.assertEqual(self.documents(), before + 100)

    def flood(self, frequency, start, end):
        """Connections that have asked for more large answers than are given at once."""
        target = usage_target(CUSTOMER, WORKFLOW, frequency, start, end)
        request = b"GET " + target.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n"
        connections = [self.server.connect() for _ in range(10)]
        for connection in connections:
            connection.sendall(request * 60)
        return connections

    def test_clients_that_never_read_their_answers(self):
        connections = self.flood("hourly", "2023-01-01T00Z", "2023-12-31T23Z")
        self.assertEqual(self.server.get("/healthz").status, OK)
        self.server.rows(CUSTOMER, WORKFLOW, "monthly", "2023-01", "2023-12")
        for connection in connections:
            connection.close()

    def test_large_queries_over_the_limit_are_put_off(self):
        statuses = []
        for connection in self.flood("monthly", "1970-01", "2012-12"):
            connection.shutdown(socket.SHUT_WR)
            with connection, connection.makefile("rb") as file:
                got = answers(file.read())
            self.assertEqual(len(got), 60)
            for status, headers, body in got:
                statuses.append(status)
                if status == OK:
                    self.assertEqual(len(json.loads(body)), 516)
                else:
                    self.assertEqual((status, headers["retry-after"]), (503, "1"))
        self.assertGreaterEqual(statuses.count(OK), 256)

    def test_random_garbage(self):
        rng = tallyd.make_random()
        body = b"[" + event("fuzz", documents=0) + b"]"
        seeds = [GET + b"\r\n", POST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body),
                 POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body)]
        for _ in range(300):
            data = bytearray(rng.choice(seeds) * rng.randrange(1, 4))
            for _ in range(rng.randrange(1, 8)):
                at = rng.randrange(len(data))
                kind = rng.randrange(4)
                if kind == 0:
                    data[at] = rng.randrange(256)
                elif kind == 1:
                    del data[at:at + rng.randrange(1, 20)]
                elif kind == 2:
                    data[at:at] = rng.choice([b"\r\n", b"\0", b" ", b"\n", b":", b"0", b"\xff" * 9])
                else:
                    data[at:at] = data[:rng.randrange(1, 60)]
                data = data or bytearray(b"x")
            for status, _, _ in answers(self.server.raw(bytes(data))):
                self.assertIn(status, (100, 200, 400, 404, 405, 413, 414, 415, 417, 422, 431, 501,
                                       505), bytes(data))


class ManyConnections(unittest.TestCase):
    def test_connections_over_the_limit_are_told_so(self):
        with Server("--connections-max", "20") as server:
            held = [server.connect() for _ in range(19)]
            for connection in held:
                connection.sendall(GET + b"\r\n")
                self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 200 "))
            refused = 0
            for _ in range(10):
                got = server.raw(GET + b"\r\n")
                refused += got.startswith(b"HTTP/1.1 503 ")
            self.assertGreater(refused, 0)
            for connection in held:
                connection.close()
            server.wait_ready()
            self.assertGreater(server.metric("tally_http_connections_rejected_total"), 0)
            server.stop()

    def test_idle_connections_do_not_hold_up_the_end(self):
        with Server() as server:
            held = [server.connect() for _ in range(300)]
            for connection in held[::2]:
                connection.sendall(b"GET /heal")
            self.assertEqual(server.get("/healthz").status, OK)
            server.options = []
            # The half requests may take as long as the drain does.
            for connection in held[::2]:
                connection.close()
            server.stop()
            for connection in held:
                connection.close()


if __name__ == "__main__":
    tallyd.main()
