// Reads a work order (see benchmarks/peers/programs.py) and prints how long each verifier of Node takes, as JSON.
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { JwtVerifier } from "aws-jwt-verify";
import { createVerifier } from "fast-jwt";
import { importJWK, jwtVerify } from "jose";

const SLICE = 20; // milliseconds of one contender before the next has its turn
const WARM_UP = 300; // milliseconds in which V8 compiles
const AT_ONCE = 100; // tokens in one timed loop, as in Python
const require = createRequire(import.meta.url);
const order = JSON.parse(readFileSync(process.argv[2]));

process.removeAllListeners("warning"); // fast-jwt warns of the identity cache key; measured as what is possible

function fastJwt(algorithm, options) {
  const key = createPublicKey({ key: algorithm.jwk, format: "jwk" }).export({ type: "spki", format: "pem" });
  const checks = { algorithms: [algorithm.alg], allowedIss: order.issuer, allowedAud: order.audience };
  return createVerifier({ key, ...checks, requiredClaims: ["iss", "aud", "exp"], ...options });
}

function awsJwtVerify(algorithm) {
  const jwksUri = `${order.issuer}/jwks`; // never asked: the keys are given
  const verifier = JwtVerifier.create({ issuer: order.issuer, audience: order.audience, jwksUri });
  verifier.cacheJwks({ keys: [algorithm.jwk] });
  return (token) => verifier.verifySync(token);
}

async function jose(algorithm) {
  const key = await importJWK(algorithm.jwk, algorithm.alg);
  const checks = { issuer: order.issuer, audience: order.audience, algorithms: [algorithm.alg], requiredClaims: ["exp"] };
  return (token) => jwtVerify(token, key, checks);
}

async function contenders(algorithm) {
  const size = 2 * algorithm.tokens.length;
  const identity = (token) => token;
  return [
    { peer: "fast-jwt", name: "cold", verify: fastJwt(algorithm, { cache: false }) },
    { peer: "fast-jwt", name: "warm-new", verify: fastJwt(algorithm, { cache: size }) },
    { peer: "fast-jwt", name: "warm-new-identity", verify: fastJwt(algorithm, { cache: size, cacheKeyBuilder: identity }) },
    { peer: "fast-jwt", name: "warm-same-identity", verify: fastJwt(algorithm, { cache: size, cacheKeyBuilder: identity }), same: true },
    { peer: "jose", name: "cold", verify: await jose(algorithm), waits: true },
    { peer: "aws-jwt-verify", name: "cold", verify: awsJwtVerify(algorithm) },
  ];
}

// A contender that waits for promises has a loop of its own, so that the others need not wait for nothing.
async function waiting(verify, tokens) {
  for (const token of tokens) await verify(token);
}

async function check(contender, algorithm) {
  await contender.verify(algorithm.tokens[0]);
  for (const [what, token] of Object.entries(algorithm.bad)) {
    let accepted = true;
    try {
      await contender.verify(token);
    } catch {
      accepted = false;
    }
    if (accepted) throw new Error(`${contender.peer} accepts ${what}`);
  }
}

function prepared(contender, algorithm) {
  // A loop compiled for each contender alone, as a service has it: V8 adapts a call site to what is called there.
  const loop = contender.waits ? waiting : new Function("verify", "tokens", "for (const token of tokens) verify(token);");
  const fresh = (token) => Buffer.from(token, "latin1").toString("latin1");
  let at = 0;
  const tokensOf = () => {
    const tokens = algorithm.tokens.slice(at, at + AT_ONCE);
    at = (at + AT_ONCE) % algorithm.tokens.length;
    return contender.same ? tokens : tokens.map(fresh);
  };
  return { ...contender, loop, tokensOf, calls: 0, spent: 0 };
}

async function slice(runner, milliseconds) {
  let spent = 0;
  while (spent < milliseconds) {
    const tokens = runner.tokensOf();
    const start = performance.now();
    await runner.loop(runner.verify, tokens);
    spent += performance.now() - start;
    runner.calls += tokens.length;
  }
  runner.spent += spent;
}

async function measure(algorithm) {
  const runners = (await contenders(algorithm)).map((contender) => prepared(contender, algorithm));
  for (const runner of runners) {
    await check(runner, algorithm);
    await slice(runner, WARM_UP);
    runner.calls = runner.spent = 0;
  }
  while (runners.some((runner) => runner.spent < 1000 * order.seconds)) {
    for (const runner of runners) await slice(runner, SLICE);
  }
  return runners.map(({ peer, name, calls, spent }) => ({
    peer,
    version: require(`./node_modules/${peer}/package.json`).version,
    alg: algorithm.alg,
    name,
    microseconds: (1000 * spent) / calls,
  }));
}

const rates = [];
for (const algorithm of order.algorithms) rates.push(...(await measure(algorithm)));
process.stdout.write(JSON.stringify({ runtime: `Node ${process.versions.node}`, rates }));
