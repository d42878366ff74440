// What is suspended: flips, or the service itself.
import { open } from "../actions/dialog";
import { EndMaintenanceDialog, UnfreezeDialog } from "../actions/suspend";
import type { Service, Suspension } from "../api/types";
import { ago, left } from "../pure/format";
import { now } from "../state/live";
import { mayOperate } from "../state/session";

export function Suspensions({ service }: { service: Service }) {
  const { freeze, maintenance, name } = service;
  return (
    <>
      {maintenance !== null && (
        <Banner what="In maintenance: clients are turned away" tone="bad" suspension={maintenance}>
          <button type="button" onClick={() => open(<EndMaintenanceDialog service={name} />)}>Let clients in…</button>
        </Banner>
      )}
      {freeze !== null && (
        <Banner what="Frozen: no flip without force" tone="cool" suspension={freeze}>
          <button type="button" onClick={() => open(<UnfreezeDialog service={name} />)}>Unfreeze…</button>
        </Banner>
      )}
    </>
  );
}

interface BannerProps {
  what: string;
  tone: "bad" | "cool";
  suspension: Suspension;
  children: preact.ComponentChildren;
}

function Banner({ what, tone, suspension, children }: BannerProps) {
  const { reason, by, at, until } = suspension;
  return (
    <section class="banner" data-tone={tone} aria-label={what}>
      <p>
        <strong>{what}.</strong> {reason !== "" && <q>{reason}</q>}{" "}
        <small>by {by}, {ago(at, now.value)}{until !== null && `, ends in ${left(until, now.value)}`}</small>
      </p>
      {mayOperate.value && children}
    </section>
  );
}
