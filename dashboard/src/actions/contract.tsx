// Contract: records that the destructive migration ran.
import { useState } from "preact/hooks";
import { at, call } from "../api/call";
import { reasonsOf } from "../api/problem";
import type { Reason } from "../api/types";
import { ActionDialog, Reasons } from "./dialog";
import { Text } from "./field";
import { useDryRun } from "./preview";

export function ContractDialog({ service }: { service: string }) {
  const [note, setNote] = useState("");
  const path = `services/${at(service)}/contract`;
  const { plan, error } = useDryRun<{ allowed: boolean; reasons: readonly Reason[] }>(path, {});
  const run = async (): Promise<string> => {
    await call(path, { method: "POST", body: note.trim() === "" ? {} : { note: note.trim() } });
    return "The contract is recorded.";
  };
  const reasons = error === null ? (plan?.reasons ?? []) : reasonsOf(error);
  return (
    <ActionDialog title={`Contract of ${service}`} verb="Record it" danger typed={service} ready={plan?.allowed === true} run={run}>
      <p class="hint">Says that the destructive migration ran. From then on nothing older than the active version becomes active again, not even by force.</p>
      <div aria-live="polite">{reasons.length > 0 && <Reasons title="It would be refused" reasons={reasons} />}</div>
      <Text label="Note" value={note} onValue={setNote} hint="What was dropped." />
    </ActionDialog>
  );
}
