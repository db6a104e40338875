"""A producer of the Fluentd Forward protocol, and as much msgpack as it takes. Standard library only.
"""

import gzip
import socket
import struct
import uuid

import tallyd

CUSTOMER = "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
WORKFLOW = "01234567-89ab-4def-8123-456789abcdef"
SECONDS = 1672876800  # 2023-01-05T00:00:00Z


class Raw(bytes):
    """Bytes that are msgpack already."""


class EventTime:
    """Seconds and nanoseconds, as ext 8 or fixext 8."""

    def __init__(self, seconds, nanoseconds=0, fixed=True):
        self.bytes = struct.pack(">BBII", 0xd7, 0, seconds, nanoseconds) if fixed else \
            struct.pack(">BBBII", 0xc7, 8, 0, seconds, nanoseconds)


def _head(length, short, forms):
    """The head of a value that counts something: short is (first byte, most) or None."""
    if short and length <= short[1]:
        return bytes([short[0] | length])
    for first, form in forms:
        if length < 1 << 8 * struct.calcsize(form):
            return bytes([first]) + struct.pack(">" + form, length)
    raise ValueError(length)


def _pack_integer(value):
    if -32 <= value < 128:
        return struct.pack(">b", value)
    if value < 0:
        return b"\xd3" + struct.pack(">q", value)
    return _head(value, None, ((0xcc, "B"), (0xcd, "H"), (0xce, "I"), (0xcf, "Q")))


def pack(value):
    """A value as msgpack."""
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, EventTime):
        return value.bytes
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        return _pack_integer(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        value = value.encode()
        return _head(len(value), (0xa0, 31), ((0xd9, "B"), (0xda, "H"), (0xdb, "I"))) + value
    if isinstance(value, bytes):
        return _head(len(value), None, ((0xc4, "B"), (0xc5, "H"), (0xc6, "I"))) + value
    if isinstance(value, dict):
        return _head(len(value), (0x80, 15), ((0xde, "H"), (0xdf, "I"))) + b"".join(
            pack(name) + pack(member) for name, member in value.items())
    return _head(len(value), (0x90, 15), ((0xdc, "H"), (0xdd, "I"))) + b"".join(map(pack, value))


# --- Records and messages ---

def record(identity, **fields):
    """An event as a map: one document, unless said otherwise."""
    return {"id": identity, "customer_id": CUSTOMER, "workflow_id": WORKFLOW, "documents": 1,
            **fields}


def compact(identity, documents=1, binary=True):
    """The same as an array by position."""
    customer, workflow = (uuid.UUID(text).bytes if binary else text
                          for text in (CUSTOMER, WORKFLOW))
    return [identity, customer, workflow, 0, documents, 0, 0]


def entries(records, time=SECONDS):
    return [[time, one] for one in records]


def packed(records, time=SECONDS):
    """Entries one behind the other."""
    return b"".join(map(pack, entries(records, time)))


def _option(chunk, **more):
    option = ({} if chunk is None else {"chunk": chunk}) | more
    return [option] if option else []


def message(one, chunk=None, time=SECONDS, tag="usage"):
    """Message mode: one record."""
    return pack([tag, time, one, *_option(chunk)])


def forward(records, chunk=None, time=SECONDS, tag="usage", **option):
    """Forward mode."""
    return pack([tag, entries(records, time), *_option(chunk, **option)])


def packed_forward(records, chunk=None, time=SECONDS, tag="usage", text=False, **option):
    """PackedForward mode; `text`: in a str, as old producers send it."""
    stream = packed(records, time)
    if text:
        stream = Raw(b"\xdb" + struct.pack(">I", len(stream)) + stream)
    return pack([tag, stream, *_option(chunk, **option)])


def compressed_forward(records, chunk=None, time=SECONDS, tag="usage", members=1):
    """CompressedPackedForward mode, the records spread over so many gzip members."""
    parts = [records[i::members] for i in range(members)]
    stream = b"".join(gzip.compress(packed(part, time), 1) for part in parts)
    return pack([tag, stream, *_option(chunk, compressed="gzip")])


MODES = {
    "message": lambda records, chunk: b"".join(
        message(one, chunk if i == len(records) - 1 else None) for i, one in enumerate(records)),
    "forward": forward,
    "packed": packed_forward,
    "compressed": compressed_forward,
}


# --- The connection ---

class Producer:
    """A connection to a server's TCP or Unix socket."""

    def __init__(self, address):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(tallyd.ANSWER_SECONDS)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(address, timeout=tallyd.ANSWER_SECONDS)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends the connection with a reset, and without sending what is still on its way."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def finish(self):
        """Nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def take_ack(self, chunk):
        """Waits for the acknowledgement of a chunk, which must be the next thing that arrives."""
        expected = pack({"ack": chunk})
        while len(self.received) < len(expected):
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError(f"closed after {self.received!r} instead of {expected!r}")
            self.received += piece
        if not self.received.startswith(expected):
            raise AssertionError(f"{self.received[:200]!r} instead of {expected!r}")
        self.received = self.received[len(expected):]

    def take_end(self):
        """Waits until the server closes; nothing more may arrive before."""
        while True:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                piece = b""
            self.received += piece
            if not piece:
                break
        if self.received:
            raise AssertionError(f"{self.received[:200]!r} before the end")


def producer(server):
    return Producer(server.forward_address)


def documents(server, start="2023-01-01", end="2023-01-31"):
    """What is counted of CUSTOMER in WORKFLOW."""
    rows = server.rows(CUSTOMER, WORKFLOW, "daily", start, end)
    return sum(row["num_documents"] for row in rows)
