// A wallet on another device: pairs by WalletConnect, shows one account, and signs with its key whatever it is asked.
// Arguments: where the page's packages are, the relay, the chain's provider, its number, the key, the pairing's URI.
import { createRequire } from "node:module";

const [packages, relayUrl, rpc, chain, key, uri] = process.argv.slice(2);
const need = createRequire(`${packages}/portal/`);
const { SignClient } = need("@walletconnect/sign-client");
const { createWalletClient, defineChain, http } = need("viem");
const { privateKeyToAccount } = need("viem/accounts");

const kept = new Map();
const storage = {
  getKeys: async () => [...kept.keys()],
  getEntries: async () => [...kept.entries()],
  getItem: async (name) => kept.get(name),
  setItem: async (name, value) => void kept.set(name, value),
  removeItem: async (name) => void kept.delete(name),
};
const account = privateKeyToAccount(key);
const own = defineChain({
  id: Number(chain),
  name: "Local",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [rpc] } },
});
const chainId = `eip155:${chain}`;
const wallet = createWalletClient({ account, chain: own, transport: http(rpc) });
const metadata = { name: "Distant Wallet", description: "", url: "https://wallet.example", icons: [] };
const client = await SignClient.init({ projectId: "wallet", relayUrl, storage, metadata, logger: "silent", telemetryEnabled: false });
client.on("session_proposal", async ({ id }) => {
  const eip155 = { accounts: [`${chainId}:${account.address}`], methods: ["eth_sendTransaction"], events: ["accountsChanged", "chainChanged"] };
  await client.approve({ id, namespaces: { eip155 } });
  console.log("approved");
});
client.on("session_request", async ({ topic, id, params }) => {
  const [{ to, data, gas }] = params.request.params;
  const result = await wallet.sendTransaction({ to, data, gas: BigInt(gas) });
  await client.respond({ topic, response: { id, jsonrpc: "2.0", result } });
  console.log("sent", result);
});
client.on("session_delete", () => {
  console.log("left");
  process.exit(0);
});
await client.pair({ uri });
