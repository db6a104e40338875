// lines.mjs: what the client programs of this folder have in common: commands come as JSON lines on
// standard input, what became of them goes as JSON lines to standard output, in the same order.
import readline from "node:readline";

// The commands, one after another; it ends with the input.
export async function* commands() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (line.trim() !== "") yield JSON.parse(line);
  }
}

export function print(value) {
  process.stdout.write(JSON.stringify(value) + "\n");
}
