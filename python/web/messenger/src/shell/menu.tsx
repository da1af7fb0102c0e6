/** Menus, at a button or at the pointer, from one list of entries. */
import * as Context from "@radix-ui/react-context-menu";
import * as Dropdown from "@radix-ui/react-dropdown-menu";
import type { ReactElement, ReactNode } from "react";
import { leaveMoved } from "./focus";

export interface Entry {
  label: string;
  icon?: ReactNode;
  danger?: boolean;
  run: () => void;
}

/** `null` is a line between two parts. */
export type Entries = (Entry | null)[];

export function MenuButton({
  entries,
  children,
  align = "end",
}: {
  entries: Entries;
  children: ReactElement;
  align?: "start" | "end";
}) {
  return (
    <Dropdown.Root modal={false}>
      <Dropdown.Trigger asChild>{children}</Dropdown.Trigger>
      <Dropdown.Portal>
        <Dropdown.Content
          className="menu"
          align={align}
          sideOffset={6}
          collisionPadding={10}
          onCloseAutoFocus={leaveMoved}
        >
          {entries.map((entry, index) =>
            entry ? (
              <Dropdown.Item
                key={entry.label}
                className={`menu-item ${entry.danger ? "danger" : ""}`}
                onSelect={entry.run}
              >
                {entry.icon}
                {entry.label}
              </Dropdown.Item>
            ) : (
              // biome-ignore lint/suspicious/noArrayIndexKey: a line has no name.
              <Dropdown.Separator key={index} className="menu-line" />
            ),
          )}
        </Dropdown.Content>
      </Dropdown.Portal>
    </Dropdown.Root>
  );
}

export function ContextMenu({ entries, children }: { entries: () => Entries; children: ReactElement }) {
  const listed = entries();
  return (
    <Context.Root modal={false}>
      <Context.Trigger asChild>{children}</Context.Trigger>
      {listed.length > 0 && (
        <Context.Portal>
          <Context.Content className="menu" collisionPadding={10} onCloseAutoFocus={leaveMoved}>
            {listed.map((entry, index) =>
              entry ? (
                <Context.Item
                  key={entry.label}
                  className={`menu-item ${entry.danger ? "danger" : ""}`}
                  onSelect={entry.run}
                >
                  {entry.icon}
                  {entry.label}
                </Context.Item>
              ) : (
                // biome-ignore lint/suspicious/noArrayIndexKey: a line has no name.
                <Context.Separator key={index} className="menu-line" />
              ),
            )}
          </Context.Content>
        </Context.Portal>
      )}
    </Context.Root>
  );
}
