// The whole page: the login, or what runs.
import { useEffect } from "preact/hooks";
import { Stage } from "../actions/dialog";
import { current, keepUp, service, services, trouble } from "../state/live";
import { notice, spoken } from "../state/notice";
import { phase } from "../state/session";
import { Header } from "./header";
import { Login } from "./login";
import { ServiceNav } from "./nav";
import { ServicePage } from "./service";

export function App() {
  return (
    <>
      {phase.value === "checking" && <p class="blank">Connecting to cutover …</p>}
      {phase.value === "login" && <Login />}
      {phase.value === "in" && <Dashboard />}
      <p class="spoken" role="status">{spoken.value}</p>
      <p class="notice" role="status" data-shown={notice.value !== ""}>{notice.value}</p>
    </>
  );
}

function Dashboard() {
  useEffect(keepUp, []);
  const shown = service.value;
  const isEmpty = services.value?.length === 0;
  return (
    <>
      <a class="skip" href="#main" onClick={toMain}>Skip to the service</a>
      <Header />
      <div class="shell" data-alone={(services.value?.length ?? 0) < 2}>
        <ServiceNav />
        <main id="main" tabIndex={-1} aria-label={current.value === null ? "Services" : `Service ${current.value}`}>
          {trouble.value !== "" && <p class="banner" data-tone="bad" role="alert">{trouble.value}</p>}
          {isEmpty && <p class="blank">No service yet. Add one to the configuration, or by <code>PUT /v1/services/NAME</code>.</p>}
          {shown !== null && <ServicePage key={shown.name} service={shown} />}
        </main>
      </div>
      <Stage />
    </>
  );
}

/** The fragment names the service, so that the link must not change it. */
function toMain(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}
