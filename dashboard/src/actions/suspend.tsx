// Freezes and maintenance: begins and ends them.
import { useState } from "preact/hooks";
import { at, call } from "../api/call";
import { ActionDialog } from "./dialog";
import { Choice, Text, said } from "./field";

const SPANS: [string, string][] = [["", "until somebody ends it"], ["15m", "15 minutes"], ["1h", "an hour"], ["4h", "4 hours"], ["1d", "a day"], ["7d", "a week"]];

interface Props {
  service: string;
}

export function FreezeDialog({ service }: Props) {
  const [reason, setReason] = useState("");
  const [lasting, setLasting] = useState("");
  const run = async (): Promise<string> => {
    const body = { reason: reason.trim(), ...(lasting === "" ? {} : { for: lasting }) };
    await call(`services/${at(service)}/freeze`, { method: "PUT", body });
    return `${service} is frozen.`;
  };
  return (
    <ActionDialog title={`Freeze ${service}`} verb="Freeze" run={run}>
      <p class="hint">No flip is made without force. Drains, health checks and rollbacks go on.</p>
      <Text label="Reason" value={reason} onValue={setReason} required hint="Whoever is refused reads it." />
      <Choice label="How long" value={lasting} options={SPANS} onValue={setLasting} />
    </ActionDialog>
  );
}

export function UnfreezeDialog({ service }: Props) {
  const run = async (): Promise<string> => {
    await call(`services/${at(service)}/freeze`, { method: "DELETE" });
    return `${service} may be flipped again.`;
  };
  return (
    <ActionDialog title={`Unfreeze ${service}`} verb="Unfreeze" run={run}>
      <p class="hint">In mode auto, a flip may follow at once.</p>
    </ActionDialog>
  );
}

export function MaintenanceDialog({ service }: Props) {
  const [reason, setReason] = useState("");
  const [lasting, setLasting] = useState("");
  const run = async (): Promise<string> => {
    const body = { ...said(reason), ...(lasting === "" ? {} : { for: lasting }) };
    await call(`services/${at(service)}/maintenance`, { method: "PUT", body });
    return `${service} is in maintenance.`;
  };
  return (
    <ActionDialog title={`Maintenance of ${service}`} verb="Turn clients away" danger typed={service} run={run}>
      <p class="hint">Clients get 503 and are told when to come again. What is under way ends as it would.</p>
      <Text label="Reason" value={reason} onValue={setReason} hint="Clients are not told." />
      <Choice label="How long" value={lasting} options={SPANS} onValue={setLasting} />
    </ActionDialog>
  );
}

export function EndMaintenanceDialog({ service }: Props) {
  const run = async (): Promise<string> => {
    await call(`services/${at(service)}/maintenance`, { method: "DELETE" });
    return `Clients of ${service} are let in again.`;
  };
  return <ActionDialog title={`End the maintenance of ${service}`} verb="Let clients in" run={run} />;
}
