// A share of something, with what it means.

interface Props {
  label: string;
  /** 0 to 1. */
  value: number;
  tone: string;
  /** Where the bar should reach at least, 0 to 1. */
  needed?: number;
}

export function Bar({ label, value, tone, needed }: Props) {
  const shown = Math.min(1, Math.max(0, value));
  return (
    <div class="bar" data-tone={tone}>
      <span class="bar-label">{label}</span>
      <div role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(shown * 100)}>
        <i style={{ width: `${shown * 100}%` }} />
        {needed !== undefined && <b style={{ left: `${Math.min(1, needed) * 100}%` }} />}
      </div>
    </div>
  );
}
