// What is wanted of a backend: that it serves, finishes, or takes nothing.
import { useState } from "preact/hooks";
import { at, call } from "../api/call";
import type { Backend } from "../api/types";
import { ActionDialog } from "./dialog";
import { Check, Text, said } from "./field";

interface Props {
  service: string;
  id: string;
  wanted: Backend["admin"];
}

const WORDS = {
  ready: { title: "Back into service", verb: "Ready", hint: "It takes traffic once it is up and its version is known." },
  drain: { title: "Drain", verb: "Drain", hint: "It finishes what it has; only sessions tied to this very backend still reach it." },
  maint: { title: "Maintenance of", verb: "Take out", hint: "It takes nothing at all." },
};

export function BackendDialog({ service, id, wanted }: Props) {
  const [reason, setReason] = useState("");
  const [force, setForce] = useState(false);
  const { title, verb, hint } = WORDS[wanted];
  const run = async (): Promise<string> => {
    const body = { admin: wanted, ...said(reason), ...(force ? { force } : {}) };
    await call(`services/${at(service)}/backends/${at(id)}`, { method: "PATCH", body });
    return `${id} is set to ${wanted}.`;
  };
  return (
    <ActionDialog title={`${title} ${id}`} verb={verb} danger={force} typed={force ? id : undefined} run={run}>
      <p class="hint">{hint}</p>
      <Text label="Reason" value={reason} onValue={setReason} hint="Kept in the timeline." />
      {wanted !== "ready" && <Check label="Force: even if too little capacity stays" value={force} onValue={setForce} />}
    </ActionDialog>
  );
}
