/** The language of the page, and the choice among all that there are. */
import rows from "virtual:language-names";
import { IconButton, LanguageList, ownName, useStore } from "@allium/ui";
import { Languages } from "lucide-react";
import { useRef, useState } from "react";
import { choose, language, t } from "../i18n";
import { Dialog } from "./dialog";

export function LanguageMenu() {
  const now = useStore(language);
  const [open, setOpen] = useState(false);
  const content = useRef<HTMLDivElement>(null);
  const take = async (wanted: string) => {
    await choose(wanted);
    // A dialog that closes itself gives the focus back.
    content.current?.closest("dialog")?.close();
  };
  return (
    <>
      <IconButton
        label={t("language.title", { name: ownName(rows, now) })}
        className="language"
        onClick={() => setOpen(true)}
      >
        <Languages />
      </IconButton>
      {open && (
        <Dialog title={t("language.choose")} onClose={() => setOpen(false)}>
          <div ref={content} className="stack">
            <p className="muted">{t("language.hint")}</p>
            <LanguageList
              rows={rows}
              language={now}
              words={{ search: t("language.search"), none: t("app.nothing") }}
              onChoose={(wanted) => void take(wanted)}
            />
          </div>
        </Dialog>
      )}
    </>
  );
}
