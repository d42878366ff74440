// A roll of the backends: how far it is, and who may be restarted now.
import { open } from "../actions/dialog";
import { RollDialog } from "../actions/roll";
import type { Service } from "../api/types";
import { ago, left } from "../pure/format";
import { now } from "../state/live";
import { mayOperate } from "../state/session";
import { Bar } from "./bar";

export function RollPanel({ service: { name, roll } }: { service: Service }) {
  if (roll.state === "idle" || (roll.state === "done" && roll.permits.length === 0)) return null;
  const isFrozen = roll.state === "frozen";
  return (
    <section class="panel" data-tone={isFrozen ? "bad" : undefined} aria-label="Roll">
      <div>
        <h3>Roll {isFrozen ? "frozen" : roll.state}{roll.to !== null && `: to ${roll.to}`}</h3>
        {roll.reason !== null && <p class={isFrozen ? "bad" : ""}>{roll.reason}</p>}
        <Bar
          label={`${roll.done.length} of ${roll.size} backends are back, batch ${roll.batch} of ${roll.batches}`}
          value={roll.size === 0 ? 0 : roll.done.length / roll.size}
          tone={isFrozen ? "bad" : "active"}
        />
        {mayOperate.value && (
          <div class="actions">
            {isFrozen && <button type="button" class="primary" onClick={() => open(<RollDialog service={name} action="resume" />)}>Resume…</button>}
            <button type="button" onClick={() => open(<RollDialog service={name} action="abort" />)}>Abort…</button>
          </div>
        )}
      </div>
      <ul class="permits" aria-label="Permits">
        {roll.permits.map(({ backend, state, asked_at, deadline }) => (
          <li key={backend}>
            <b>{backend}</b> {state === "granted" ? "may be restarted" : "drains"}{" "}
            <small>{deadline === null ? `asked ${ago(asked_at, now.value)}` : `back within ${left(deadline, now.value)}`}</small>
          </li>
        ))}
        {roll.permits.length === 0 && <li>no permit is out</li>}
      </ul>
    </section>
  );
}
