/** The focus among messages. */

/** Puts it on a message; false where that one is not drawn, as most of a long conversation are not. */
export function focusMessage(id: number | undefined): boolean {
  const found = document.querySelector<HTMLElement>(`[data-message="${id}"]`);
  found?.focus();
  return Boolean(found);
}
