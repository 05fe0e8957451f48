// The view Metrics: reads the host's figures every two seconds while it is looked at.

import { readText } from "./api.mjs";
import { Chart } from "./chart.mjs";
import { h, show } from "./dom.mjs";
import { count, duration, rate } from "./format.mjs";
import { growth, parse, quantile, sum } from "./openmetrics.mjs";
import { models, onModels } from "./state.mjs";

const PERIOD_MS = 2000;
const FIRST_TOKEN = "gen_ai_server_time_to_first_token_seconds";

/** Wires the view; it reads from `open` to `close`. */
export function setUpMetrics() {
  const select = document.getElementById("metrics-model");
  const charts = makeCharts();
  document.getElementById("charts").append(...charts.map(({ chart }) => chart.element));
  const view = new Readings(charts, () => select.value || null);
  select.addEventListener("change", () => view.clear());
  onModels(() => {
    const before = select.value;
    const options = models().map(({ id }) => h("option", { value: id }, id));
    show(select, h("option", { value: "" }, "All models"), options);
    select.value = models().some(({ id }) => id === before) ? before : "";
  });
  return view;
}

/** Each chart with how its values come out of two readings. */
function makeCharts() {
  const seconds = (value) => duration(value * 1000);
  const percent = (value) => `${Math.round(value * 100)} %`;
  const share = (page, model) => {
    const total = sum(page, "host_kv_blocks_total", model);
    return total > 0 ? sum(page, "host_kv_blocks_used", model) / total : null;
  };
  const perSecond =
    (name) =>
    ({ old, now, model, s }) =>
      old ? growth(old, now, name, model) / s : null;
  const first =
    (q) =>
    ({ old, now, model }) =>
      old ? quantile(old, now, FIRST_TOKEN, q, model) : null;
  const gauge =
    (name) =>
    ({ now, model }) =>
      sum(now, name, model);
  const make = (title, lines, form, options) => ({
    chart: new Chart(title, Object.keys(lines), form, options),
    values: (reading) => Object.values(lines).map((value) => value(reading)),
  });
  return [
    make("Requests in flight", { now: gauge("host_requests_in_flight") }, count, { most: 4 }),
    make("Sequences waiting", { now: gauge("host_requests_waiting") }, count, { most: 4 }),
    make(
      "Tokens per second",
      {
        completion: perSecond("host_completion_tokens_total"),
        prompt: perSecond("host_prompt_tokens_total"),
      },
      rate,
      { most: 10 },
    ),
    make("KV cache in use", { now: ({ now, model }) => share(now, model) }, percent, { most: 1 }),
    make("Time to first token", { p50: first(0.5), p95: first(0.95) }, seconds, { most: 0.01 }),
  ];
}

class Readings {
  #charts;
  #model;
  #timer = null;
  #old = null;
  #oldMs = 0;
  #problem = document.getElementById("metrics-problem");

  constructor(charts, model) {
    this.#charts = charts;
    this.#model = model;
  }

  open() {
    this.#timer ??= setInterval(() => this.#read(), PERIOD_MS);
    this.#read();
  }

  close() {
    clearInterval(this.#timer);
    this.#timer = null;
    // Rates over the time that nobody looked would be a line of their mean.
    this.#old = null;
  }

  clear() {
    for (const { chart } of this.#charts) chart.clear();
    this.#old = null;
    this.#read();
  }

  async #read() {
    if (document.hidden) return;
    try {
      const now = parse(await readText("/metrics"));
      const nowMs = performance.now();
      const reading = {
        old: this.#old,
        now,
        model: this.#model(),
        s: (nowMs - this.#oldMs) / 1000,
      };
      for (const { chart, values } of this.#charts) chart.add(values(reading));
      [this.#old, this.#oldMs] = [now, nowMs];
      this.#problem.hidden = true;
    } catch (error) {
      this.#problem.hidden = false;
      this.#problem.textContent = `The figures cannot be read: ${error.message}`;
      // Who gave no key is not asked again every two seconds.
      if (error.status === 401) this.close();
    }
  }
}
