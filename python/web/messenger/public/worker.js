// Keeps the page's own files, so that it opens while the service is away. What people wrote is never kept here: that is
// in the service's encrypted database alone. What other programs share is held until the page has taken it, in memory.
const FILES = "FILES";
const CACHE = "allium-VERSION";
const MOST_SHARED = 4;

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = (names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
  event.waitUntil(caches.keys().then(old).then(() => self.clients.claim()));
});

const shared = new Map();

async function receive(request) {
  const form = await request.formData();
  const name = crypto.randomUUID();
  const text = ["title", "text", "url"].map((field) => form.get(field)).filter((one) => typeof one === "string" && one);
  shared.set(name, { text: [...new Set(text)].join("\n"), files: form.getAll("files").filter((one) => one instanceof File) });
  for (const old of [...shared.keys()].slice(0, -MOST_SHARED)) shared.delete(old);
  return Response.redirect(`/?share=${name}`, 303);
}

self.addEventListener("message", (event) => {
  if (typeof event.data?.take !== "string") return;
  event.source?.postMessage({ shared: shared.get(event.data.take) ?? null });
  shared.delete(event.data.take);
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (url.origin !== self.location.origin) return;
  if (event.request.method === "POST" && url.pathname === "/share") {
    event.respondWith(receive(event.request).catch(() => Response.redirect("/?share=", 303)));
  }
  if (event.request.method !== "GET") return;
  if (url.pathname.startsWith("/assets/")) {
    event.respondWith(caches.match(event.request).then((kept) => kept ?? fresh(event.request)));
  } else if (url.pathname === "/") {
    event.respondWith(fetch(event.request).catch(() => caches.match("/").then((kept) => kept ?? Response.error())));
  }
});

// A push server knows that something came, and nothing of it; whoever has the page before them is told by the page.
self.addEventListener("push", (event) => {
  event.waitUntil(
    self.clients.matchAll({ type: "window" }).then((windows) => {
      if (windows.some((one) => one.visibilityState === "visible")) return undefined;
      const options = { tag: "push", icon: "/icon-192.png", badge: "/icon-192.png", data: { hash: "#/" } };
      return self.registration.showNotification("Allium Messenger", options);
    }),
  );
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const target = event.notification.data?.hash ?? "#/";
  event.waitUntil(
    self.clients.matchAll({ type: "window" }).then((windows) => {
      const [window] = windows;
      if (!window) return self.clients.openWindow(`/${target}`);
      window.postMessage({ go: target });
      return window.focus();
    }),
  );
});

// Of the languages only those that were chosen are kept.
async function fresh(request) {
  const answer = await fetch(request);
  if (answer.ok && new URL(request.url).pathname.startsWith("/assets/texts/")) {
    const copy = answer.clone();
    await caches.open(CACHE).then((cache) => cache.put(request, copy)).catch(() => undefined);
  }
  return answer;
}
