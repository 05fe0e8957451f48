// Server-sent events: from a body in any pieces to the data of each event.
// It knows no endpoint and does not judge what the data says.

/** Most characters of an event that has not ended. */
const EVENT_CHARS_MAX = 8 << 20;

/** Gathers text and gives back the data of the events that are complete. */
export class EventReader {
  #rest = "";

  push(text) {
    const events = (this.#rest + text).replaceAll("\r\n", "\n").split("\n\n");
    this.#rest = events.pop();
    if (this.#rest.length > EVENT_CHARS_MAX) {
      throw new Error(`an event is longer than ${EVENT_CHARS_MAX} characters`);
    }
    return events.map(dataOf).filter((data) => data !== null);
  }
}

function dataOf(event) {
  const lines = event.split("\n").filter((line) => line.startsWith("data:"));
  return lines.length ? lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n") : null;
}

/** The JSON objects of a response before its last word. */
export async function* objects(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const events = new EventReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      for (const data of events.push(part.value)) {
        if (data === "[DONE]") return;
        yield JSON.parse(data);
      }
    }
  } finally {
    // A reader that leaves early tells the host, which then stops working on the answer.
    reader.cancel().catch(() => {});
  }
  throw new Error("the connection ended before the answer did");
}
