// Canary: gives a version a share of the new sessions, changes it, lets its steps pause, or ends it.
import { useState } from "preact/hooks";
import { at, call } from "../api/call";
import type { Canary } from "../api/types";
import { percent } from "../pure/format";
import { service as shown } from "../state/live";
import { ActionDialog } from "./dialog";
import { Choice, Text, said } from "./field";

type Way = "share" | "steps" | "pause" | "resume" | "end";

export function CanaryDialog({ service, to }: { service: string; to: string }) {
  const canary = shown.value?.canary ?? null;
  const [way, setWay] = useState<Way>("share");
  const [share, setShare] = useState(Math.round((canary?.share ?? 0.05) * 1000) / 10);
  const [reason, setReason] = useState("");
  const run = async (): Promise<string> => {
    const body = { to, ...bodyOf(way, share), ...said(reason) };
    const { canary } = await call<{ canary: Canary | null }>(`services/${at(service)}/canary`, { method: "POST", body });
    return canary === null ? `The canary ${to} has ended.` : `${canary.version} gets ${percent(canary.share)} of the new sessions.`;
  };
  const isSmaller = canary !== null && way === "share" && share / 100 < canary.share;
  return (
    <ActionDialog
      title={canary === null ? `Canary of ${service}: ${to}` : `Change the canary ${to}`}
      verb={way === "end" ? "End it" : canary === null ? "Begin" : "Change"}
      danger={way === "end"}
      run={run}
    >
      <Choice label="What" value={way} onValue={(value) => setWay(value as Way)} options={ways(canary)} />
      {way === "share" && (
        <label class="field">
          <span>Share of new sessions</span>
          <span class="share">
            <input type="range" min="0.1" max="100" step="0.1" value={share} aria-label="Share of new sessions in per cent"
              onInput={(event) => setShare(Number(event.currentTarget.value))} />
            <input type="number" min="0.1" max="100" step="0.1" value={share} aria-label="Share in per cent, as a number" required
              onInput={(event) => setShare(Number(event.currentTarget.value))} />
            <span>%</span>
          </span>
        </label>
      )}
      <p class="hint">
        {way === "end" || isSmaller
          ? "Sessions outside the share go back to the active version, in a new epoch."
          : "Who is in the share stays in it when it grows; nobody is moved back."}
      </p>
      <Text label="Reason" value={reason} onValue={setReason} hint="Kept in the timeline." />
    </ActionDialog>
  );
}

function ways(canary: Canary | null): [Way, string][] {
  const all: [Way, string][] = [["share", "Set a share"]];
  if (canary === null || canary.steps > 0) all.push(["steps", "Go by the configured steps"]);
  if (canary?.step != null) all.push(canary.paused ? ["resume", "Let the steps go on"] : ["pause", "Pause the steps"]);
  if (canary !== null) all.push(["end", "End the canary"]);
  return all;
}

function bodyOf(way: Way, share: number): { share?: number; paused?: boolean } {
  switch (way) {
    case "share":
      return { share: share / 100 };
    case "steps":
      return {};
    case "pause":
      return { paused: true };
    case "resume":
      return { paused: false };
    case "end":
      return { share: 0 };
  }
}
