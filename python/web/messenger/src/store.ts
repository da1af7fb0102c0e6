/** See the shared parts. */
export { Store, useStore } from "@allium/ui";
