// Rollback: back to the version that was active before, at once.
import { useState } from "preact/hooks";
import { at, call } from "../api/call";
import { plural } from "../pure/format";
import { previous } from "../pure/previous";
import { service as shown, versions } from "../state/live";
import { ActionDialog } from "./dialog";
import { Choice, Text, said } from "./field";

export function RollbackDialog({ service }: { service: string }) {
  const [reason, setReason] = useState("");
  const [sessions, setSessions] = useState("move");
  // As it was when the dialog opened: a switch under it is refused by its epoch.
  const [epoch] = useState(shown.value?.epoch);
  const active = shown.value?.active ?? null;
  const back = shown.value === null ? null : previous(shown.value, versions.value);
  const run = async (): Promise<string> => {
    const done = await call<{ to: string; rejected: string | null; epoch: number }>(`services/${at(service)}/rollback`, {
      method: "POST",
      body: { if_epoch: epoch, sessions, ...said(reason) },
    });
    return `${done.to} is active again, in epoch ${done.epoch}; ${done.rejected ?? "the other"} is rejected.`;
  };
  return (
    <ActionDialog title={`Roll ${service} back`} verb="Roll back" danger typed={service} run={run}>
      <dl class="plan">
        <dt>New sessions</dt>
        <dd>{active} → <b>{back?.version ?? "the version before"}</b>, in one step</dd>
        {back !== null && <><dt>Capacity after</dt><dd>{plural(back.usable_backends, "usable backend")}, weight {back.usable_weight} of {back.expected_weight}</dd></>}
        <dt>{active}</dt>
        <dd>is rejected: no flip to it until somebody clears it</dd>
      </dl>
      <Choice
        label={`Sessions of ${active ?? "it"}`}
        value={sessions}
        onValue={setSessions}
        options={[["move", "move at their next request"], ["keep", "stay until their pins end"]]}
      />
      <Text label="Reason" value={reason} onValue={setReason} hint="Kept in the timeline, and with the rejected version." />
    </ActionDialog>
  );
}
