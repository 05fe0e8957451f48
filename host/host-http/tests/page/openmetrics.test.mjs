// Reading OpenMetrics, rates and quantiles.

import assert from "node:assert/strict";
import { test } from "node:test";
import { growth, parse, quantile, sum } from "../../page/openmetrics.mjs";

const page = (counts, tokens) =>
  parse(
    [
      "# TYPE t histogram",
      ...Object.entries(counts).map(([le, n]) => `t_bucket{le="${le}",model="a"} ${n}`),
      `tokens_total{model="a"} ${tokens}`,
      'tokens_total{model="b\\"}\\n"} 1',
      "not a series",
      "# EOF",
    ].join("\n"),
  );

test("series are read with their labels", () => {
  const found = page({ 0.5: 1, "+Inf": 2 }, 7);
  assert.deepEqual(found[0], { name: "t_bucket", labels: { le: "0.5", model: "a" }, value: 1 });
  assert.equal(found.length, 4);
  assert.equal(found[3].labels.model, 'b"}\n');
  assert.deepEqual(
    [sum(found, "tokens_total"), sum(found, "tokens_total", "a"), sum(found, "gone")],
    [8, 7, 0],
  );
  assert.deepEqual(parse("x NaN 12\ny +Inf 3"), [{ name: "y", labels: {}, value: Infinity }]);
});

test("a counter that began anew grew by what it shows", () => {
  assert.equal(growth(page({}, 5), page({}, 9), "tokens_total", "a"), 4);
  assert.equal(growth(page({}, 5), page({}, 2), "tokens_total", "a"), 2);
});

test("quantiles are those of what came between", () => {
  const old = page({ 0.1: 10, 1: 10, "+Inf": 10 }, 0);
  const now = page({ 0.1: 10, 1: 20, "+Inf": 20 }, 0);
  assert.equal(quantile(old, now, "t", 0.5), 0.1 + 0.9 * 0.5);
  assert.equal(quantile(old, old, "t", 0.5), null, "nothing was counted");
  const beyond = page({ 0.1: 10, 1: 10, "+Inf": 30 }, 0);
  assert.equal(quantile(old, beyond, "t", 0.95), 1, "the last bound is all that is known");
  const two = parse(
    't_bucket{le="1",model="a"} 1\nt_bucket{le="1",model="b"} 1\nt_bucket{le="+Inf",model="a"} 1\nt_bucket{le="+Inf",model="b"} 1',
  );
  assert.equal(quantile([], two, "t", 1), 1, "models are added up");
});
