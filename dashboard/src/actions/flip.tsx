// Flip: makes a version active, after showing what that would do.
import { useState } from "preact/hooks";
import { at, call } from "../api/call";
import { reasonsOf } from "../api/problem";
import type { DryRun } from "../api/types";
import { duration, left, plural } from "../pure/format";
import { now } from "../state/live";
import { ActionDialog, Reasons } from "./dialog";
import { Check, Text, said } from "./field";
import { useDryRun } from "./preview";

export function FlipDialog({ service, to }: { service: string; to: string }) {
  const [reason, setReason] = useState("");
  const [force, setForce] = useState(false);
  const path = `services/${at(service)}/flip`;
  const { plan: dryRun, error } = useDryRun<DryRun>(path, force ? { to, force } : { to });
  const run = async (): Promise<string> => {
    // Only from the epoch that the plan speaks of: whoever flipped meanwhile comes first.
    const epoch = dryRun === null ? {} : { if_epoch: dryRun.plan.epoch - 1 };
    const flipped = await call<{ epoch: number }>(path, {
      method: "POST",
      body: { to, ...epoch, ...said(reason), ...(force ? { force } : {}) },
    });
    return `${to} is active, in epoch ${flipped.epoch}.`;
  };
  const reasons = error === null ? (dryRun?.reasons ?? []) : reasonsOf(error);
  return (
    <ActionDialog
      title={`Flip ${service} to ${to}`}
      verb={force ? "Flip by force" : "Flip"}
      danger={force}
      typed={force ? service : undefined}
      ready={dryRun?.allowed === true}
      run={run}
    >
      <div aria-live="polite">
        {dryRun === null && error === null && <p class="hint">Asking what it would do …</p>}
        {reasons.length > 0 && <Reasons title="It would be refused" reasons={reasons} />}
        {dryRun !== null && <Plan plan={dryRun.plan} />}
      </div>
      <Text label="Reason" value={reason} onValue={setReason} hint="Kept in the timeline." />
      <Check label="Force: over quorum, gates, freeze and hooks" value={force} onValue={setForce} />
    </ActionDialog>
  );
}

function Plan({ plan }: { plan: DryRun["plan"] }) {
  const { from, to, epoch, old, capacity, drain, pre_flip } = plan;
  return (
    <dl class="plan">
      <dt>New sessions</dt>
      <dd>{from ?? "nobody"} → <b>{to}</b>, in one step, as epoch {epoch}</dd>
      <dt>Capacity after</dt>
      <dd data-tone={capacity.usable_weight < capacity.expected_weight ? "warn" : undefined}>
        {plural(capacity.usable_backends, "backend")}, weight {capacity.usable_weight} of {capacity.expected_weight}
      </dd>
      {from !== null && (
        <>
          <dt>Stays on {from}</dt>
          <dd>
            {old.in_flight} in flight, {plural(old.tunnels, "tunnel")}, {plural(old.holds, "hold")},{" "}
            {old.latest_pin_expiry === null ? "no pin" : `pins for up to ${left(old.latest_pin_expiry, now.value)}`}
          </dd>
          <dt>Its drain</dt>
          <dd>{drain.expected === "0s" ? "done at once" : `${duration(drain.expected)} if nobody comes back`}, {duration(drain.at_most)} at most</dd>
        </>
      )}
      {pre_flip.length > 0 && (
        <>
          <dt>Asked first</dt>
          <dd>{pre_flip.join(", ")}</dd>
        </>
      )}
    </dl>
  );
}
