// Why a call was not answered with what it asked for.
import type { ProblemBody, Reason } from "./types";

/** cutover answered, and refused. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    override readonly message: string,
    readonly reasons: readonly Reason[],
  ) {
    super(message);
  }
}

/** Nobody answered: cutover restarts, or the network is gone. */
export class Unreachable extends Error {}

/** Reads an answer that is no success, whoever wrote it: a proxy in between knows nothing of problem details. */
export function refusal(status: number, text: string): Refused {
  const body = parse(text);
  if (body === null) return new Refused(status, `answered with status ${status}`, []);
  return new Refused(status, body.detail, body.reasons);
}

/** Everything that stands in the way; the sentence alone when there are no reasons. */
export function reasonsOf(error: unknown): readonly Reason[] {
  if (error instanceof Refused && error.reasons.length > 0) return error.reasons;
  const detail = error instanceof Error ? error.message : String(error);
  return [{ code: error instanceof Unreachable ? "unreachable" : "refused", detail }];
}

function parse(text: string): ProblemBody | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { detail, reasons, status, title } = value as Partial<ProblemBody>;
  if (typeof detail !== "string") return null;
  return { detail, reasons: Array.isArray(reasons) ? reasons : [], status: status ?? 0, title: title ?? "" };
}
