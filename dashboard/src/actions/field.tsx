// The fields of dialogs.

interface TextProps {
  label: string;
  value: string;
  onValue: (value: string) => void;
  hint?: string;
  required?: boolean;
}

export function Text({ label, value, onValue, hint, required = false }: TextProps) {
  return (
    <label class="field">
      <span>{label}{!required && <small> (optional)</small>}</span>
      <input value={value} required={required} maxLength={1024} autocomplete="off" onInput={(event) => onValue(event.currentTarget.value)} />
      {hint !== undefined && <small class="hint">{hint}</small>}
    </label>
  );
}

interface CheckProps {
  label: string;
  value: boolean;
  onValue: (value: boolean) => void;
}

export function Check({ label, value, onValue }: CheckProps) {
  return (
    <label class="check">
      <input type="checkbox" checked={value} onChange={(event) => onValue(event.currentTarget.checked)} />
      <span>{label}</span>
    </label>
  );
}

interface ChoiceProps {
  label: string;
  value: string;
  options: readonly (readonly [string, string])[];
  onValue: (value: string) => void;
}

export function Choice({ label, value, options, onValue }: ChoiceProps) {
  return (
    <label class="field">
      <span>{label}</span>
      <select value={value} onChange={(event) => onValue(event.currentTarget.value)}>
        {options.map(([option, text]) => <option key={option} value={option}>{text}</option>)}
      </select>
    </label>
  );
}

/** What the API takes as a reason: nothing when nothing was said. */
export function said(text: string): { reason?: string } {
  return text.trim() === "" ? {} : { reason: text.trim() };
}
