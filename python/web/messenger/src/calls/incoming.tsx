/** Somebody calls: who, and whether one takes it. */
import { Button } from "@allium/ui";
import { Phone, PhoneOff, Video } from "lucide-react";
import type { Account } from "../api/types";
import { t } from "../i18n";
import { Dialog } from "../shell/dialog";
import { Name, PersonAvatar } from "../shell/person";
import { safeName, shortId } from "../text/safe";
import { accept, end, ignore, type Shown } from "./controller";

interface Properties {
  now: Shown;
  account: Account | undefined;
  several: boolean;
}

export function Incoming({ now, account, several }: Properties) {
  const { contact } = now.call;
  return (
    <Dialog title={t("call.calls", { name: safeName(contact.name, shortId(contact.id)) })} onClose={ignore}>
      <div className="incoming">
        <PersonAvatar of={contact} size="large" />
        <p className="muted">
          {several && account ? (
            <>
              {t("call.incoming")} → <Name of={{ id: account.account_id, name: account.display_name }} />
            </>
          ) : (
            t("call.incoming")
          )}
        </p>
        <div className="row">
          <Button kind="danger" disabled={now.busy} onClick={() => void end()}>
            <PhoneOff size={18} aria-hidden="true" />
            {t("call.decline")}
          </Button>
          <Button disabled={now.busy} onClick={() => void accept(true)}>
            <Video size={18} aria-hidden="true" />
            {t("call.acceptVideo")}
          </Button>
          <Button kind="primary" disabled={now.busy} onClick={() => void accept(false)}>
            <Phone size={18} aria-hidden="true" />
            {t("call.accept")}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
