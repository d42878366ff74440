// A version that is watched: as a canary, or while it bakes. New against old, and what speaks against it.
import { CanaryDialog } from "../actions/canary";
import { open } from "../actions/dialog";
import { FlipDialog } from "../actions/flip";
import type { Bake, Canary, Service, Verdict } from "../api/types";
import { ago, count, left, millis, percent } from "../pure/format";
import { now } from "../state/live";
import { mayOperate } from "../state/session";
import { Bar } from "./bar";

/** A version is judged bad at so much evidence. */
const EVIDENCE_BAD = 100;

export function Judging({ service }: { service: Service }) {
  const { canary, bake, verdict, name } = service;
  if (canary !== null) {
    return (
      <section class="panel judging" aria-label="Canary">
        <CanaryProgress service={name} canary={canary} />
        {verdict !== null && <Comparison verdict={verdict} />}
      </section>
    );
  }
  if (bake?.state === "running" || bake?.state === "failed") {
    return (
      <section class="panel judging" aria-label="Bake">
        <BakeProgress bake={bake} />
        {verdict !== null && <Comparison verdict={verdict} />}
      </section>
    );
  }
  if (verdict?.state !== "bad") return null;
  return (
    <section class="panel judging" aria-label="Verdict">
      <div><h3>{verdict.version} was judged bad</h3><p>{verdict.reason}</p></div>
      <Comparison verdict={verdict} />
    </section>
  );
}

function CanaryProgress({ service, canary }: { service: string; canary: Canary }) {
  const { version, share, step, steps, next_at } = canary;
  return (
    <div>
      <h3>Canary: {version}</h3>
      <Bar label={`${percent(share)} of new sessions`} value={share} tone="canary" />
      <p class="sub">
        {step !== null && steps > 0 && <span>step {step} of {steps}</span>}
        {canary.paused && <b>paused</b>}
        {canary.complete && <b>waits for its flip</b>}
        {canary.starved && <b class="bad">no usable backend: the active version serves its sessions</b>}
        {canary.failed && <b class="bad">judged bad</b>}
        {next_at !== null && !canary.paused && <span>next step in {left(next_at, now.value)}</span>}
        <span>since {ago(canary.began_at, now.value)}</span>
      </p>
      {mayOperate.value && (
        <div class="actions">
          <button type="button" onClick={() => open(<CanaryDialog service={service} to={version} />)}>Change share…</button>
          <button type="button" class="primary" onClick={() => open(<FlipDialog service={service} to={version} />)}>Flip…</button>
        </div>
      )}
    </div>
  );
}

function BakeProgress({ bake }: { bake: Bake }) {
  const [begin, end] = [Date.parse(bake.began_at), Date.parse(bake.ends_at)];
  const done = Math.min(1, Math.max(0, (now.value - begin) / (end - begin)));
  const isRunning = bake.state === "running";
  return (
    <div>
      <h3>{isRunning ? "Bake" : "Bake failed"}: {bake.version} after {bake.from}</h3>
      <Bar label={isRunning ? `passes in ${left(bake.ends_at, now.value)}` : "it is still active"} value={done} tone={isRunning ? "active" : "bad"} />
      <p class="sub"><span>flipped {ago(bake.began_at, now.value)}</span><span>epoch {bake.epoch}</span></p>
    </div>
  );
}

function Comparison({ verdict }: { verdict: Verdict }) {
  const { evidence, state } = verdict;
  const weight = evidence <= 1 ? 0 : Math.min(1, Math.log(evidence) / Math.log(EVIDENCE_BAD));
  const opinion = { watching: "nothing speaks against it so far", good: "good", bad: verdict.reason }[state];
  return (
    <div class="comparison">
      <table>
        <caption class="spoken">{verdict.version} compared with {verdict.against}</caption>
        <thead><tr><td /><th scope="col">{verdict.version}</th><th scope="col">{verdict.against}</th></tr></thead>
        <tbody>
          <tr><th scope="row">Errors</th><td>{percent(verdict.error_rate)}</td><td>{percent(verdict.baseline_error_rate)}</td></tr>
          <tr><th scope="row">p99</th><td>{millis(verdict.p99_ms)}</td><td>{millis(verdict.baseline_p99_ms)}</td></tr>
          <tr><th scope="row">Answers</th><td>{count(verdict.requests)}</td><td /></tr>
        </tbody>
      </table>
      <div>
        <Bar label={`Evidence against: ${evidence < 10 ? evidence.toFixed(1) : count(evidence)} of ${EVIDENCE_BAD}`} value={weight} tone={state === "bad" ? "bad" : "warn"} />
        <p class="sub" data-tone={state}>{state === "watching" && weight > 0.5 ? "watched closely" : opinion}</p>
      </div>
    </div>
  );
}
