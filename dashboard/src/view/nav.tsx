// The services, each with what is going on in it.
import type { Service } from "../api/types";
import { percent } from "../pure/format";
import { current, services } from "../state/live";
import { linkTo } from "../state/route";

export function ServiceNav() {
  const all = services.value ?? [];
  if (all.length < 2) return null;
  return (
    <nav class="services" aria-label="Services">
      <ul>
        {all.map((service) => (
          <li key={service.name}>
            <a href={linkTo(service.name)} aria-current={service.name === current.value ? "page" : undefined}>
              <span class="dot" data-tone={tone(service)} aria-hidden="true" />
              <strong>{service.name}</strong>
              <span class="what">{service.active ?? "nothing active"}{state(service)}</span>
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function tone(service: Service): string {
  if (service.active === null || service.usable_weight === 0) return "bad";
  const hasTrouble = service.roll.state === "frozen" || service.verdict?.state === "bad" || service.maintenance !== null;
  if (hasTrouble || service.usable_weight * 2 < service.expected_weight) return "warn";
  return "good";
}

/** What is special right now, in a word each. */
function state(service: Service): string {
  const words = [
    service.canary !== null && `canary ${percent(service.canary.share)}`,
    service.bake?.state === "running" && "baking",
    service.roll.state === "running" && "rolling",
    service.roll.state === "frozen" && "roll frozen",
    service.freeze !== null && "frozen",
    service.maintenance !== null && "maintenance",
  ].filter((word) => word !== false);
  return words.map((word) => ` · ${word}`).join("");
}
