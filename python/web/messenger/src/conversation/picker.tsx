/** What opens above the composer to choose from; closed, the text has the focus again. */
import { IconButton } from "@allium/ui";
import * as Popover from "@radix-ui/react-popover";
import { type ReactNode, Suspense } from "react";

export function Picker({
  label,
  icon,
  open,
  onOpen,
  onClosed,
  children,
}: {
  label: string;
  icon: ReactNode;
  open: boolean;
  onOpen: (open: boolean) => void;
  onClosed: () => void;
  children: ReactNode;
}) {
  return (
    <Popover.Root open={open} onOpenChange={onOpen}>
      <Popover.Trigger asChild>
        <IconButton label={label}>{icon}</IconButton>
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Content
          className="menu picker"
          side="top"
          align="end"
          sideOffset={10}
          collisionPadding={10}
          aria-label={label}
          onCloseAutoFocus={(event) => {
            event.preventDefault();
            onClosed();
          }}
        >
          <Suspense fallback={<div className="emoji-picker" aria-busy="true" />}>{children}</Suspense>
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}
