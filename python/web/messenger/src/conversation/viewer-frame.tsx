/** What pictures and documents are looked at in: the whole window, dark, a head with zoom, and what is shown below. */
import "./viewer.css";
import { IconButton } from "@allium/ui";
import * as Radix from "@radix-ui/react-dialog";
import { X, ZoomIn, ZoomOut } from "lucide-react";
import type { KeyboardEvent, ReactNode } from "react";
import type { Attachment } from "../api/types";
import { t } from "../i18n";
import { giveBack } from "../shell/focus";
import { SaveButton } from "./attachments";

interface Properties {
  attachment: Attachment;
  name: string;
  /** How many there are, and which this is. */
  status: ReactNode;
  /** Called with a factor. */
  onZoom: (by: number) => void;
  step: number;
  /** More buttons of the head. */
  tools?: ReactNode;
  onKeyDown?: (event: KeyboardEvent) => void;
  onClose: () => void;
  children: ReactNode;
}

export function ViewerFrame({
  attachment,
  name,
  status,
  onZoom,
  step,
  tools,
  onKeyDown,
  onClose,
  children,
}: Properties) {
  return (
    <Radix.Root open onOpenChange={(open) => !open && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="overlay dark" />
        <Radix.Content
          className="viewer"
          aria-describedby={undefined}
          onKeyDown={onKeyDown}
          onCloseAutoFocus={giveBack}
        >
          <header>
            <Radix.Title className="ellipsis">
              <bdi>{name}</bdi>
            </Radix.Title>
            <span className="small" role="status">
              {status}
            </span>
            <IconButton label={t("file.zoomOut")} onClick={() => onZoom(1 / step)}>
              <ZoomOut />
            </IconButton>
            <IconButton label={t("file.zoomIn")} onClick={() => onZoom(step)}>
              <ZoomIn />
            </IconButton>
            {tools}
            <SaveButton one={attachment} />
            <Radix.Close asChild>
              <IconButton label={t("common.close")}>
                <X />
              </IconButton>
            </Radix.Close>
          </header>
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
