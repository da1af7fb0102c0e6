/** A dialog: the focus is in it while it is open, and goes back where it was. */
import { Button, IconButton } from "@allium/ui";
import * as Radix from "@radix-ui/react-dialog";
import { X } from "lucide-react";
import type { ReactNode } from "react";
import { t } from "../i18n";
import { giveBack } from "./focus";

interface Properties {
  title: string;
  onClose: () => void;
  children: ReactNode;
  wide?: boolean;
  className?: string;
}

export function Dialog({ title, onClose, children, wide, className = "" }: Properties) {
  return (
    <Radix.Root open onOpenChange={(open) => !open && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="overlay" />
        <Radix.Content
          className={`dialog ${wide ? "wide" : ""} ${className}`}
          aria-describedby={undefined}
          onCloseAutoFocus={giveBack}
        >
          <header>
            <Radix.Title asChild>
              <h2>{title}</h2>
            </Radix.Title>
            <Radix.Close asChild>
              <IconButton label={t("common.close")}>
                <X />
              </IconButton>
            </Radix.Close>
          </header>
          <div className="body">{children}</div>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

interface Choice {
  label: string;
  danger?: boolean;
  hint?: string;
  run: () => void;
}

/** A question whose answers are buttons; leaving it is none of them. */
export function Ask({
  title,
  text,
  choices,
  onClose,
}: {
  title: string;
  text?: string;
  choices: Choice[];
  onClose: () => void;
}) {
  return (
    <Dialog title={title} onClose={onClose}>
      {text && <p className="muted">{text}</p>}
      <div className="actions">
        <Button kind="plain" onClick={onClose}>
          {t("common.cancel")}
        </Button>
        {choices.map(({ label, danger, hint, run }) => (
          <Button
            key={label}
            kind={danger ? "danger" : "primary"}
            title={hint}
            onClick={() => {
              onClose();
              run();
            }}
          >
            {label}
          </Button>
        ))}
      </div>
    </Dialog>
  );
}
