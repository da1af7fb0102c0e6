/** Calls the other side of a conversation; where calls are off, it asks first, as they show one's address. */
import { IconButton } from "@allium/ui";
import { Phone, Video } from "lucide-react";
import { useState } from "react";
import { t } from "../i18n";
import { Ask } from "../shell/dialog";
import { call, turnOn } from "./state";

export function CallButtons({ account, contact }: { account: string; contact: string }) {
  const [asks, setAsks] = useState<boolean | null>(null);
  const begin = async (video: boolean) => {
    if (!(await call(account, contact, video))) setAsks(video);
  };
  return (
    <>
      <IconButton label={t("call.voice")} onClick={() => void begin(false)}>
        <Phone />
      </IconButton>
      <IconButton label={t("call.video")} onClick={() => void begin(true)}>
        <Video />
      </IconButton>
      {asks !== null && (
        <Ask
          title={t("call.off")}
          text={t("privacy.callsHint")}
          onClose={() => setAsks(null)}
          choices={[
            {
              label: t("call.turnOn"),
              run: () => void turnOn(account).then((on) => on && call(account, contact, asks)),
            },
          ]}
        />
      )}
    </>
  );
}
