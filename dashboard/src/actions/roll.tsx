// A roll: goes on, or ends where it is.
import { useState } from "preact/hooks";
import { at, call } from "../api/call";
import { ActionDialog } from "./dialog";
import { Text, said } from "./field";

export function RollDialog({ service, action }: { service: string; action: "resume" | "abort" }) {
  const [reason, setReason] = useState("");
  const isAbort = action === "abort";
  const run = async (): Promise<string> => {
    await call(`services/${at(service)}/roll`, { method: "POST", body: { action, ...said(reason) } });
    return isAbort ? "The roll is aborted." : "The roll goes on.";
  };
  return (
    <ActionDialog
      title={isAbort ? `Abort the roll of ${service}` : `Resume the roll of ${service}`}
      verb={isAbort ? "Abort" : "Resume"}
      danger={isAbort}
      typed={isAbort ? service : undefined}
      run={run}
    >
      <p class="hint">
        {isAbort ? "All permits end. If the version that it leads to is only staged, it is rejected." : "Backends may get permits again."}
      </p>
      <Text label="Reason" value={reason} onValue={setReason} hint="Kept in the timeline." />
    </ActionDialog>
  );
}
