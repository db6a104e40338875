// openmeter.mjs URL: sends what it is told with @openmeter/sdk.
//
// A command is {"events": ..., "token": ...}: one event or an array of them, as the SDK takes them,
// with "time" as text; "token" may be missing. The line printed is {"result": ...}, the value that
// the SDK returned (null for none), or {"error": name, "status": ..., "problem": ...}, what it threw.
import { OpenMeter } from "@openmeter/sdk";
import { commands, print } from "./lines.mjs";

const baseUrl = process.argv[2];

// The SDK takes times as Date objects.
function withDate(event) {
  return event.time === undefined ? event : { ...event, time: new Date(event.time) };
}

for await (const command of commands()) {
  const openmeter = new OpenMeter({ baseUrl, token: command.token });
  const events = Array.isArray(command.events)
    ? command.events.map(withDate)
    : withDate(command.events);
  try {
    print({ result: (await openmeter.events.ingest(events)) ?? null });
  } catch (error) {
    print({ error: error.name, status: error.statusCode, problem: error.problem });
  }
}
