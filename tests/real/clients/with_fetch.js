// fetch through a proxy, as a program would use it: http and https, a streamed upload, a streamed download.
const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const { fetch, ProxyAgent, setGlobalDispatcher } = require("undici");

const [proxy, origin, secureOrigin, file, secureFile] = process.argv.slice(2);
const MIB = 1 << 20;

async function* pieces(count) {
  for (let n = 0; n < count; n++) yield Buffer.alloc(65536, n);
}

async function sha256(stream) {
  const hash = crypto.createHash("sha256");
  for await (const piece of stream) hash.update(piece);
  return hash.digest("hex");
}

async function main() {
  const agent = new ProxyAgent(proxy);
  setGlobalDispatcher(agent);

  const [plain, secure] = [await fetch(file), await fetch(secureFile)];
  assert.deepEqual([plain.status, secure.status], [200, 200]);
  const first = await plain.arrayBuffer();
  assert.equal(first.byteLength, 3 * MIB);
  assert.deepEqual(Buffer.from(await secure.arrayBuffer()), Buffer.from(first));

  for (const base of [origin, secureOrigin]) {
    const upload = await fetch(`${base}/upload`, { method: "POST", body: pieces(160), duplex: "half" });
    assert.deepEqual(await upload.json(), { sha256: await sha256(pieces(160)), bytes: 10 * MIB, chunked: true });

    const download = await fetch(`${base}/pattern?bytes=${20 * MIB}&framing=chunked`);
    let total = 0;
    for await (const piece of download.body) total += piece.length;
    assert.equal(total, 20 * MIB);

    const many = await Promise.all(Array.from({ length: 50 }, () => fetch(`${base}/echo`)));
    assert.ok((await Promise.all(many.map((answer) => answer.json()))).every((seen) => seen.line.startsWith("GET /echo")));
  }
  await agent.close();
}

main().catch((error) => { console.error(error.message, error.cause ?? ""); process.exit(1); });
