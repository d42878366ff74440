// The backends, each with its three axes: what is wanted of it, whether it answers, and what it runs.
import { BackendDialog } from "../actions/backend";
import { open } from "../actions/dialog";
import type { Backend, Service } from "../api/types";
import { ago, left, millis, plural } from "../pure/format";
import { now } from "../state/live";
import { mayOperate } from "../state/session";
import { swatch } from "./swatch";

/** More would make a slow page, and nobody reads them: those in trouble come first. */
const SHOWN_MAX = 200;

export function Backends({ service, backends }: { service: Service; backends: readonly Backend[] }) {
  const sorted = backends.length > SHOWN_MAX ? [...backends].sort((a, b) => Number(a.usable) - Number(b.usable)) : backends;
  const usable = backends.filter((backend) => backend.usable).length;
  return (
    <section aria-labelledby="backends-title" class="backends">
      <h3 id="backends-title" class="section">Backends <small>{usable} of {backends.length} usable</small></h3>
      <table>
        <thead>
          <tr>
            <th scope="col">Backend</th>
            <th scope="col">Version</th>
            <th scope="col">Admin</th>
            <th scope="col">Health</th>
            <th scope="col">Identity</th>
            <th scope="col" class="number">In flight</th>
            <th scope="col" class="number">Latency</th>
            {mayOperate.value && <th scope="col"><span class="spoken">Actions</span></th>}
          </tr>
        </thead>
        <tbody>{sorted.slice(0, SHOWN_MAX).map((backend) => <Row key={backend.id} service={service.name} backend={backend} />)}</tbody>
      </table>
      {backends.length > SHOWN_MAX && <p class="hint">and {plural(backends.length - SHOWN_MAX, "more usable backend")}</p>}
    </section>
  );
}

const ADMIN = { ready: "good", drain: "warn", maint: "mute" };
const HEALTH = { up: "good", starting: "warn", down: "bad" };
const IDENTITY = { known: "good", unknown: "warn", mismatch: "bad" };

function Row({ service, backend }: { service: string; backend: Backend }) {
  const { id, address, version, weight, admin, admin_by, operational, identity, last_probe, ejected_until, leaving_until } = backend;
  const probe = last_probe === null ? "not probed yet" : `${last_probe.detail}, took ${last_probe.took}, ${ago(last_probe.at, now.value)}`;
  return (
    <tr data-usable={backend.usable}>
      <th scope="row">
        <b>{id}</b> <small class="address">{address}{weight !== 1 && `, weight ${weight}`}</small>
        {ejected_until !== null && <small class="bad">ejected for {left(ejected_until, now.value)}</small>}
        {leaving_until !== null && <small class="warn">leaves within {left(leaving_until, now.value)}</small>}
      </th>
      <td data-label="Version" class="label" title={version ?? ""}>{version !== null && <><i class="swatch" data-colour={swatch(version)} aria-hidden="true" /> {version}</>}</td>
      <td data-label="Admin"><span class="state" data-tone={ADMIN[admin]} title={admin_by && `by ${admin_by}`}>{admin}</span></td>
      <td data-label="Health"><span class="state" data-tone={HEALTH[operational]} title={probe}>{operational}</span></td>
      <td data-label="Identity"><span class="state" data-tone={IDENTITY[identity.state]}>{identity.state}</span></td>
      <td data-label="In flight" class="number">{backend.in_flight}</td>
      <td data-label="Latency" class="number">{backend.latency_us === 0 ? "–" : millis(backend.latency_us / 1000)}</td>
      {mayOperate.value && (
        <td class="does">
          {admin !== "ready" && <Do service={service} id={id} wanted="ready" text="Ready…" />}
          {admin === "ready" && <Do service={service} id={id} wanted="drain" text="Drain…" />}
          {admin !== "maint" && <Do service={service} id={id} wanted="maint" text="Maint…" />}
        </td>
      )}
    </tr>
  );
}

function Do({ text, ...what }: { service: string; id: string; wanted: Backend["admin"]; text: string }) {
  return (
    <button type="button" class="small" aria-label={`${text} ${what.id}`} onClick={() => open(<BackendDialog {...what} />)}>{text}</button>
  );
}
