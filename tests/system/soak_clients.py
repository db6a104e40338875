"""The other clients of the soak test: some ask, one sends single events and looks at once whether
they are there, many die or stall.
"""

import datetime
import http.client
import json
import random
import socket
import struct
import threading
import time

import forward
import tallyd
from test_kill import whole
from tallyd import list_target, usage_target

PROBE = ("e0000000-0000-4000-8000-000000000001", "e1000000-0000-4000-8000-000000000001")
DYING = ("dead0000-0000-4000-8000-000000000001", "dead1000-0000-4000-8000-000000000001")
STALLED_MAX = 30
IDLE_SECONDS_MAX = 20  # of a connection that is used again; the server closes it after 60


class World:
    """What all clients share: the server, whether it is being restarted, what went wrong, how long
    answers took."""

    def __init__(self, server):
        self.server = server
        self.problems = []
        self.is_disturbed = True  # from before a restart until its backlog is worked off
        self.restarts = 0
        self.is_ending = False  # the test has failed or is over: nobody waits any more
        self.latencies = {}  # {kind: ([seconds of calm times], [seconds of all])}
        self.voided = {}  # {series: documents}, before they are voided
        self.series = []  # that are asked for
        self.local = threading.local()

    def seconds(self, kind, duration, calm):
        calm_ones, all_ones = self.latencies.setdefault(kind, ([], []))
        all_ones.append(duration)
        if calm:
            calm_ones.append(duration)

    def ask(self, kind, method, target, body=None, content_type="application/json"):
        """An answer of 200, however often it must be asked for while the server is restarted;
        (answer, whether it was asked for once). In calm times everything else is a problem."""
        start, first = time.monotonic(), True
        restarts, disturbed = self.restarts, self.is_disturbed
        headers = {"Content-Type": content_type} if body is not None else {}
        while True:
            failure = None
            try:
                answer = self.attempt(method, target, body, headers)
                if answer.status == 200:
                    break
                failure = f"{kind}: {method} {target}: {answer}"
                if answer.status not in (429, 503):
                    raise AssertionError(failure)
            except (OSError, http.client.HTTPException, LookupError) as error:
                failure = f"{kind}: {method} {target}: {error!r}"
            disturbed = disturbed or self.is_disturbed or restarts != self.restarts
            if not disturbed or self.is_ending:
                raise AssertionError(failure)
            if time.monotonic() - start > 2 * tallyd.START_SECONDS:
                raise AssertionError("no answer for two minutes: " + failure)
            first = False
            time.sleep(0.02)
        calm = not (disturbed or self.is_disturbed or restarts != self.restarts)
        self.seconds(kind, time.monotonic() - start, calm)
        return answer, first

    def attempt(self, method, target, body, headers):
        if self.server.address is None:
            raise LookupError("the server does not listen yet")
        # The port of a new server may be that of the one before, and one closes what is idle.
        now = time.monotonic()
        if (getattr(self.local, "restarts", None) != self.restarts or
                now - self.local.asked > IDLE_SECONDS_MAX):
            self.server._forget_connection()
            self.local.restarts = self.restarts
        self.local.asked = now
        return self.server.request(method, target, body, headers)


class Client(threading.Thread):
    """Repeats step() until told to stop. What it raises is a problem, and ends it."""

    pause = 0.02

    def __init__(self, world, seed):
        super().__init__()
        self.world = world
        self.rng = random.Random(seed)
        self.is_stopping = False
        self.steps = 0

    def run(self):
        try:
            while not self.is_stopping:
                self.step()
                self.steps += 1
                time.sleep(self.pause * 2 * self.rng.random())
        except Exception as error:  # of whatever kind: nobody else looks
            self.world.problems.append(f"{type(self).__name__}: {error!r}")

    def stop(self):
        self.is_stopping = True
        self.join()


def text_rows(answer):
    return json.loads(answer.body, parse_float=lambda text: text)


def ranges(now):
    """Some ranges of each frequency that end with the present."""
    past = now - datetime.timedelta(days=400)
    return {
        "monthly": (f"{past:%Y-%m}", f"{now:%Y-%m}"),
        "weekly": (f"{past:%G-W%V}", f"{now:%G-W%V}"),
        "daily": (f"{now - datetime.timedelta(days=40):%Y-%m-%d}", f"{now:%Y-%m-%d}"),
        "hourly": (f"{now - datetime.timedelta(hours=60):%Y-%m-%dT%HZ}", f"{now:%Y-%m-%dT%HZ}"),
    }


class Asker(Client):
    """Rollups of all frequencies, the workflows of a customer, status, metrics, the feed."""

    def __init__(self, world, seed):
        super().__init__(world, seed)
        self.seen = {}

    def step(self):
        kind = self.rng.choices((self.rollup, self.workflows, self.status, self.metrics, self.feed),
                                (80, 10, 3, 2, 5))[0]
        kind()

    def rollup(self):
        series = self.rng.choice(self.world.series)
        frequency = self.rng.choice(("monthly", "weekly", "daily", "hourly"))
        start, end = ranges(datetime.datetime.now(datetime.timezone.utc))[frequency]
        answer, _ = self.world.ask(frequency, "GET", usage_target(*series, frequency, start, end)
                                   + "&extended=true")
        documents = sum(whole(row) for row in text_rows(answer))
        if frequency == "monthly":  # whose range does not move on
            if documents + self.world.voided.get(series, 0) < self.seen.get(series, 0):
                raise AssertionError(f"{series}: {documents} documents, there were "
                                     f"{self.seen[series]}")
            self.seen[series] = max(documents, self.seen.get(series, 0))

    def workflows(self):
        customer, _ = self.rng.choice(self.world.series)
        start, end = ranges(datetime.datetime.now(datetime.timezone.utc))["monthly"]
        answer, _ = self.world.ask("workflows", "GET", list_target(
            customer, "monthly", f"?start={start}&end={end}"))
        listed = [one["workflow_id"] for one in answer.json()]
        wanted = sorted(workflow for one, workflow in self.world.series if one == customer)
        if listed != wanted:
            raise AssertionError(f"workflows of {customer}: {listed} instead of {wanted}")

    def status(self):
        self.world.ask("status", "GET", "/v1/status")[0].json()

    def metrics(self):
        answer, _ = self.world.ask("metrics", "GET", "/metrics")
        for line in answer.body.decode().splitlines():
            if line and not line.startswith("#"):
                tallyd.parse_sample(line)

    def feed(self):
        answer, _ = self.world.ask("feed, 100 events", "GET", "/v1/events?limit=100")
        for event in text_rows(answer)["events"]:
            documents = event["documents"]
            if event["pages"] != 2 * documents or event["processing_ms"] != 3 * documents:
                raise AssertionError(f"an event was changed: {event}")


class Prober(Client):
    """Sends single events, and looks at once whether exactly what was acknowledged is counted."""

    pause = 0.1
    LOOKUP_EVERY = 300  # reads the whole journal, and nothing is probed meanwhile

    def __init__(self, world, seed):
        super().__init__(world, seed)
        self.documents = self.accepted = self.duplicates = 0

    def renew(self):
        """A thread that goes on where this one ended."""
        prober = Prober(self.world, self.rng.getrandbits(64))
        prober.steps, prober.documents = self.steps, self.documents
        prober.accepted, prober.duplicates = self.accepted, self.duplicates
        return prober

    def step(self):
        documents = self.rng.randrange(1, 10)
        now = datetime.datetime.now(datetime.timezone.utc)
        late = now - datetime.timedelta(days=self.rng.randrange(300) if self.steps % 10 == 9 else 0)
        event = {"id": f"probe-{self.steps}", "customer_id": PROBE[0], "workflow_id": PROBE[1],
                 "time": late.isoformat(timespec="milliseconds"), "documents": documents,
                 "pages": 2 * documents, "processing_ms": 3 * documents,
                 "credits": f"{documents}.{documents:06}"}
        answer, first = self.world.ask("one event", "POST", "/v1/events", json.dumps(event))
        result = answer.json()
        if result["accepted"] + result["duplicates"] != 1 or first and not result["accepted"]:
            raise AssertionError(f"{event['id']}, {'' if first else 'not '}sent once: {answer}")
        self.documents += documents
        self.accepted += result["accepted"]
        self.duplicates += result["duplicates"]
        self.look()
        if self.steps % self.LOOKUP_EVERY == self.LOOKUP_EVERY - 1:
            self.look_up(event)

    def look(self):
        start, end = ranges(datetime.datetime.now(datetime.timezone.utc))["monthly"]
        answer, _ = self.world.ask("monthly", "GET", usage_target(*PROBE, "monthly", start, end)
                                   + "&extended=true")
        documents = sum(whole(row) for row in text_rows(answer))
        if documents != self.documents:
            raise AssertionError(f"{documents} documents of single events are counted, "
                                 f"{self.documents} were acknowledged")

    def look_up(self, event):
        """What became of one event: it is in the journal, once."""
        target = f"/v1/events?customer_id={PROBE[0]}&id={event['id']}"
        found, page, start = [], {"end": False}, time.monotonic()
        calm = not self.world.is_disturbed
        while not page["end"]:
            answer, first = self.world.ask("lookup, a page of it", "GET", target + (
                f"&after={page['next']}" if "next" in page else ""))
            page = answer.json()
            found += page["events"]
            calm = calm and first and not self.world.is_disturbed
        self.world.seconds("lookup", time.monotonic() - start, calm)
        if [(one["id"], one["documents"], one["status"]) for one in found] != \
                [(event["id"], event["documents"], "accepted")]:
            raise AssertionError(f"{event['id']} is in the journal as {found}")


# --- Clients that die ---

def http_post(records):
    body = json.dumps(records).encode()
    return (b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body)


def reset(peer):
    """Ends the connection without sending what is still on its way."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


class Dying(Client):
    """Connects and stalls, sends byte by byte, dies in the middle of a request, of a Forward
    message, of an answer. Nothing of what it sends may be counted."""

    pause = 0.1

    def __init__(self, world, seed):
        super().__init__(world, seed)
        self.slow = []  # [socket, what it still has to send]
        records = [dict(forward.record(f"dying-{i}"), customer_id=DYING[0], workflow_id=DYING[1])
                   for i in range(200)]
        self.requests = [http_post(records[:1]), http_post(records)]
        self.messages = [mode(records, "chunk") for mode in
                         (forward.forward, forward.packed_forward, forward.compressed_forward)]
        self.messages.append(forward.message(records[0], "chunk"))

    def step(self):
        server = self.world.server
        if server.address is None or server.forward_address is None:
            return
        try:
            self.rng.choice((self.stall, self.stall_forward, self.cut, self.cut_forward,
                             self.leave_answer, self.crawl, self.crawl))()
        except OSError:
            pass  # the server is being restarted, or has refused the rest

    def stop(self):
        super().stop()
        for peer, _ in self.slow:
            peer.close()

    def connect(self, address):
        return socket.create_connection(address, timeout=tallyd.ANSWER_SECONDS)

    def part(self, messages):
        message = self.rng.choice(messages)
        return message[:self.rng.choice((self.rng.randrange(len(message)), len(message) - 1))]

    def keep(self, peer, rest):
        self.slow.append([peer, rest])
        if len(self.slow) > STALLED_MAX:
            self.slow.pop(self.rng.randrange(STALLED_MAX))[0].close()

    def stall(self):
        self.keep(self.connect(self.world.server.address), self.part(self.requests))

    def stall_forward(self):
        self.keep(self.connect(self.world.server.forward_address), self.part(self.messages))

    def crawl(self):
        """Each of the slow ones sends some bytes more; who is done just waits."""
        for one in list(self.slow):
            piece = self.rng.randrange(1, 40)
            try:
                one[0].sendall(one[1][:piece])
            except OSError:
                self.slow.remove(one)
                one[0].close()
            one[1] = one[1][piece:]

    def die(self, peer):
        reset(peer) if self.rng.random() < 0.5 else peer.close()

    def cut(self):
        peer = self.connect(self.world.server.address)
        peer.sendall(self.part(self.requests))
        self.die(peer)

    def cut_forward(self):
        peer = self.connect(self.world.server.forward_address)
        peer.sendall(self.part(self.messages))
        self.die(peer)

    def leave_answer(self):
        peer = self.connect(self.world.server.address)
        peer.sendall(b"GET /v1/events?limit=2000 HTTP/1.1\r\nHost: x\r\n\r\n")
        if self.rng.random() < 0.5:
            peer.recv(1 + self.rng.randrange(4000))
        self.die(peer)
