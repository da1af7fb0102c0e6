// A wallet for tests: an EIP-1193 provider that announces itself by EIP-6963, and asks its owner before it signs.
// It signs with a key of the test's own, through a bridge that the test exposes.
(() => {
  const WAYS = __WAYS__;
  for (const way of WAYS) {
    const key = `test-wallet ${way.rdns}`;
    const state = { chain: way.chain, known: way.known, account: way.account, locked: false, granted: false };
    Object.assign(state, JSON.parse(localStorage.getItem(key) ?? "{}"));
    const listeners = {};
    const emit = (event, told) => {
      for (const listener of listeners[event] ?? []) listener(told);
    };
    const keep = () => localStorage.setItem(key, JSON.stringify(state));
    // As MetaMask wraps what its provider says.
    const refuse = (code, message, data) => {
      if (way.nested) return Object.assign(new Error("Internal JSON-RPC error."), { code: -32603, data: { originalError: { code, message, data } } });
      return Object.assign(new Error(message), data === undefined ? { code } : { code, data });
    };
    const shown = (text) =>
      new Promise((done) => {
        const host = document.createElement("div");
        host.setAttribute("data-wallet", way.rdns);
        host.style.cssText = "position:fixed;inset-block-start:1rem;inset-inline-end:1rem;z-index:99;background:#fff;color:#000;padding:1rem;border:2px solid #000;max-width:22rem;overflow-wrap:anywhere";
        const words = document.createElement("p");
        words.textContent = text.slice(0, 300);
        host.append(words);
        for (const [name, answer] of [["Confirm", true], ["Reject", false]]) {
          const button = document.createElement("button");
          button.textContent = `Wallet: ${name}`;
          button.addEventListener("click", () => {
            host.remove();
            done(answer);
          });
          host.append(button);
        }
        (document.querySelector("dialog[open]") ?? document.body).append(host);
      });
    const visible = () => (state.locked || !state.granted ? [] : [state.account]);
    const provider = {
      isMetaMask: way.nested,
      on: (event, listener) => {
        (listeners[event] ??= []).push(listener);
      },
      removeListener: (event, listener) => {
        listeners[event] = (listeners[event] ?? []).filter((one) => one !== listener);
      },
      request: async ({ method, params = [] }) => {
        switch (method) {
          case "eth_chainId":
            return state.chain;
          case "eth_accounts":
            return visible();
          case "eth_requestAccounts":
            if (!(await shown(`Show ${state.account} to ${location.host}?`))) throw refuse(4001, "User rejected the request.");
            Object.assign(state, { granted: true, locked: false });
            keep();
            emit("accountsChanged", visible());
            return visible();
          case "wallet_switchEthereumChain":
            if (!state.known.includes(params[0].chainId)) throw refuse(4902, "Unrecognized chain ID.");
            Object.assign(state, { chain: params[0].chainId });
            keep();
            emit("chainChanged", state.chain);
            return null;
          case "wallet_addEthereumChain":
            if (!(await shown(`Add ${params[0].chainName} at ${params[0].rpcUrls}?`))) throw refuse(4001, "User rejected the request.");
            Object.assign(state, { chain: params[0].chainId, known: [...state.known, params[0].chainId] });
            keep();
            emit("chainChanged", state.chain);
            return null;
          case "eth_sendTransaction":
            if (state.locked) throw refuse(4100, "The wallet is locked.");
            if (!(await shown(`Send to ${params[0].to}: ${params[0].data}`))) throw refuse(4001, "User rejected the request.");
        }
        const told = JSON.parse(await window.__wallet(JSON.stringify({ method, params, account: state.account })));
        if (told.error) throw refuse(told.error.code, told.error.message, told.error.data);
        return told.result;
      },
    };
    const control = {
      set: (part) => {
        Object.assign(state, part);
        keep();
        if ("locked" in part || "account" in part) emit("accountsChanged", visible());
        if ("chain" in part) emit("chainChanged", state.chain);
      },
    };
    (window.__wallets ??= {})[way.rdns] = control;
    const icon = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='4' fill='teal'/></svg>";
    const info = Object.freeze({ uuid: crypto.randomUUID(), name: way.name, icon, rdns: way.rdns });
    const announce = () => window.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: Object.freeze({ info, provider }) }));
    if (way.announces) {
      window.addEventListener("eip6963:requestProvider", announce);
      announce();
    } else window.ethereum = provider;
  }
})();
