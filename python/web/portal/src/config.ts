/** What this copy of the page belongs to: `config.json`, which whoever serves it writes. */
export interface Config {
  /** URL or path of the backend, without a slash at its end. */
  backend: string;
  chain: {
    id: number;
    name: string;
    /** What a wallet is told that does not know the chain. */
    rpc: string[];
    explorer: string;
    /** Where tokens come to the chain from another, or nothing. */
    bridge: string;
    /** How many blocks a transaction has to be in before the next step. */
    confirmations: number;
  };
  /** By what wallets on other devices are found; `null`: the page has nothing of it. */
  walletConnect: { id: string; relay: string } | null;
}

const DEFAULTS: Config = {
  backend: "/api/ssb",
  chain: { id: 42161, name: "Arbitrum One", rpc: [], explorer: "https://arbiscan.io", bridge: "", confirmations: 1 },
  walletConnect: null,
};

export let config = DEFAULTS;

const web = (url: unknown): url is string => typeof url === "string" && /^https?:\/\//.test(url);

export async function loadConfig(): Promise<void> {
  try {
    const told = await (await fetch("/config.json", { cache: "no-cache" })).json();
    const { backend, chain = {}, walletConnect: remote } = told;
    const known = typeof remote?.id === "string" && /^wss?:\/\//.test(remote.relay);
    config = {
      backend: typeof backend === "string" ? backend.replace(/\/$/, "") : DEFAULTS.backend,
      chain: {
        id: Number.isSafeInteger(chain.id) ? chain.id : DEFAULTS.chain.id,
        name: String(chain.name ?? DEFAULTS.chain.name),
        rpc: Array.isArray(chain.rpc) ? chain.rpc.filter(web) : [],
        explorer: web(chain.explorer) ? chain.explorer.replace(/\/$/, "") : "",
        bridge: web(chain.bridge) ? chain.bridge : "",
        confirmations: Number.isSafeInteger(chain.confirmations) ? Math.max(1, chain.confirmations) : 1,
      },
      walletConnect: known ? { id: remote.id, relay: remote.relay } : null,
    };
  } catch {
    // Without the file it is the usual place.
  }
}
