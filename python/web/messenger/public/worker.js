// Keeps the page's own files, so that it opens while the service is away. What people wrote is never kept here: that is
// in the service's encrypted database alone.
const FILES = "FILES";
const CACHE = "allium-VERSION";

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = (names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
  event.waitUntil(caches.keys().then(old).then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  if (url.pathname.startsWith("/assets/")) {
    event.respondWith(caches.match(event.request).then((kept) => kept ?? fresh(event.request)));
  } else if (url.pathname === "/") {
    event.respondWith(fetch(event.request).catch(() => caches.match("/").then((kept) => kept ?? Response.error())));
  }
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
