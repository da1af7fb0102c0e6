/** Where the focus goes when a menu, a picker or a dialog closes. */

/** What had the focus last outside of all that opens and closes. */
let last: HTMLElement | null = null;

document.addEventListener("focusin", ({ target }) => {
  if (target instanceof HTMLElement && !target.closest("[role=dialog], [role=menu], .menu")) last = target;
});

/** Whether something has the focus already; what closed is gone, and with it the focus that it had. */
export const moved = (): boolean => document.activeElement !== null && document.activeElement !== document.body;

/**
 * It goes back where it was, unless what was chosen has taken it elsewhere meanwhile: closing is slower than choosing,
 * and nobody's keys may land in what they have left.
 */
export function leaveMoved(event: Event): void {
  if (moved()) event.preventDefault();
}

/** The same for a dialog, which may have been opened from a menu that is gone since. */
export function giveBack(event: Event): void {
  event.preventDefault();
  if (moved()) return;
  const to = last?.isConnected ? last : document.getElementById("main");
  to?.focus({ preventScroll: true });
}
