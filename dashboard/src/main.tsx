// Starts the dashboard.
import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style/base.css";
import "./style/page.css";
import "./style/versions.css";
import "./style/dialog.css";
import { begin } from "./state/session";
import { App } from "./view/app";

const root = document.getElementById("app");
if (root !== null) render(<App />, root);
void begin();
