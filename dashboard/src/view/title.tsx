// The name of a service, where it stands, and what can be done to it as a whole.
import { FreezeDialog, MaintenanceDialog } from "../actions/suspend";
import { ContractDialog } from "../actions/contract";
import { open } from "../actions/dialog";
import { RollbackDialog } from "../actions/rollback";
import type { Service, Version } from "../api/types";
import { previous } from "../pure/previous";
import { mayOperate } from "../state/session";

export function Title({ service, versions }: { service: Service; versions: readonly Version[] }) {
  const { name, active, epoch, usable_weight, expected_weight } = service;
  const back = previous(service, versions);
  return (
    <header class="title">
      <h2>{name}</h2>
      <p class="facts">
        {active === null ? <span>nothing is active yet</span> : <span><b>{active}</b> active</span>}
        <span>epoch <b>{epoch}</b></span>
        <span>capacity <b>{usable_weight}</b> of {expected_weight}</span>
        {service.schema !== null && <span>schema <b>{service.schema}</b></span>}
      </p>
      {mayOperate.value && (
        <div class="actions" role="group" aria-label={`Actions on ${name}`}>
          {back !== null && (
            <button type="button" class="danger" onClick={() => open(<RollbackDialog service={name} />)}>Roll back…</button>
          )}
          {service.freeze === null && <button type="button" onClick={() => open(<FreezeDialog service={name} />)}>Freeze…</button>}
          {service.maintenance === null && (
            <button type="button" onClick={() => open(<MaintenanceDialog service={name} />)}>Maintenance…</button>
          )}
          {epoch > 1 && <button type="button" onClick={() => open(<ContractDialog service={name} />)}>Contract…</button>}
        </div>
      )}
    </header>
  );
}
