// Gates: opens or closes one.
import { useState } from "preact/hooks";
import { at, call } from "../api/call";
import { ActionDialog } from "./dialog";
import { Text } from "./field";

interface Props {
  service: string;
  version: string;
  gate: string;
  isOpen: boolean;
}

export function GateDialog({ service, version, gate, isOpen }: Props) {
  const [note, setNote] = useState("");
  const run = async (): Promise<string> => {
    const body = { open: !isOpen, ...(note.trim() === "" ? {} : { note: note.trim() }) };
    await call(`services/${at(service)}/versions/${at(version)}/gates/${at(gate)}`, { method: "PUT", body });
    return `The gate ${gate} of ${version} is ${isOpen ? "closed" : "open"}.`;
  };
  return (
    <ActionDialog title={`${isOpen ? "Close" : "Open"} the gate ${gate} of ${version}`} verb={isOpen ? "Close" : "Open"} run={run}>
      <p class="hint">
        {isOpen ? `No flip to ${version} will be made while a gate that it needs is closed.` : `In mode auto, a flip to ${version} may follow at once.`}
      </p>
      <Text label="Note" value={note} onValue={setNote} hint="Who agreed, or which test passed." />
    </ActionDialog>
  );
}
