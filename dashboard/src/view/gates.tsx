// The gates of a version: what a flip to it needs.
import { open } from "../actions/dialog";
import { GateDialog } from "../actions/gate";
import type { Gate } from "../api/types";
import { mayOperate } from "../state/session";

interface Props {
  service: string;
  version: string;
  gates: Readonly<Record<string, Gate>>;
}

export function Gates({ service, version, gates }: Props) {
  const all = Object.entries(gates);
  if (all.length === 0) return null;
  return (
    <ul class="gates" aria-label={`Gates of ${version}`}>
      {all.map(([name, gate]) => (
        <li key={name} data-open={gate.open} title={[gate.by && `by ${gate.by}`, gate.note].filter(Boolean).join(": ")}>
          <span>{name} <small>{gate.open ? "open" : gate.required ? "closed, needed" : "closed"}</small></span>
          {mayOperate.value && (
            <button
              type="button"
              class="small"
              aria-label={`${gate.open ? "Close" : "Open"} the gate ${name} of ${version}`}
              onClick={() => open(<GateDialog service={service} version={version} gate={name} isOpen={gate.open} />)}
            >
              {gate.open ? "Close…" : "Open…"}
            </button>
          )}
        </li>
      ))}
    </ul>
  );
}
