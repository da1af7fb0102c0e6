/** A wallet on another device, by WalletConnect. This is loaded when somebody chooses it, and asks the relay alone. */
import { SignClient } from "@walletconnect/sign-client";
import { numberToHex } from "viem";
import { config } from "../config";
import { t } from "../i18n";
import type { Wallet } from "./discovery";
import type { Provider } from "./provider";
import { REMOTE } from "./remote-id";

type Client = Awaited<ReturnType<typeof SignClient.init>>;
type Session = ReturnType<Client["session"]["getAll"]>[number];
type Listener = (told: never) => void;

const SENDS = "eth_sendTransaction";
const GONE = { code: 6000, message: "left" };
let opened: Promise<Client> | null = null;

function client(): Promise<Client> {
  opened ??= (async () => {
    const { id, relay } = config.walletConnect ?? { id: "", relay: "" };
    const { origin } = location;
    const made = await SignClient.init({
      projectId: id,
      relayUrl: relay,
      logger: "silent",
      telemetryEnabled: false,
      metadata: { name: t("app.name"), description: t("home.title"), url: origin, icons: [`${origin}/icon.svg`] },
    });
    // It would have a third party vouch for where the page is, and ask it about the wallet.
    made.core.verify.register = async () => "";
    made.core.verify.resolve = async () => ({ origin: "" });
    return made;
  })().catch((error) => {
    opened = null;
    throw error;
  });
  return opened;
}

const chain = () => `eip155:${config.chain.id}`;

const accountsOf = ({ namespaces }: Pick<Session, "namespaces">): string[] =>
  (namespaces.eip155?.accounts ?? [])
    .filter((one) => one.startsWith(`${chain()}:`))
    .map((one) => one.slice(chain().length + 1));

/** Signs by the other device; what is only read is asked of the backend, as such wallets answer nothing else. */
class Remote implements Provider {
  private readonly listeners = new Map<string, Set<Listener>>();
  private asked = 0;
  private accounts: string[];

  constructor(
    private readonly of: Client,
    private readonly topic: string,
    session: Session,
    ended: () => void,
  ) {
    this.accounts = accountsOf(session);
    of.on("session_update", ({ topic: other, params }) => other === topic && this.set(accountsOf(params)));
    of.on("session_event", ({ topic: other, params: { event, chainId } }) => {
      if (other !== topic || event.name !== "accountsChanged" || !Array.isArray(event.data)) return;
      // Some name the chain with each account.
      if (chainId === chain()) this.set(event.data.map((one) => String(one).split(":").at(-1) ?? ""));
    });
    const over = ({ topic: other }: { topic: string }) => other === topic && ended();
    of.on("session_delete", over);
    of.on("session_expire", over);
  }

  private set(accounts: string[]): void {
    this.accounts = accounts;
    for (const listener of this.listeners.get("accountsChanged") ?? []) listener(accounts as never);
  }

  on(event: string, listener: Listener): void {
    this.listeners.set(event, (this.listeners.get(event) ?? new Set()).add(listener));
  }

  removeListener(event: string, listener: Listener): void {
    this.listeners.get(event)?.delete(listener);
  }

  async request({ method, params = [] }: { method: string; params?: readonly unknown[] | object }): Promise<unknown> {
    if (method === "eth_chainId") return numberToHex(config.chain.id);
    if (method === "eth_accounts" || method === "eth_requestAccounts") return this.accounts;
    if (method === SENDS) return this.of.request({ topic: this.topic, chainId: chain(), request: { method, params } });
    if (method.startsWith("wallet_")) throw new Error(t("remote.otherChain", { chain: config.chain.name }));
    return this.read(method, params);
  }

  private async read(method: string, params: unknown): Promise<unknown> {
    const body = JSON.stringify({ jsonrpc: "2.0", id: ++this.asked, method, params });
    const answer = await fetch(`${config.backend}/rpc`, { method: "POST", body });
    const told = await answer.json();
    if (!answer.ok) throw new Error(String(told.error ?? `HTTP ${answer.status}`));
    if (told.error) throw Object.assign(new Error(String(told.error.message)), told.error);
    return told.result;
  }
}

function walletOf(of: Client, session: Session, ended: () => void): Wallet {
  const leave = () => of.disconnect({ topic: session.topic, reason: GONE });
  const name = session.peer.metadata.name.slice(0, 40);
  return { id: REMOTE, name, icon: "", provider: new Remote(of, session.topic, session, ended), leave };
}

/** Makes a pairing, whose URI `shown` is given, and waits until a wallet has taken it up. */
export async function pair(shown: (uri: string) => void, ended: () => void): Promise<Wallet> {
  const of = await client();
  const wanted = { chains: [chain()], methods: [SENDS], events: ["accountsChanged", "chainChanged"] };
  const { uri, approval } = await of.connect({ optionalNamespaces: { eip155: wanted } });
  if (uri) shown(uri);
  const session = await approval();
  const wallet = walletOf(of, session, ended);
  if (accountsOf(session).length) return wallet;
  await wallet.leave?.();
  throw new Error(t("remote.otherChain", { chain: config.chain.name }));
}

/** The wallet that was paired before, if it has not left. */
export async function resume(ended: () => void): Promise<Wallet | null> {
  const of = await client();
  const session = of.session.getAll().find((one) => accountsOf(one).length && one.expiry * 1000 > Date.now());
  return session ? walletOf(of, session, ended) : null;
}
