/** Which wallets the browser has: each announces itself (EIP-6963); older ones are at `window.ethereum`. */
import { Store } from "@allium/ui";
import type { Provider } from "./provider";

export interface Wallet {
  /** The reverse domain of who made it: by it, the one that was used before is found again. */
  id: string;
  name: string;
  /** A `data:` URI, or nothing. */
  icon: string;
  provider: Provider;
  /** Ends what it keeps open, as a wallet on another device does. */
  leave?: () => Promise<void>;
}

const MOST = 20;
export const wallets = new Store<readonly Wallet[]>([]);

const isProvider = (told: unknown): told is Provider =>
  typeof told === "object" && told !== null && typeof (told as Provider).request === "function";

function announced(event: Event): void {
  const { info, provider } = (event as CustomEvent).detail ?? {};
  if (!isProvider(provider) || typeof info?.rdns !== "string") return;
  const known = wallets.get();
  if (known.length >= MOST || known.some((one) => one.provider === provider)) return;
  // Two of one maker: the second is another installation.
  const same = known.filter((one) => one.id.split("#")[0] === info.rdns).length;
  const icon = String(info.icon ?? "");
  const one: Wallet = {
    id: same ? `${info.rdns}#${same}` : info.rdns,
    name: String(info.name ?? info.rdns).slice(0, 40),
    icon: /^data:image\/(svg\+xml|png|webp|jpeg|gif)[;,]/.test(icon) ? icon : "",
    provider,
  };
  wallets.set([...known.filter(({ id }) => id !== LEGACY), one]);
}

const LEGACY = "window.ethereum";

/** For wallets that do not announce themselves. */
function legacy(): void {
  const provider = (window as { ethereum?: unknown }).ethereum;
  if (!wallets.get().length && isProvider(provider)) wallets.set([{ id: LEGACY, name: "", icon: "", provider }]);
}

export function discover(): void {
  window.addEventListener("eip6963:announceProvider", announced);
  window.dispatchEvent(new Event("eip6963:requestProvider"));
  legacy();
  window.addEventListener("ethereum#initialized", legacy, { once: true });
}
