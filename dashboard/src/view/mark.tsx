// The sign of cutover: a line that goes over to another one.

export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" />
      <path d="M6 22h7" opacity=".55" />
      <path d="M6 10h7c6 0 6 12 12 12" />
      <path d="m22 18 4 4-4 4" />
    </svg>
  );
}
