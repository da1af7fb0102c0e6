/** By it, a wallet on another device is found again after a reload. */
export const REMOTE = "walletconnect";
