// Follows the stream of events for as long as the page lives, through every restart of cutover.
import { EventReader, type Message } from "../pure/sse";
import { headers, url } from "./call";

/** The server sends a sign of life every 15 s: a connection that says nothing for longer is gone, whatever TCP believes. */
const SILENCE_MS = 35_000;
const PAUSE_MS = { first: 250, most: 5_000 };

/** What is told about the stream. */
export interface Follower {
  /** It is open, and every event from now on comes. */
  opened(): void;
  /** It broke off; it is tried again by itself. */
  lost(): void;
  event(message: Message): void;
}

/** Follows until `signal` ends it. After each interruption it goes on behind the last event that it has seen. */
export async function follow(follower: Follower, signal: AbortSignal): Promise<void> {
  let last: string | null = null;
  let pause = PAUSE_MS.first;
  while (!signal.aborted) {
    const silence = new AbortController();
    try {
      const resume: Record<string, string> = last === null ? {} : { "Last-Event-ID": last };
      const response = await fetch(url("events"), {
        headers: { ...headers(), ...resume },
        cache: "no-store",
        signal: AbortSignal.any([signal, silence.signal]),
      });
      // The polls find out what a 401 means; the stream only tries again.
      if (!response.ok || response.body === null) throw new Error(`status ${response.status}`);
      pause = PAUSE_MS.first;
      follower.opened();
      for await (const message of messages(response.body, silence)) {
        last = message.id ?? last;
        follower.event(message);
      }
    } catch {
      // Whatever ended it: it is tried again.
    }
    if (signal.aborted) return;
    follower.lost();
    await sleep(pause * (0.75 + Math.random() / 2));
    pause = Math.min(pause * 2, PAUSE_MS.most);
  }
}

async function* messages(body: ReadableStream<Uint8Array>, silence: AbortController): AsyncGenerator<Message> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const events = new EventReader();
  for (;;) {
    const timer = setTimeout(() => silence.abort(), SILENCE_MS);
    const { done, value } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    yield* events.read(decoder.decode(value, { stream: true }));
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
