// fluent.mjs SOCKET MODE: sends what it is told with @fluent-org/logger, over a Unix socket, until
// it is acknowledged, through as many reconnections as that takes.
//
// A command is {"records": [...], "time": milliseconds}. The line printed is {"acknowledged": n},
// with "problems": [...] when some were not.
import fluent from "@fluent-org/logger";
import { commands, print } from "./lines.mjs";

const [path, eventMode] = process.argv.slice(2);
const client = new fluent.FluentClient("usage", {
  eventMode,
  milliseconds: true,
  socket: { path, reconnect: { delay: 20, maxDelay: 200 } },
  ack: { ackTimeout: 1000 },
  eventRetry: { attempts: 1000, delay: 20, maxDelay: 200 },
  disconnect: { waitForPending: true },
});

// Errors of the socket are what the retries are for.
client.socketOn("error", () => {});

for await (const command of commands()) {
  const sent = command.records.map((record) => client.emit("app", record, command.time));
  const settled = await Promise.allSettled(sent);
  const failed = settled.filter((one) => one.status === "rejected");
  const problems = failed.map((one) => String(one.reason));
  print({ acknowledged: sent.length - failed.length, ...(failed.length ? { problems } : {}) });
}
await client.disconnect();
