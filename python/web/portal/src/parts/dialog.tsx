/** A dialog of the browser's own, which keeps the focus. */
import { IconButton } from "@allium/ui";
import { X } from "lucide-react";
import { type ReactNode, useEffect, useRef } from "react";
import { t } from "../i18n";

export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    element.current?.showModal();
  }, []);
  return (
    <dialog ref={element} className="modal" aria-label={title} onClose={onClose}>
      <div className="head">
        <h2>{title}</h2>
        <IconButton label={t("close")} onClick={() => element.current?.close()}>
          <X />
        </IconButton>
      </div>
      <div className="body">{children}</div>
    </dialog>
  );
}
