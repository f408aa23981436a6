// Node's own http.request with an absolute-form target, and its keep-alive agent: what proxy agents do for http.
const assert = require("node:assert/strict");
const http = require("node:http");

const [proxy, origin] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
const { hostname, port } = new URL(proxy);

function ask(url, method, body) {
  return new Promise((resolve, reject) => {
    const headers = { Host: new URL(url).host };
    const request = http.request({ hostname, port, agent, method, path: url, headers }, (answer) => {
      const pieces = [];
      answer.on("data", (piece) => pieces.push(piece)).on("error", reject);
      answer.on("end", () => resolve({ status: answer.statusCode, body: Buffer.concat(pieces), reused: request.reusedSocket }));
    });
    request.on("error", reject).end(body);
  });
}

async function main() {
  const bytes = Buffer.alloc(5 << 20, "sluice");
  const uploads = await Promise.all(Array.from({ length: 8 }, () => ask(`${origin}/upload`, "POST", bytes)));
  for (const answer of uploads) assert.deepEqual([answer.status, JSON.parse(answer.body).bytes], [200, bytes.length]);

  const download = await ask(`${origin}/pattern?bytes=5000000&framing=chunked`, "GET");
  assert.deepEqual([download.status, download.body.length], [200, 5000000]);
  assert.ok(download.reused, "no connection to the proxy was kept");
  agent.destroy();
}

main().catch((error) => { console.error(error.message); process.exit(1); });
