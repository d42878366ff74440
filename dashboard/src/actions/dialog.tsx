// The one dialog of the page: what an action asks, what stands in its way, and what became of it.
import { signal } from "@preact/signals";
import type { ComponentChildren, VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { reasonsOf } from "../api/problem";
import type { Reason } from "../api/types";
import { look } from "../state/live";
import { tell } from "../state/notice";

const shown = signal<VNode | null>(null);

/** Opens a dialog in the place of whichever is open. */
export function open(dialog: VNode): void {
  shown.value = dialog;
}

/** Where dialogs appear. */
export function Stage() {
  return shown.value;
}

interface Props {
  title: string;
  /** What the button says. */
  verb: string;
  /** Whether it hurts, and by how much: a word that has to be typed first. */
  danger?: boolean;
  typed?: string | undefined;
  /** Whether it can be done at all, as far as is known. */
  ready?: boolean;
  /** Does it, and says what is true afterwards. */
  run: () => Promise<string>;
  children?: ComponentChildren;
}

/** A dialog around one action. The browser keeps the focus inside, and gives it back at the end. */
export function ActionDialog({ title, verb, danger = false, typed, ready = true, run, children }: Props) {
  const element = useRef<HTMLDialogElement>(null);
  const [isBusy, setBusy] = useState(false);
  const [reasons, setReasons] = useState<readonly Reason[]>([]);
  const [word, setWord] = useState("");
  useEffect(() => element.current?.showModal(), []);
  const close = (): void => element.current?.close();
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setReasons([]);
    try {
      tell(await run());
      close();
    } catch (error) {
      setReasons(reasonsOf(error));
    }
    setBusy(false);
    void look();
  };
  const isTyped = typed === undefined || word === typed;
  return (
    <dialog ref={element} aria-labelledby="dialog-title" onClose={() => (shown.value = null)}>
      <form onSubmit={(event) => void submit(event)}>
        <h2 id="dialog-title">{title}</h2>
        {children}
        {typed !== undefined && (
          <label class="field">
            <span>Type <kbd>{typed}</kbd> to go on</span>
            <input value={word} autocomplete="off" spellcheck={false} onInput={(event) => setWord(event.currentTarget.value)} />
          </label>
        )}
        <div role="alert">{reasons.length > 0 && <Reasons title="Refused" reasons={reasons} />}</div>
        <footer>
          <button type="button" onClick={close}>Cancel</button>
          <button type="submit" class={danger ? "danger" : "primary"} disabled={isBusy || !ready || !isTyped}>
            {isBusy ? "…" : verb}
          </button>
        </footer>
      </form>
    </dialog>
  );
}

/** Everything that stands in the way. */
export function Reasons({ title, reasons }: { title: string; reasons: readonly Reason[] }) {
  return (
    <div class="reasons">
      <strong>{title}</strong>
      <ul>
        {reasons.map((reason) => (
          <li key={reason.code + reason.detail}>{reason.detail} <code>{reason.code}</code></li>
        ))}
      </ul>
    </div>
  );
}
