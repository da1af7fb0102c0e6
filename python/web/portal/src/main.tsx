import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "@allium/ui/theme.css";
import "@allium/ui/controls.css";
import "./portal.css";
import "./pages.css";
import { client } from "./api/queries";
import { App } from "./app";
import { loadConfig } from "./config";
import { begin as loadTexts } from "./i18n";
import { begin as findWallets } from "./wallet/connection";

const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => {
  document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
};
dark.addEventListener("change", paint);
paint();
await Promise.all([loadConfig(), loadTexts()]);
findWallets();
const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <App />
      </QueryClientProvider>
    </StrictMode>,
  );
}
