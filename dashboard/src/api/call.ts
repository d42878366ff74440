// Calls of the admin API, with the token of whoever looks.
import { Unreachable, refusal } from "./problem";

/** A call that takes longer is asked again: the API answers in milliseconds, but for a flip that waits for a hook. */
const TIMEOUT_MS = { GET: 8_000, other: 60_000 };

/** Something to do. */
export interface Request {
  readonly method?: "GET" | "PUT" | "POST" | "PATCH" | "DELETE";
  readonly body?: unknown;
}

let token: string | null = null;
let onUnauthorized: () => void = () => {};

/** Uses this token from now on; `null` = none. */
export function useToken(next: string | null): void {
  token = next;
}

/** Says whom to tell when the token is not, or no longer, good. */
export function whenUnauthorized(tell: () => void): void {
  onUnauthorized = tell;
}

/** The headers that every request has. */
export function headers(): Record<string, string> {
  return token === null ? {} : { Authorization: `Bearer ${token}` };
}

/** `path` below the API, relative to the page, which a proxy may serve elsewhere than at `/`. */
export function url(path: string): string {
  return `./v1/${path}`;
}

/** The names in `parts` as a path: each is percent-encoded. */
export function at(...parts: readonly string[]): string {
  return parts.map(encodeURIComponent).join("/");
}

/** Makes a call; throws `Refused` or `Unreachable`. `T` is what the API's description says of its answer. */
export async function call<T>(path: string, { method = "GET", body }: Request = {}): Promise<T> {
  const init: RequestInit = {
    method,
    headers: headers(),
    cache: "no-store",
    signal: AbortSignal.timeout(method === "GET" ? TIMEOUT_MS.GET : TIMEOUT_MS.other),
  };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { ...headers(), "Content-Type": "application/json" };
  }
  let text: string;
  let response: Response;
  try {
    response = await fetch(url(path), init);
    text = await response.text();
  } catch {
    throw new Unreachable("cutover can't be reached");
  }
  if (response.status === 401) onUnauthorized();
  // A proxy in between that has lost cutover answers for it.
  if (response.status === 502 || response.status === 504) throw new Unreachable("cutover can't be reached");
  if (!response.ok) throw refusal(response.status, text);
  return (text === "" ? undefined : JSON.parse(text)) as T;
}
