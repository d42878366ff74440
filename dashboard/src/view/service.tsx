// One service, from what matters most to what explains it.
import type { Service } from "../api/types";
import { backends, versions } from "../state/live";
import { Backends } from "./backends";
import { Charts } from "./charts";
import { Judging } from "./judging";
import { RollPanel } from "./roll";
import { Suspensions } from "./suspensions";
import { TimelinePanel } from "./timeline";
import { Title } from "./title";
import { Versions } from "./versions";

export function ServicePage({ service }: { service: Service }) {
  const all = versions.value;
  return (
    <>
      <Title service={service} versions={all} />
      <Suspensions service={service} />
      <Judging service={service} />
      <RollPanel service={service} />
      <Versions service={service} versions={all} />
      <Charts versions={all} />
      <div class="columns">
        <Backends service={service} backends={backends.value} />
        <TimelinePanel />
      </div>
    </>
  );
}
