// One user's journey in headless Chromium: our connect page, the consent screen of `emulate`, and where it ends.
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

const facts = JSON.parse(process.argv[2]);
const { chromium } = createRequire(join(facts.packages, "package.json"))("playwright-core");
const base = new URL(facts.url).origin;

function check(condition, what) {
  if (!condition) throw new Error(`FAILED: ${what}`);
  console.log(`ok: ${what}`);
}

const browser = await chromium.launch({ executablePath: facts.browser, args: ["--no-sandbox"] });
const page = await browser.newPage({ locale: "en-US", viewport: { width: 900, height: 900 } });

async function shot(name) {
  if (!facts.shots) return;
  mkdirSync(facts.shots, { recursive: true });
  await page.screenshot({ path: join(facts.shots, `emulate-${facts.shot}-${name}.png`), fullPage: true });
}

try {
  await page.goto(facts.url);
  // A scope that leaves one service goes straight to its consent screen; else the user chooses.
  if (page.url().startsWith(`${base}/`)) {
    await shot("choose");
    await page.click('a[href$="/gdrive"]');
  }
  await page.waitForURL((url) => url.href.startsWith(`${facts.emulate}/o/oauth2/v2/auth?`));
  const asked = new URL(page.url()).searchParams;
  check(asked.get("redirect_uri") === `${base}/v1/oauth/callback`, "the consent screen is asked to send the user back to us");
  check(asked.get("code_challenge_method") === "S256" && asked.get("code_challenge"), "with PKCE");
  check(asked.get("access_type") === "offline", "for a refresh token");
  check(asked.get("scope").split(" ").includes("https://www.googleapis.com/auth/drive"), "for Drive");
  await shot("consent");
  if (facts.ends === "mismatch") {
    check((await page.textContent("body")).includes("Redirect URI mismatch"), "an address that is not registered is refused");
  } else {
    check((await page.textContent("body")).includes("Sign in to Google"), "its consent screen shows");
    await page.locator("button.user-btn", { hasText: facts.email }).click();
    if (facts.ends === "returned") {
      await page.waitForURL((url) => url.href.startsWith(`${facts.callback}?`));
      check((await page.title()) === "Back in the application", "consent leads back to the application");
    } else {
      await page.waitForURL((url) => url.href.startsWith(`${base}/connect/`));
      await page.waitForSelector(".trouble p");
      const told = (await page.textContent(".trouble")).replace(/\s+/g, " ").trim();
      check(told.includes("The client_secret is incorrect"), `our page says why: ${told}`);
    }
  }
  await shot("end");
} finally {
  await browser.close();
}
