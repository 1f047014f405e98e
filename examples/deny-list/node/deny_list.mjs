// Whether a token has been revoked, by Tocsin's deny-list in Redis. Verify its signature and its times first.
//
//     node deny_list.mjs 127.0.0.1:6379 TOKEN [JTI]
//
// Redis' inline commands over a socket, so that there is nothing to install; in a service use your client's EXISTS.
import { createHash } from "node:crypto";
import { connect } from "node:net";

const WAIT = 50; // milliseconds; a Redis that hangs must not hang the service
const FAIL_OPEN = false; // whether to take tokens when Redis cannot say

// By its signing input (all before the last dot, as a signature can be spelt in two ways) or by its jti.
export async function isRevoked(host, port, token, jti) {
  const texts = [token.slice(0, token.lastIndexOf(".")), ...(jti ? [jti] : [])];
  const names = (digits) =>
    texts.map((text) => "revoked:" + createHash("sha256").update(text).digest("hex").slice(0, digits)).join(" ");
  try {
    const [level, first, decides] = await ask(host, port, ["revoked-level", names(8), names(16)]);
    if (!level) throw new Error("the deny-list is not level"); // nobody keeps it: that it is empty means nothing
    return Boolean(first && decides); // the short name is shared by strangers: a first look; the long one decides
  } catch (error) {
    if (FAIL_OPEN) return false;
    throw error;
  }
}

function ask(host, port, keys) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, host, () => socket.write(keys.map((one) => `EXISTS ${one}\r\n`).join("")));
    const finish = (settle, value) => (clearTimeout(timer), socket.destroy(), settle(value));
    const timer = setTimeout(() => finish(reject, new Error("Redis did not answer in time")), WAIT);
    let said = "";
    socket.on("error", (error) => finish(reject, error));
    socket.on("data", (data) => {
      const lines = (said += data).split("\r\n").slice(0, -1);
      const wrong = lines.find((line) => !line.startsWith(":"));
      if (wrong !== undefined) finish(reject, new Error(wrong));
      else if (lines.length === keys.length) finish(resolve, lines.map((line) => Number(line.slice(1))));
    });
  });
}

const [place, token, jti] = process.argv.slice(2);
const colon = place.lastIndexOf(":");
try {
  console.log((await isRevoked(place.slice(0, colon), Number(place.slice(colon + 1)), token, jti)) ? "revoked" : "good");
} catch (error) {
  console.error(`nobody can say: ${error.message}`); // a service answers 503
  process.exitCode = 1;
}
