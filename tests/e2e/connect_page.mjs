// The connect page in headless Chromium: forms, the sandbox's consent, pop-ups, keyboard, accessibility, policy.
import { createRequire } from "node:module";
import { createServer } from "node:http";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

const facts = JSON.parse(process.argv[2]);
const require = createRequire(join(facts.packages, "package.json"));
const { chromium } = require("playwright-core");
const axe = require("axe-core").source;
const dav = new URL(facts.dav);
const davUrl = `${dav.protocol}//${dav.host}${dav.pathname}`;

function check(condition, what) {
  if (!condition) throw new Error(`FAILED: ${what}`);
  console.log(`ok: ${what}`);
}

async function api(method, path, body, credential) {
  const headers = { Authorization: credential ?? `Bearer ${facts.meta}`, "Content-Type": "application/json" };
  const answer = await fetch(facts.base + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : null };
}
const key = `APIKey ${facts.key}`;
const manage = (method, path, body) => api(method, `/v1/meta/applications/${facts.application}${path}`, body);

// The application's own site: a page that opens the pop-up, one that uses the hidden frame, and the callback.
const pages = {
  "/cb": "<!doctype html><title>Callback</title><p>Back in the application.</p>",
  "/opener": `<!doctype html><title>Application</title><button id="open">Connect</button><script>
    window.messages = [];
    addEventListener("message", (event) => messages.push({ origin: event.origin, data: event.data }));
    const url = new URLSearchParams(location.search).get("url");
    document.getElementById("open").onclick = () => { window.popup = window.open(url, "connect", "width=500,height=700"); };
    </script>`,
  "/frame": `<!doctype html><title>Application</title><iframe id="relay" width="300" height="80"></iframe><script>
    window.messages = [];
    addEventListener("message", (event) => messages.push({ origin: event.origin, data: event.data }));
    const query = new URLSearchParams(location.search);
    const relay = document.getElementById("relay");
    const tell = (message) => relay.contentWindow.postMessage("kloudless:" + JSON.stringify(message), "*");
    window.tell = tell;
    relay.onload = () => { tell({ type: "prepareToOpen", url: query.get("url"), params: "width=500,height=700" }); window.ready = true; };
    relay.src = query.get("relay");
    </script>`,
};
function site() {
  const server = createServer((request, answer) => {
    const page = pages[new URL(request.url, "http://x").pathname];
    answer.writeHead(page ? 200 : 404, { "content-type": "text/html" });
    answer.end(page ?? "");
  });
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done({ server, origin: `http://127.0.0.1:${server.address().port}` })));
}

const ours = await site();
const stranger = await site();
const callback = `${ours.origin}/cb`;
check((await manage("POST", "/redirect_uris", { url: callback })).status === 201, "a redirect URI is registered");
check((await manage("POST", "/trusted_domains", { domain: new URL(ours.origin).host })).status === 201, "a domain is trusted");
await manage("PATCH", "", { name: "Paper Trail" });

const authorize = (more) => {
  const query = { client_id: facts.application, response_type: "code", redirect_uri: callback, state: "s1", scope: "any", ...more };
  return `${facts.base}/v1/oauth?${new URLSearchParams(query)}`;
};
const popup = (origin, more) => authorize({
  response_type: "token", redirect_uri: "urn:ietf:wg:oauth:2.0:oob", origin, request_id: "77", scope: "webdav", ...more });

const browser = await chromium.launch({ executablePath: facts.browser, args: ["--no-sandbox"] });
const violations = [];
let users = 0;
async function context(options = {}) {
  users += 1; // each context is another end user, at an address of their own
  const made = await browser.newContext({ locale: "en-US", viewport: { width: 900, height: 900 },
    extraHTTPHeaders: { "X-Forwarded-For": `198.51.100.${users}` }, ...options });
  await made.addInitScript(() => addEventListener("securitypolicyviolation", (event) =>
    console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`)));
  made.on("page", (page) => {
    page.on("console", (line) => {
      const own = page.url().startsWith(facts.base);
      if (own && /policy:|Content.Security.Policy/i.test(line.text())) violations.push(`${page.url()} ${line.text()}`);
    });
    page.on("pageerror", (error) => violations.push(`${page.url()} ${error}`));
  });
  return made;
}

async function accessible(page, what) {
  // The page's own policy keeps scripts of others out, so the checker comes in past it.
  const found = await page.evaluate(`${axe}; axe.run(document, { resultTypes: ["violations"] })`);
  const text = found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`);
  check(text.length === 0, `${what} is accessible ${text.join("\n")}`);
}

async function shot(page, name) {
  if (!facts.shots) return;
  mkdirSync(facts.shots, { recursive: true });
  await page.screenshot({ path: join(facts.shots, `${name}.png`), fullPage: true });
}

const fillDav = async (page, password, url = davUrl) => {
  await page.fill("#f-url", url);
  await page.fill("#f-username", dav.username);
  await page.fill("#f-password", password);
  await Promise.all([page.waitForNavigation(), page.click("#submit")]);
};

async function forms() {
  const page = await (await context()).newPage();
  await page.goto(authorize({ scope: "webdav", form_data: JSON.stringify({ username: "nobody" }) }));
  check(page.url().endsWith("/webdav"), "a single service's form starts at once");
  check((await page.inputValue("#f-username")) === "nobody", "the form is filled beforehand");
  await accessible(page, "the form");
  await Promise.all([page.waitForNavigation(), page.click("#submit")]);
  check(await page.isVisible("#e-url"), "a missing field is named beside it");
  check((await page.evaluate(() => document.activeElement.id)) === "f-url", "and has the focus");
  await shot(page, "form-missing");
  await fillDav(page, "wrong");
  check((await page.textContent(".trouble p")).includes("does not accept this sign-in"), "a wrong password is told");
  check((await page.inputValue("#f-password")) === "", "a password is never sent back");
  await accessible(page, "the form with an error");
  await shot(page, "form-wrong-password");
  await fillDav(page, dav.password, "http://127.0.0.1:1/");
  check((await page.textContent(".trouble p")).includes("Nothing answers"), "a wrong host is told");
  await fillDav(page, dav.password, facts.base);
  check((await page.textContent(".trouble p")).includes("not the WebDAV"), "something else at the address is told");
  await fillDav(page, dav.password);
  const back = new URL(page.url());
  check(back.href.startsWith(callback) && back.searchParams.get("state") === "s1", "a good one leads back to the application");
  const form = { grant_type: "authorization_code", code: back.searchParams.get("code"), redirect_uri: callback,
    client_id: facts.application, client_secret: facts.key };
  const given = await fetch(`${facts.base}/v1/oauth/token`, { method: "POST", body: new URLSearchParams(form) });
  const token = (await given.json()).access_token;
  const account = await api("GET", "/v1/accounts/me", undefined, `Bearer ${token}`);
  check(account.body.service === "webdav", "and its code gives a token of the account");
  await page.context().close();
  return account.body.id;
}

async function reconnect(account) {
  const link = await api("POST", "/v1/connect_links", { account, redirect_uri: callback }, key);
  const page = await (await context()).newPage();
  await page.goto(link.body.url);
  check((await page.textContent("h1")).includes("again"), "a connect link begins a reconnection");
  await shot(page, "reconnect");
  await fillDav(page, dav.password);
  check(page.url().startsWith(callback), "an account is connected again");
  await page.context().close();
}

async function consent() {
  const listed = await api("GET", "/v1/public/services", undefined, key);
  const page = await (await context()).newPage();
  await page.goto(authorize({}));
  await accessible(page, "the choice");
  await shot(page, "choose");
  const known = new Set(listed.body.objects.map((one) => one.name));
  const drives = ["gdrive", "dropbox", "box", "onedrive", "onedrivebiz", "sharepoint"];
  check(drives.every((name) => known.has(name)), "the server knows every drive of the sandbox");
  for (const name of drives) {
    await page.goto(authorize({}));
    const tile = page.locator(`a[href$="/${name}"]`);
    check((await tile.count()) === 1, `${name}: it can be chosen`);
    await tile.click();
    await page.waitForURL((url) => !url.href.startsWith(facts.base));
    await shot(page, `consent-${name}`);
    // No: the user is told and may choose again.
    const refuse = page.locator("#deny");
    if ((await refuse.count()) > 0) {
      await refuse.click();
      await page.waitForURL((url) => url.href.startsWith(`${facts.base}/connect/`));
      check((await page.textContent(".trouble p")).includes("did not give access"), `${name}: a refusal is told`);
      await shot(page, "choose-denied");
      await accessible(page, "the choice after a refusal");
      await page.locator(`a[href$="/${name}"]`).click();
      await page.waitForURL((url) => !url.href.startsWith(facts.base));
    }
    await page.locator('button[id^="allow-"]').first().click();
    await page.waitForURL((url) => url.href.startsWith(callback));
    check(new URL(page.url()).searchParams.get("code"), `${name}: its consent leads back with a code`);
  }
  await page.context().close();
  return drives;
}

async function messages() {
  const opened = async (from, url) => {
    const made = await context();
    const page = await made.newPage();
    await page.goto(`${from}/opener?url=${encodeURIComponent(url)}`);
    const [window] = await Promise.all([made.waitForEvent("page"), page.click("#open")]);
    await window.waitForLoadState();
    return { page, window, made };
  };
  const good = await opened(ours.origin, popup(ours.origin, { oob_loading_delay: "300" }));
  await good.window.fill("#f-url", davUrl);
  await good.window.fill("#f-username", dav.username);
  await good.window.fill("#f-password", dav.password);
  await good.window.click("#submit");
  await good.window.waitForSelector("#ending");
  await accessible(good.window, "the end");
  await shot(good.window, "done");
  await good.page.waitForFunction(() => messages.length > 0);
  const [letter] = await good.page.evaluate(() => messages);
  check(letter.origin === new URL(facts.base).origin, "the message comes from the API's origin");
  const said = JSON.parse(letter.data.slice("kloudless:".length));
  check(said.id === "77" && said.data.state === "s1" && said.data.access_token.startsWith("tmb_"), "it holds id, state and token");
  await good.page.evaluate(() => popup.postMessage('kloudless:{"type":"close"}', "*"));
  await good.window.waitForEvent("close");
  check(true, "the pop-up closes when it is told to");
  check((await good.page.evaluate(() => messages.length)) === 1, "the message came once");
  await good.made.close();

  const bad = await opened(stranger.origin, popup(stranger.origin));
  await bad.page.waitForFunction(() => messages.length > 0);
  const refusal = JSON.parse((await bad.page.evaluate(() => messages))[0].data.slice("kloudless:".length));
  check(refusal.data.error === "untrusted_origin" && !refusal.data.access_token, "an untrusted page gets no token");
  check((await bad.window.textContent("h1")) === "This page is not trusted", "and the pop-up says so");
  await accessible(bad.window, "the refusal");
  await shot(bad.window, "untrusted");
  await bad.made.close();

  const forged = await opened(stranger.origin, popup(ours.origin));
  await forged.window.fill("#f-url", davUrl);
  await forged.window.fill("#f-username", dav.username);
  await forged.window.fill("#f-password", dav.password);
  await forged.window.click("#submit");
  await forged.window.waitForSelector("#ending");
  await forged.window.waitForFunction(() => document.querySelector("[data-closes]").textContent.includes("itself"));
  check((await forged.page.evaluate(() => messages.length)) === 0, "a page that names another's origin gets nothing");
  await forged.made.close();
}

async function relay() {
  const run = async (from, origin, meddle) => {
    const made = await context();
    const page = await made.newPage();
    const query = new URLSearchParams({ relay: `${facts.base}/static/iexd.html`, url: popup(origin) });
    await page.goto(`${from}/frame?${query}`);
    await page.waitForFunction(() => window.ready);
    const button = page.frameLocator("#relay").locator("#continue");
    const [window] = await Promise.all([made.waitForEvent("page"), button.click()]);
    await window.waitForLoadState();
    if (meddle) await meddle(page);
    await window.fill("#f-url", davUrl);
    await window.fill("#f-username", dav.username);
    await window.fill("#f-password", dav.password);
    await window.click("#submit");
    await window.waitForSelector("#ending");
    await window.waitForFunction(() => document.querySelector("[data-closes]").textContent.includes("itself"));
    return { made, page };
  };
  const good = await run(ours.origin, ours.origin);
  await good.page.waitForFunction(() => messages.length > 0);
  const [letter] = await good.page.evaluate(() => messages);
  check(JSON.parse(letter.data.slice(10)).data.access_token.startsWith("tmb_"), "the hidden frame relays the message");
  await good.page.evaluate(() => tell({ type: "proxy", id: 5 }));
  await good.page.waitForFunction(() => messages.length > 1);
  const proxied = JSON.parse((await good.page.evaluate(() => messages))[1].data.slice(10));
  check(proxied.id === 5 && proxied.status === 0, "it refuses to be a proxy");
  await good.made.close();
  // A stranger opens the pop-up for the trusted origin, then asks again under its own.
  const evil = popup(stranger.origin);
  const forged = await run(stranger.origin, ours.origin, (page) =>
    page.evaluate((url) => tell({ type: "prepareToOpen", url }), evil));
  check((await forged.page.evaluate(() => messages.length)) === 0, "a stranger's frame gets nothing, whatever it asks for later");
  const own = forged.page.frameLocator("#relay").locator("#continue");
  await forged.page.evaluate(() => tell({ type: "prepareToOpen", url: "https://evil.example/v1/oauth" }));
  await own.waitFor({ state: "hidden" });
  check(true, "and opens nothing but our own page");
  await forged.made.close();
}

async function keyboard() {
  const page = await (await context()).newPage();
  await page.goto(authorize({ scope: "webdav sftp s3" }));
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("href") ?? document.activeElement.id ?? "");
  for (let steps = 0; steps < 12 && !(await focused()).endsWith("/webdav"); steps += 1) await page.keyboard.press("Tab");
  check((await focused()).endsWith("/webdav"), "a service is reached by the Tab key");
  await shot(page, "focus");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  check((await focused()) === "f-url", "the first field has the focus");
  await page.keyboard.type(davUrl);
  await page.keyboard.press("Tab");
  await page.keyboard.type(dav.username);
  await page.keyboard.press("Tab");
  await page.keyboard.type(dav.password);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Space");
  check((await page.getAttribute("#f-password", "type")) === "text", "the password can be shown");
  await page.keyboard.press("Shift+Tab");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  check(page.url().startsWith(callback), "an account is connected by keyboard alone");
  await page.goto(authorize({ scope: "webdav sftp s3" }));
  await Promise.all([page.waitForNavigation(), page.click("form.cancel button")]);
  check(new URL(page.url()).searchParams.get("error") === "access_denied", "giving up leads back");
  await page.context().close();
}

async function looks() {
  const kinds = {
    light: { colorScheme: "light" },
    dark: { colorScheme: "dark" },
    phone: { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
    japanese: { locale: "ja-JP" },
    german: { locale: "de-DE", colorScheme: "dark", viewport: { width: 360, height: 740 } },
  };
  for (const [kind, options] of Object.entries(kinds)) {
    const page = await (await context(options)).newPage();
    for (const [state, url] of [
      ["choose", authorize({})], ["webdav", authorize({ scope: "webdav" })], ["sftp", authorize({ scope: "sftp" })],
      ["s3", authorize({ scope: "s3" })], ["bad-client", authorize({ client_id: "nobody" })],
      ["lost", `${facts.base}/connect/gone`], ["untrusted", popup("https://elsewhere.example")],
    ]) {
      await page.goto(url);
      await accessible(page, `${state} ${kind}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      check(wide <= 0, `${state} ${kind} fits its window`);
      await shot(page, `${state}-${kind}`);
    }
    await page.goto(authorize({ scope: "webdav" }));
    await fillDav(page, "wrong");
    await accessible(page, `trouble ${kind}`);
    await shot(page, `trouble-${kind}`);
    await page.context().close();
  }
  const theme = { accent: "#7a1f5c", accent_dark: "#f0a8d8", ground: "#f7eef4", ground_dark: "#1d1119" };
  check((await manage("PATCH", "", { connect_theme: theme })).status === 200, "an application sets its colours");
  const page = await (await context()).newPage();
  await page.goto(authorize({ scope: "webdav" }));
  await accessible(page, "the themed form");
  await shot(page, "themed");
  await page.context().close();
}

async function search() {
  const page = await (await context()).newPage();
  await page.goto(authorize({}));
  const count = await page.locator("#services > li").count();
  if (count > 6) {
    await page.fill("#search", "WEB");
    check((await page.locator("#services > li:visible").count()) === 1, "the search narrows the list");
    await page.fill("#search", "zzz");
    check(await page.isVisible("#none"), "and says when nothing is left");
    await accessible(page, "the empty search");
    await shot(page, "search-empty");
    await page.fill("#search", "web");
    await Promise.all([page.waitForNavigation(), page.press("#search", "Enter")]);
    check(page.url().endsWith("/webdav"), "Enter takes the only one");
  } else {
    check(false, `the search shows from seven services on; there are ${count}`);
  }
  await page.context().close();
}

try {
  const account = await forms();
  await reconnect(account);
  await consent();
  await messages();
  await relay();
  await keyboard();
  await search();
  await looks();
  check(violations.length === 0, `no page broke its policy or threw ${violations.join("\n")}`);
} finally {
  await browser.close();
  ours.server.close();
  stranger.server.close();
}
