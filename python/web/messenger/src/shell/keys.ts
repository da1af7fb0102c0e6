/** Keys that work everywhere. */
import { useLayoutEffect, useRef } from "react";

export const isMac = /Mac|iPhone|iPad/.test(navigator.userAgent);

/** `mod` is Ctrl, or Command on a Mac. */
export function useKeys(keys: Record<string, (event: KeyboardEvent) => void>): void {
  const current = useRef(keys);
  current.current = keys;
  // Whoever sees the page can press a key: not after it was painted, which is later on a busy machine.
  useLayoutEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.altKey || event.isComposing) return;
      const mod = isMac ? event.metaKey : event.ctrlKey;
      const name = `${mod ? "mod+" : ""}${event.shiftKey ? "shift+" : ""}${event.key.toLowerCase()}`;
      const run = current.current[name];
      if (!run) return;
      event.preventDefault();
      run(event);
    };
    window.addEventListener("keydown", listen);
    return () => window.removeEventListener("keydown", listen);
  }, []);
}
