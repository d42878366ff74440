// Asks again and again what an action would do, for as long as its dialog is open.
import { useEffect, useState } from "preact/hooks";
import { call } from "../api/call";
import { Unreachable } from "../api/problem";

const EVERY_MS = 1_500;

/** The answer to a dry run of `body`: the latest, or why there is none. What was answered to another body is not shown. */
export function useDryRun<T>(path: string, body: Readonly<Record<string, unknown>>): { plan: T | null; error: unknown } {
  const asked = JSON.stringify({ ...body, dry_run: true });
  const [answer, setAnswer] = useState<{ asked: string; plan: T | null; error: unknown }>({ asked, plan: null, error: null });
  useEffect(() => {
    let isOpen = true;
    const ask = async (): Promise<void> => {
      try {
        const plan = await call<T>(path, { method: "POST", body: JSON.parse(asked) as unknown });
        if (isOpen) setAnswer({ asked, plan, error: null });
      } catch (error) {
        if (isOpen && !(error instanceof Unreachable)) setAnswer({ asked, plan: null, error });
      }
    };
    void ask();
    const timer = setInterval(() => void ask(), EVERY_MS);
    return () => {
      isOpen = false;
      clearInterval(timer);
    };
  }, [path, asked]);
  return answer.asked === asked ? answer : { plan: null, error: null };
}
