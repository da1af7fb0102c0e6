/** Small things that every page shows: amounts, addresses, notices. */
import { IconButton, toast } from "@allium/ui";
import { Check, Copy, ExternalLink, Info, TriangleAlert } from "lucide-react";
import { type MouseEvent, type ReactNode, useState } from "react";
import { type Address, getAddress } from "viem";
import { sesh } from "../chain/amount";
import { config } from "../config";
import { t } from "../i18n";
import { go } from "../route";

/** An amount of SESH; its value in atomic units is in the element. */
export function Amount({ units }: { units: bigint }) {
  return (
    <data className="amount" value={units.toString()}>
      {sesh(units)} <span className="unit">SESH</span>
    </data>
  );
}

export function Link({
  to,
  children,
  className,
  current,
}: {
  to: string;
  children: ReactNode;
  className?: string;
  current?: boolean;
}) {
  const click = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(to);
  };
  return (
    <a href={to} className={className} onClick={click} aria-current={current ? "page" : undefined}>
      {children}
    </a>
  );
}

const short = (text: string, head: number): string => `${text.slice(0, head)}…${text.slice(-4)}`;

function Shortened({ text, head, children }: { text: string; head: number; children?: ReactNode }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(text).catch(() => undefined);
    setCopied(true);
    toast(t("copied"));
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <span className="shortened">
      <span className="mono" title={text}>
        {short(text, head)}
      </span>
      <IconButton label={t("copy", { text: short(text, head) })} onClick={copy}>
        {copied ? <Check /> : <Copy />}
      </IconButton>
      {children}
    </span>
  );
}

/** An address, always with its checksum. */
export function Who({ address, link = true }: { address: Address; link?: boolean }) {
  const checked = getAddress(address);
  return (
    <Shortened text={checked} head={8}>
      {link && config.chain.explorer && <Explore path={`address/${checked}`} />}
    </Shortened>
  );
}

export const Pubkey = ({ hex }: { hex: string }) => <Shortened text={hex} head={8} />;

export function Explore({ path }: { path: string }) {
  if (!config.chain.explorer) return null;
  return (
    <a
      className="explore"
      href={`${config.chain.explorer}/${path}`}
      target="_blank"
      rel="noreferrer"
      aria-label={t("explore")}
      title={t("explore")}
    >
      <ExternalLink />
    </a>
  );
}

/** Something that the person has to know; what is in the way is announced. */
export function Notice({
  kind = "info",
  children,
  action,
}: {
  kind?: "info" | "warning" | "danger";
  children: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className={`notice ${kind}`} role={kind === "info" ? "status" : "alert"}>
      {kind === "info" ? <Info /> : <TriangleAlert />}
      <div className="words">{children}</div>
      {action}
    </div>
  );
}

export function Fact({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div className="fact">
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export const Loading = () => (
  <p className="loading muted" aria-busy="true">
    {t("loading")}
  </p>
);
