// Who looks: whether a token is needed, which one is used, and what it allows.
import { computed, signal } from "@preact/signals";
import { call, useToken, whenUnauthorized } from "../api/call";
import { Refused, Unreachable } from "../api/problem";
import type { Status } from "../api/types";

/** Gone when the tab is closed, and never sent anywhere but to cutover itself. */
const KEY = "cutover-token";

/** What is shown: nothing yet, the login, or the dashboard. */
export const phase = signal<"checking" | "login" | "in">("checking");
/** The node, as it was when this session began or cutover last started. */
export const status = signal<Status | null>(null);
/** Why the login is shown, if there is more to say than that a token is needed. */
export const complaint = signal("");
/** Whether a token is in use, so that there is something to sign out of. */
export const hasToken = signal(false);

const role = computed(() => status.value?.caller.role ?? "read");
/** Whether the caller may change what runs. */
export const mayOperate = computed(() => role.value === "operate" || role.value === "admin");

/** Begins with the token that this tab has used before, or without one, which an open listener takes. */
export async function begin(): Promise<void> {
  whenUnauthorized(() => {
    if (phase.value === "in") leave("The token is not known any more.");
  });
  const stored = sessionStorage.getItem(KEY);
  try {
    await enter(stored);
  } catch (error) {
    if (error instanceof Unreachable) {
      setTimeout(() => void begin(), 1000);
      return;
    }
    complaint.value = stored === null ? "" : message(error);
    sessionStorage.removeItem(KEY);
    useToken(null);
    phase.value = "login";
  }
}

/** Tries a token that somebody has typed in. */
export async function login(token: string): Promise<void> {
  try {
    await enter(token);
    sessionStorage.setItem(KEY, token);
    complaint.value = "";
  } catch (error) {
    useToken(null);
    complaint.value = message(error);
  }
}

/** Forgets the token. */
export function leave(why = ""): void {
  sessionStorage.removeItem(KEY);
  useToken(null);
  hasToken.value = false;
  complaint.value = why;
  status.value = null;
  phase.value = "login";
}

/** Asks again who looks and at what: another release may run after a restart. */
export async function refreshStatus(): Promise<void> {
  status.value = await call<Status>("status");
}

async function enter(token: string | null): Promise<void> {
  useToken(token);
  status.value = await call<Status>("status");
  hasToken.value = token !== null;
  phase.value = "in";
}

function message(error: unknown): string {
  if (error instanceof Refused && error.status === 401) return "Nobody has this token.";
  return error instanceof Error ? error.message : String(error);
}
