// What somebody thinks of a version: rejects it, takes that back, or ends its drain.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { at, call } from "../api/call";
import { plural } from "../pure/format";
import { versions } from "../state/live";
import { ActionDialog } from "./dialog";
import { Text, said } from "./field";

interface Props {
  service: string;
  version: string;
}

export function RejectDialog({ service, version }: Props) {
  return (
    <Judge service={service} version={version} how="reject" title={`Reject ${version}`} verb="Reject" typed done={`${version} is rejected.`}>
      <p class="hint">It is never chosen by itself, and a flip to it is refused, also by force, until somebody clears it.</p>
    </Judge>
  );
}

export function ClearDialog({ service, version }: Props) {
  return (
    <Judge service={service} version={version} how="clear" title={`Clear ${version}`} verb="Clear" done={`${version} may be flipped to again.`}>
      <p class="hint">It may be flipped to again.</p>
    </Judge>
  );
}

export function EvictDialog({ service, version }: Props) {
  const shown = versions.value.find((known) => known.version === version);
  return (
    <Judge service={service} version={version} how="evict" title={`End the drain of ${version}`} verb="Evict" typed done={`The drain of ${version} ends.`}>
      <p class="hint">
        What is left moves to the active version at its next request; tunnels are closed, spread over some seconds.
        {shown !== undefined && ` Now: ${shown.in_flight} in flight, ${plural(shown.tunnels, "tunnel")}.`}
      </p>
    </Judge>
  );
}

interface JudgeProps extends Props {
  how: "reject" | "clear" | "evict";
  title: string;
  verb: string;
  /** Whether it hurts, so that the version has to be typed. */
  typed?: boolean;
  done: string;
  children: ComponentChildren;
}

function Judge({ service, version, how, title, verb, typed = false, done, children }: JudgeProps) {
  const [reason, setReason] = useState("");
  const run = async (): Promise<string> => {
    await call(`services/${at(service)}/versions/${at(version)}/${how}`, { method: "POST", body: said(reason) });
    return done;
  };
  return (
    <ActionDialog title={title} verb={verb} danger={typed} typed={typed ? version : undefined} run={run}>
      {children}
      <Text label="Reason" value={reason} onValue={setReason} hint="Kept in the timeline." />
    </ActionDialog>
  );
}
