// cloudevents.mjs URL: sends what it is told with cloudevents, the SDK of the specification.
//
// A command is {"mode": "structured", "binary" or "batch", "events": [...]}: attributes and data of
// each event, as the constructor of a CloudEvent takes them; with "bytes": true data is given to it
// as bytes. The first two modes send a request for each event. The line printed is {"answers": [{"status": ..., "body": ...}, ...]}.
import { CloudEvent, HTTP } from "cloudevents";
import { commands, print } from "./lines.mjs";

const url = process.argv[2];

async function send(message) {
  const response = await fetch(url, { method: "POST", ...message });
  const text = await response.text();
  return { status: response.status, body: text === "" ? null : JSON.parse(text) };
}

// The SDK reads batches, but has no function that writes one.
function batch(events) {
  return {
    headers: { "content-type": "application/cloudevents-batch+json" },
    body: JSON.stringify(events),
  };
}

function withBytes(event) {
  return { ...event, data: new TextEncoder().encode(JSON.stringify(event.data)) };
}

for await (const command of commands()) {
  const events = command.events.map(
    (event) => new CloudEvent(command.bytes ? withBytes(event) : event),
  );
  const messages =
    command.mode === "batch" ? [batch(events)] : events.map((event) => HTTP[command.mode](event));
  const answers = [];
  for (const message of messages) answers.push(await send(message));
  print({ answers });
}
