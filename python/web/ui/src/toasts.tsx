/** Short lines that say what has happened, for eyes and for screen readers, and go by themselves. */
import { useSyncExternalStore } from "react";

const LIFETIME = 4000;

let shown: readonly { id: number; text: string }[] = [];
let next = 0;
const listeners = new Set<() => void>();

function change(to: typeof shown): void {
  shown = to;
  for (const listener of listeners) listener();
}

export function toast(text: string): void {
  const id = next++;
  change([...shown.slice(-2), { id, text }]);
  setTimeout(() => change(shown.filter((one) => one.id !== id)), LIFETIME);
}

export function Toasts() {
  const current = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => shown,
  );
  return (
    <div className="toasts" role="status" aria-live="polite">
      {current.map(({ id, text }) => (
        <div key={id} className="toast">
          {text}
        </div>
      ))}
    </div>
  );
}
