// Asks for a token.
import { useState } from "preact/hooks";
import { complaint, login } from "../state/session";
import { Mark } from "./mark";

export function Login() {
  const [token, setToken] = useState("");
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (token.trim() === "") return;
    setBusy(true);
    await login(token.trim());
    setBusy(false);
  };
  return (
    <main class="login">
      <form onSubmit={(event) => void submit(event)} aria-labelledby="login-title">
        <h1 id="login-title"><Mark /> cutover</h1>
        <label for="token">Admin token</label>
        <input
          id="token"
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={token}
          onInput={(event) => setToken(event.currentTarget.value)}
          aria-describedby="token-hint token-error"
          aria-invalid={complaint.value !== ""}
          autofocus
        />
        <p id="token-error" class="error" role="alert">{complaint.value}</p>
        <button type="submit" class="primary" disabled={isBusy || token.trim() === ""}>{isBusy ? "Signing in …" : "Sign in"}</button>
        <p id="token-hint" class="hint">
          It stays in this tab until you close it. <code>cutover token --role read</code> makes one that may only look.
        </p>
      </form>
    </main>
  );
}
