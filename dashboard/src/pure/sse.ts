// Server-sent events, read from a stream of text (WHATWG HTML, section 9.2.6). `EventSource` can't send a token.

/** One event. */
export interface Message {
  readonly id: string | null;
  readonly event: string;
  readonly data: string;
}

/** Takes the stream piece by piece, wherever it was cut. */
export class EventReader {
  #rest = "";
  #id: string | null = null;
  #event = "";
  #data: string[] = [];

  /** The events that `text` completes. */
  read(text: string): Message[] {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    return lines.flatMap((line) => this.#line(line));
  }

  #line(line: string): Message[] {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    // A comment, by which the server keeps the connection alive.
    if (colon === 0) return [];
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "id") this.#id = value;
    else if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
    return [];
  }

  #dispatch(): Message[] {
    const message = { id: this.#id, event: this.#event || "message", data: this.#data.join("\n") };
    const isEmpty = this.#data.length === 0;
    this.#event = "";
    this.#data = [];
    this.#id = null;
    return isEmpty ? [] : [message];
  }
}
