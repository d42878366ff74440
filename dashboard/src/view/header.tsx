// The head of the page: which node this is, whether it answers, and who looks.
import { link } from "../state/live";
import { hasToken, leave, mayOperate, status } from "../state/session";
import { next, theme } from "../state/theme";
import { Mark } from "./mark";

const LINK = { connecting: "Connecting …", live: "Live", reconnecting: "Reconnecting …" };
const THEME = { system: "◐", light: "☀", dark: "☾" };

export function Header() {
  const node = status.value;
  return (
    <header class="head">
      <h1><Mark /> cutover</h1>
      {node !== null && (
        <p class="node">
          {node.node} <small title={`started ${node.started_at}`}>{node.version}</small>
        </p>
      )}
      <p class="link" data-state={link.value}>{LINK[link.value]}</p>
      <div class="who">
        {node !== null && (
          <p title={mayOperate.value ? "may change what runs" : "may look"}>
            {node.caller.name} <small>{mayOperate.value ? node.caller.role : `${node.caller.role}, looks only`}</small>
          </p>
        )}
        <button
          type="button"
          class="icon"
          title={`Colours: ${theme.value}`}
          aria-label={`Colours: ${theme.value}. Change to ${next()}.`}
          onClick={() => (theme.value = next())}
        >
          {THEME[theme.value]}
        </button>
        {hasToken.value && <button type="button" onClick={() => leave()}>Sign out</button>}
      </div>
    </header>
  );
}
