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
    /** How many blocks a transaction has to be in before the next step. */
    confirmations: number;
  };
}

const DEFAULTS: Config = {
  backend: "/api/ssb",
  chain: { id: 42161, name: "Arbitrum One", rpc: [], explorer: "https://arbiscan.io", confirmations: 1 },
};

export let config = DEFAULTS;

const web = (url: unknown): url is string => typeof url === "string" && /^https?:\/\//.test(url);

export async function loadConfig(): Promise<void> {
  try {
    const told = await (await fetch("/config.json", { cache: "no-cache" })).json();
    const { backend, chain = {} } = told;
    config = {
      backend: typeof backend === "string" ? backend.replace(/\/$/, "") : DEFAULTS.backend,
      chain: {
        id: Number.isSafeInteger(chain.id) ? chain.id : DEFAULTS.chain.id,
        name: String(chain.name ?? DEFAULTS.chain.name),
        rpc: Array.isArray(chain.rpc) ? chain.rpc.filter(web) : [],
        explorer: web(chain.explorer) ? chain.explorer.replace(/\/$/, "") : "",
        confirmations: Number.isSafeInteger(chain.confirmations) ? Math.max(1, chain.confirmations) : 1,
      },
    };
  } catch {
    // Without the file it is the usual place.
  }
}
