import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "@allium/ui/theme.css";
import "@allium/ui/controls.css";
import "./shell/shell.css";
import "./list/list.css";
import "./conversation/conversation.css";
import "./conversation/message.css";
import "./conversation/attachments.css";
import "./conversation/composer.css";
import "./people/people.css";
import "./onboarding/onboarding.css";
import { client } from "./api/queries";
import { App } from "./app";
import { arrive } from "./arrival";
import { begin } from "./prefs";

arrive();
await begin();
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
if ("serviceWorker" in navigator && import.meta.env.PROD) {
  navigator.serviceWorker.register("/worker.js").catch(() => undefined);
  navigator.serviceWorker.addEventListener("message", ({ data }) => {
    if (typeof data?.go === "string") location.hash = data.go;
  });
}
