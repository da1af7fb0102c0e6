/** What others need to come here, an id or a URL: to be read, copied, or taken from the screen as a code. */
import { Button } from "@allium/ui";
import { Copy, QrCode } from "lucide-react";
import { type ReactNode, useState } from "react";
import { t } from "../i18n";
import { copyText } from "../shell/copy";

interface Properties {
  title: string;
  hint?: string;
  text: string;
  /** What the code is of, for who does not see it; without it there is none. */
  code?: string;
  /** More buttons. */
  children?: ReactNode;
}

export function GiveAway({ title, hint, text, code, children }: Properties) {
  const [showing, setShowing] = useState(false);
  return (
    <div className="own-id">
      <div>
        <h3>{title}</h3>
        {hint && <p className="muted small">{hint}</p>}
      </div>
      <code className="mono wrap" translate="no">
        {text}
      </code>
      {showing && <img className="qr" src={`/api/qr?text=${encodeURIComponent(text)}`} alt={code} />}
      <div className="row">
        {code && (
          <Button onClick={() => setShowing(!showing)} aria-pressed={showing}>
            <QrCode size={18} />
            QR
          </Button>
        )}
        <Button onClick={() => void copyText(text)}>
          <Copy size={18} />
          {t("common.copy")}
        </Button>
        {children}
      </div>
    </div>
  );
}
