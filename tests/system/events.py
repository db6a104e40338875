"""Events of one customer on a running tallyd, for the tests of what becomes of them later."""

import unittest

import tallyd
from tallyd import Server

WORKFLOW = "0f6b0a4e-7d0c-4c55-9a53-2f4d3c1c8a10"
OTHER = "1f6b0a4e-7d0c-4c55-9a53-2f4d3c1c8a10"


class EventsCase(unittest.TestCase):
    options = ("--shards", "3")

    def setUp(self):
        self.rng = tallyd.make_random()
        self.server = Server(*self.options)
        self.addCleanup(self.server.remove)
        self.customer = tallyd.random_uuid(self.rng)

    def make(self, identity, workflow=WORKFLOW, time="2023-01-31T23:59:59.999Z", **fields):
        return {"id": identity, "customer_id": self.customer, "workflow_id": workflow, "time": time,
                "credits": 2.5, "documents": 1, "pages": 4, "processing_ms": 1000, **fields}
