/** Dragging a row of the list with a mouse or a pen, to pin it and to put what is pinned in order. */
import { type PointerEvent, useRef, useState } from "react";
import { place } from "./order";

/** Pixels before a press becomes a drag. */
const SLACK = 6;
/** How near to the edge of the list it begins to move, and by how much at a time. */
const EDGE = 36;
const SPEED = 10;

export interface Drag {
  id: string;
  /** How far it was drawn, in pixels. */
  by: number;
  /** Where it would come to stand among the pinned ones; `null` below them. */
  index: number | null;
}

interface Held {
  id: string;
  pointer: number;
  start: number;
  scrolled: number;
  dragging: boolean;
}

/** `data-row` names a row, `data-pinned` is on those that are pinned. */
export function useDrag(account: string) {
  const [drag, setDrag] = useState<Drag | null>(null);
  const held = useRef<Held | null>(null);
  const list = useRef<HTMLElement>(null);
  const pins = (): HTMLElement[] => [...(list.current?.querySelectorAll<HTMLElement>("[data-row][data-pinned]") ?? [])];
  /** A place is above the first row whose middle is below the pointer. */
  const placeAt = (y: number, id: string): number | null => {
    const others = pins().filter((row) => row.dataset.row !== id);
    const index = others.findIndex((row) => {
      const box = row.getBoundingClientRect();
      return y < box.top + box.height / 2;
    });
    if (index >= 0) return index;
    const last = others.at(-1)?.getBoundingClientRect();
    const first = list.current?.querySelector<HTMLElement>("[data-row]")?.getBoundingClientRect();
    if (last) return y < last.bottom + last.height / 2 ? others.length : null;
    // With nothing pinned yet the upper edge of the list is the place.
    return first && y < first.top + first.height / 2 ? 0 : null;
  };
  const begin = (event: PointerEvent, id: string) => {
    if (event.button !== 0 || event.pointerType === "touch") return;
    const scrolled = list.current?.scrollTop ?? 0;
    held.current = { id, pointer: event.pointerId, start: event.clientY, scrolled, dragging: false };
  };
  const move = (event: PointerEvent) => {
    const now = held.current;
    const area = list.current;
    if (!now || !area || event.pointerId !== now.pointer) return;
    if (!event.buttons) {
      // It was let go where nobody here could see it.
      held.current = null;
      return setDrag(null);
    }
    if (!now.dragging) {
      if (Math.abs(event.clientY - now.start) < SLACK) return;
      now.dragging = true;
      area.setPointerCapture(now.pointer);
    }
    const box = area.getBoundingClientRect();
    if (event.clientY < box.top + EDGE) area.scrollTop -= SPEED;
    else if (event.clientY > box.bottom - EDGE) area.scrollTop += SPEED;
    const by = event.clientY - now.start + area.scrollTop - now.scrolled;
    setDrag({ id: now.id, by, index: placeAt(event.clientY, now.id) });
  };
  const end = (event: PointerEvent, drop: boolean) => {
    const now = held.current;
    held.current = null;
    setDrag(null);
    if (!now?.dragging) return;
    // The press was no click.
    const area = list.current;
    const swallow = (click: Event) => {
      click.preventDefault();
      click.stopPropagation();
    };
    area?.addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => area?.removeEventListener("click", swallow, { capture: true }));
    if (drop) void place(account, now.id, placeAt(event.clientY, now.id));
  };
  return {
    drag,
    begin,
    list,
    handlers: {
      onPointerMove: move,
      onPointerUp: (event: PointerEvent) => end(event, true),
      onPointerCancel: (event: PointerEvent) => end(event, false),
    },
  };
}
