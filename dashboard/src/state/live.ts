// What is shown, kept up to date: events say at once that something changed, polls bring the numbers.
import { batch, computed, effect, signal } from "@preact/signals";
import { at, call } from "../api/call";
import { follow } from "../api/follow";
import { Refused, Unreachable } from "../api/problem";
import type { Backend, Entry, Service, Timeline, Version } from "../api/types";
import { History, sampleOf } from "../pure/series";
import type { Message } from "../pure/sse";
import { announce } from "./notice";
import { selected } from "./route";
import { refreshStatus } from "./session";

const POLL_MS = 1_500;
/** Several events of one change are answered by one look. */
const SETTLE_MS = 40;
const PAGE = 25;
const ENTRIES_MAX = 1_000;

/** Kinds of events that a screen reader is told of. */
const TOLD = new Set(["activated", "judged_bad", "judged_good", "drained", "frozen", "unfrozen", "canary_begun", "canary_ended",
  "maintenance_begun", "maintenance_ended", "roll_changed"]);

/** Whether cutover answers. */
export const link = signal<"connecting" | "live" | "reconnecting">("connecting");
export const services = signal<readonly Service[] | null>(null);
export const versions = signal<readonly Version[]>([]);
export const backends = signal<readonly Backend[]>([]);
/** What happened to the shown service, the latest first. */
export const entries = signal<readonly Entry[]>([]);
/** Whether older entries can be had. */
export const hasOlder = signal(false);
/** The present, which moves on every second. */
export const now = signal(Date.now());
/** Changes with every look. */
export const looks = signal(0);
/** Why the last look failed though cutover answered. */
export const trouble = signal("");

/** The name of the shown service: the chosen one, else the first. */
export const current = computed(() => {
  const names = (services.value ?? []).map((service) => service.name);
  const chosen = selected.value;
  return chosen !== null && names.includes(chosen) ? chosen : (names[0] ?? null);
});
export const service = computed(() => (services.value ?? []).find(({ name }) => name === current.value) ?? null);

const histories = new Map<string, History>();
let soon: ReturnType<typeof setTimeout> | undefined;
let looking: Promise<void> | null = null;

/** What the versions of the shown service did while somebody looked. */
export function history(): History {
  const name = current.value ?? "";
  const known = histories.get(name) ?? new History();
  histories.set(name, known);
  return known;
}

/** Keeps everything up to date until the function that it answers is called. */
export function keepUp(): () => void {
  const stop = new AbortController();
  let wasLost = false;
  const opened = (): void => {
    connected();
    // What happened before anything was followed is not told again.
    if (wasLost) void reload();
  };
  const lost = (): void => {
    wasLost = true;
    disconnected();
  };
  void follow({ opened, lost, event: note }, stop.signal);
  const clock = setInterval(() => (now.value = Date.now()), 1_000);
  const poll = setInterval(() => document.visibilityState === "visible" && void look(), POLL_MS);
  const onVisible = (): void => void (document.visibilityState === "visible" && look());
  document.addEventListener("visibilitychange", onVisible);
  void look();
  const onOther = effect(() => {
    if (current.value !== null) void reload();
  });
  return () => {
    stop.abort();
    clearInterval(clock);
    clearInterval(poll);
    clearTimeout(soon);
    document.removeEventListener("visibilitychange", onVisible);
    onOther();
  };
}

/** Looks at once, as after a change that was made here. One look at a time. */
export async function look(): Promise<void> {
  looking ??= readAll().finally(() => (looking = null));
  await looking;
}

/** Shows entries older than those that are shown. */
export async function older(): Promise<void> {
  const [name, last] = [current.value, entries.value.at(-1)];
  if (name === null || last === undefined || entries.value.length >= ENTRIES_MAX) return;
  const page = await call<Timeline>(`services/${at(name)}/timeline?limit=${PAGE}&before=${last.id}`);
  entries.value = [...entries.value, ...page.entries];
  hasOlder.value = page.next !== null && entries.value.length < ENTRIES_MAX;
}

async function readAll(): Promise<void> {
  try {
    const list = await call<{ services: Service[] }>("services");
    services.value = list.services;
    const name = current.value;
    if (name !== null) await readService(name);
    connected();
    batch(() => {
      trouble.value = "";
      now.value = Date.now();
      looks.value += 1;
    });
  } catch (error) {
    if (error instanceof Unreachable) disconnected();
    // A service that was removed between two calls is gone with the next look.
    else if (!(error instanceof Refused && (error.status === 404 || error.status === 401))) trouble.value = String(error);
  }
}

async function readService(name: string): Promise<void> {
  const [listed, serving] = await Promise.all([
    call<{ versions: Version[] }>(`services/${at(name)}/versions?latencies=true`),
    call<{ backends: Backend[] }>(`services/${at(name)}/backends`),
  ]);
  if (current.value !== name) return;
  const answering = listed.versions.filter((version) => version.role !== "retired");
  history().note(Date.now(), new Map(answering.map((version) => [version.version, sampleOf(version)])));
  batch(() => {
    versions.value = listed.versions;
    backends.value = serving.backends;
  });
}

/** Reads the timeline from its top. */
async function reload(): Promise<void> {
  const name = current.value;
  if (name === null) return;
  try {
    const page = await call<Timeline>(`services/${at(name)}/timeline?limit=${PAGE}`);
    if (current.value !== name) return;
    entries.value = page.entries;
    hasOlder.value = page.next !== null;
  } catch {
    // The stream or the next look says what is wrong.
  }
  void look();
}

function connected(): void {
  if (link.value === "reconnecting") {
    announce("Connected again.");
    void refreshStatus().catch(() => undefined);
  }
  link.value = "live";
}

function disconnected(): void {
  if (link.value === "reconnecting") return;
  if (link.value === "live") announce("The connection is lost. Reconnecting.");
  link.value = "reconnecting";
}

function note(message: Message): void {
  if (message.event === "missed") {
    void reload();
    return;
  }
  const entry = JSON.parse(message.data) as Entry;
  clearTimeout(soon);
  soon = setTimeout(() => void look(), SETTLE_MS);
  if (entry.service !== current.value) return;
  if ((entries.value[0]?.id ?? 0) < entry.id) entries.value = [entry, ...entries.value].slice(0, ENTRIES_MAX);
  if (TOLD.has(entry.kind)) announce(entry.text);
}
