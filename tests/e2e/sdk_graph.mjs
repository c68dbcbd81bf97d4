// Microsoft's Graph client for JavaScript against the simulated Graph; started by sdk_graph.py.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.GRAPH_MODULES}/`);
const { Client, LargeFileUploadTask, FileUpload, PageIterator } = require("@microsoft/microsoft-graph-client");
const root = process.env.GRAPH_ROOT;

function check(condition, what) {
  if (!condition) {
    console.error(`FAILED: ${what}`);
    process.exit(1);
  }
  console.log(`ok: ${what}`);
}

// The client signs for https hosts that it knows; ours is neither, so the token goes on here.
const signed = (url, options = {}) => {
  // It takes only https addresses for whole ones: others come behind the base.
  const given = typeof url === "string" ? url : url.url;
  const plain = given.slice(Math.max(0, given.lastIndexOf("http://")));
  const headers = new Headers(options.headers ?? {});
  if (plain.includes("/v1.0/")) headers.set("Authorization", `Bearer ${process.env.GRAPH_TOKEN}`);
  else headers.delete("Authorization");
  return fetch(plain, { ...options, headers });
};

class Fetching {
  async execute(context) {
    context.response = await signed(context.request, context.options);
  }
}

const client = Client.initWithMiddleware({
  baseUrl: `${root}/onedrivebiz/`,
  customHosts: new Set(["127.0.0.1"]),
  middleware: new Fetching(),
});

const me = await client.api("/me").get();
check(me.displayName === "Ana Alves", "the JavaScript client reads who it is");
const folder = await client.api("/me/drive/root/children").post({ name: "from node", folder: {}, "@microsoft.graph.conflictBehavior": "rename" });
check(folder.name === "from node", "it makes a folder");
await client.api(`/me/drive/items/${folder.id}:/small.txt:/content`).put("hello");
const listed = await client.api(`/me/drive/items/${folder.id}/children`).select("name,size").get();
check(listed.value.length === 1 && listed.value[0].size === 5, "it puts and lists");

const content = Buffer.alloc(3 * 327680 + 77, "x");
const session = await LargeFileUploadTask.createUploadSession(client, `/me/drive/items/${folder.id}:/large.bin:/createUploadSession`, { item: { "@microsoft.graph.conflictBehavior": "fail", name: "large.bin" } });
check(session.url.includes("/up/"), "it begins an upload");
const file = new FileUpload(content, "large.bin", content.length);
const task = new LargeFileUploadTask(client, file, session, { rangeSize: 327680 });
const done = await task.upload();
check(done.responseBody.size === content.length, "its upload task brings a large file in");

for (let n = 0; n < 5; n += 1) await client.api(`/me/drive/items/${folder.id}:/p${n}.txt:/content`).put("x");
const first = await client.api(`/me/drive/items/${folder.id}/children`).top(2).get();
const names = [];
await new PageIterator(client, first, (item) => { names.push(item.name); return true; }).iterate();
check(names.length === 7 && new Set(names).size === 7, "its page iterator sees everything once");

const delta = await client.api("/me/drive/root/delta?token=latest").get();
check(delta["@odata.deltaLink"].includes("token="), "it takes a delta cursor");
try {
  await client.api("/me/drive/items/none").get();
  check(false, "what is not there is refused");
} catch (error) {
  check(error.statusCode === 404 && error.code === "itemNotFound", "what is not there is refused in Graph's words");
}
const batch = await client.api("/$batch").post({ requests: [{ id: "1", method: "GET", url: "/me/drive" }] });
check(batch.responses[0].status === 200, "it sends a batch");
await client.api(`/me/drive/items/${folder.id}`).delete();
