// The charts of the Service page: error ratio, latency, requests/s, over one time axis; of a room those beside its card.
//
// y starts at 0, its top is at least twice the threshold; the scale grows at once and shrinks after 60 s.
// A step without traffic is a gap: nothing is interpolated. Silent and refused are hatched and say so.
// Changes are lines with a boxed letter.
"use strict";

(() => {
  const root = document.getElementById("charts");
  if (!root || !window.uPlot) return;
  const service = root.dataset.service;
  const seconds = Number(root.dataset.seconds);
  const wanted = Number(root.dataset.step);
  const onset = Number(root.dataset.onset) || Infinity; // from then on it is shaded
  const since = Number(root.dataset.since); // when its first outcome came, which may be of an earlier time
  let step = wanted; // the server widens it where finer values are no longer kept
  const SHRINKS_MS = 60000;
  const sync = uPlot.sync("service");
  const { colour, nice, short, wide, word, level, hatch, marks, shadeMaintenance, axes } = window.evenkeel.chart;

  let data = [[], [], [], [], [], []]; // time, error %, p50, p95, p99, requests/s
  const charts = [];

  const ROOM = 1.1; // a peak does not touch the top
  function scaleOf(floor, most) {
    let top = 0;
    let needed = 0; // when the present top was last needed
    return (_, min, max) => {
      const wanted = Math.min(most, nice(Math.max(ROOM * (max || 0), floor() || 0, 1e-3)));
      if (wanted >= top || performance.now() - needed > SHRINKS_MS) {
        top = wanted;
        needed = performance.now();
      }
      return [0, top];
    };
  }

  const told = {
    ratio: (value) => (value === null || value === undefined ? "no traffic" : `${short(value)} %`),
    ms: (value) => (value === null || value === undefined ? "no traffic" : value >= 1000 ? `${(value / 1000).toPrecision(3)} s` : `${short(value)} ms`),
    rate: (value) => (value === null || value === undefined ? "–" : `${short(value)}/s`),
  };
  const exact = new Intl.DateTimeFormat(undefined, {
    ...(seconds > 86400 ? { day: "numeric", month: "short" } : {}),
    hour: "2-digit", minute: "2-digit", ...(wanted < 60 ? { second: "2-digit" } : {}), hourCycle: "h23",
  });
  const threshold = (name) => {
    const held = document.getElementById("thresholds");
    const value = held ? Number(held.dataset[name]) : NaN;
    return Number.isFinite(value) && value > 0 ? value : null;
  };

  const PLOTS = [
    { name: "ratio", title: "Error ratio, %", most: 110, rows: [1], names: ["Error ratio"], say: told.ratio, limit: () => threshold("errors"), label: (v) => `objective ${short(v)} %`, strokes: ["--ink"] },
    { name: "latency", title: "Latency, ms", rows: [2, 3, 4], names: ["p50", "p95", "p99"], say: told.ms, limit: () => threshold("latency"), label: (v) => `objective ${short(v)} ms`, strokes: ["--unknown", "--ink", "--unknown"], dashes: [undefined, undefined, [3, 3]] },
    { name: "rate", title: "Requests/s", rows: [5], names: ["Requests/s"], say: told.rate, limit: () => null, label: () => "", strokes: ["--ink"] },
  ].filter((plot) => !(root.dataset.without || "").split(" ").includes(plot.name));

  function drawThreshold(plot) {
    return (chart) => {
      const value = plot.limit();
      if (value === null) return;
      const { bbox } = chart;
      const bottom = bbox.top + bbox.height;
      // At a large scale the line lies on the axis: it is still told.
      const y = Math.min(Math.round(chart.valToPos(value, "y", true)) + 0.5, bottom - 0.5);
      if (y < bbox.top) return;
      level(chart, y);
      const text = plot.label(value);
      word(chart, text, bbox.left + bbox.width - wide(chart, text), Math.max(bbox.top, y - 16 * devicePixelRatio));
    };
  }

  function drawOnset({ ctx, bbox, scales, valToPos }) {
    if (onset > scales.x.max) return;
    const from = Math.max(bbox.left, valToPos(onset, "x", true));
    ctx.save();
    ctx.globalAlpha = 0.12;
    ctx.fillStyle = colour("--burning");
    const over = Number(document.getElementById("thresholds")?.dataset.over) || Infinity; // what failed has ended
    const to = over > scales.x.max ? bbox.left + bbox.width : Math.max(from, valToPos(over, "x", true));
    ctx.fillRect(from, bbox.top, to - from, bbox.height);
    ctx.restore();
  }

  // When outcomes are missing, by the server: refused by a limit, or silent from the last one until now.
  function missing() {
    const now = Date.now() / 1000;
    const silent = Number(document.getElementById("thresholds")?.dataset.silent) || 0;
    const refused = (document.getElementById("refused")?.dataset.spans || "").split(" ").filter(Boolean).map((span) => span.split("-").map(Number));
    return [
      ...refused.map(([from, to]) => ({ from, to, why: "refused" })),
      ...(silent ? [{ from: now - silent, to: now, why: "silent" }] : []),
    ];
  }

  // Hatched, so that it is not taken for a quiet hour.
  function drawMissing(chart) {
    const { ctx, bbox } = chart;
    const right = bbox.left + bbox.width;
    let told = -Infinity; // where the last word ends
    for (const { from, to, why } of missing()) {
      const start = Math.max(bbox.left, chart.valToPos(from, "x", true));
      const end = Math.min(right, Math.max(chart.valToPos(to, "x", true), start + 2 * devicePixelRatio));
      if (end <= start) continue;
      hatch(ctx, bbox, start, end);
      const width = wide(chart, why);
      const x = Math.min(Math.max(bbox.left, (start + end - width) / 2), right - width);
      if (x < told) continue;
      word(chart, why, x, bbox.top + 2 * devicePixelRatio);
      told = x + width;
    }
  }

  function build() {
    for (const [index, plot] of PLOTS.entries()) {
      const figure = document.createElement("figure");
      figure.className = "panel chart";
      const title = document.createElement("figcaption");
      title.textContent = plot.title;
      const legend = document.createElement("span");
      legend.className = "legend num";
      title.append(legend);
      figure.append(title);
      root.append(figure);
      const range = scaleOf(() => 2 * (plot.limit() || 0), plot.most || Infinity);
      const chart = new uPlot({
        width: figure.clientWidth - 32,
        height: index === 0 ? 180 : 150,
        padding: [index === 0 ? 20 : 8, 8, 0, 0],
        legend: { show: false },
        cursor: { sync: { key: sync.key }, drag: { x: false, y: false }, points: { size: 6 } },
        scales: { x: { time: true, range: () => { const now = Date.now() / 1000; return [now - seconds, now]; } }, y: { range } },
        axes: axes(),
        series: [
          {},
          ...plot.rows.map((_, row) => ({
            stroke: () => colour(plot.strokes[row]), width: 1.5, dash: plot.dashes?.[row], spanGaps: false,
            points: { show: (chart, at, i0, i1) => isolated(chart.data[at]), size: 4, fill: () => colour(plot.strokes[row]), stroke: () => colour(plot.strokes[row]) },
          })),
        ],
        hooks: {
          drawClear: [shadeMaintenance, drawOnset],
          draw: [drawMissing, drawThreshold(plot)],
          setCursor: [(chart) => tell(legend, plot, chart, chart.cursor.idx)],
          setScale: [(chart, key) => { if (key === "x") queueMicrotask(() => marks(chart, index === 0, exact)); }],
        },
      }, [data[0], ...plot.rows.map((row) => data[row])], figure);
      charts.push({ plot, chart, figure, legend });
    }
  }

  // A value between two gaps has no line: it is drawn as a point.
  function isolated(values) {
    return values.some((value, i) => value !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null);
  }

  function tell(legend, plot, chart, pointed) {
    const index = pointed ?? chart.data[0].length - 1;
    if (index < 0) return;
    const at = chart.data[0][index];
    const lost = missing().find((one) => one.from < at + step && at < one.to);
    const say = (value) => (lost && !value ? lost.why : plot.say(value)); // nothing came, but not for want of traffic
    const texts = [exact.format(at * 1000), ...plot.names.map((name, i) => `${plot.names.length > 1 ? `${name} ` : ""}${say(chart.data[i + 1][index])}`)];
    while (legend.children.length < texts.length) {
      const part = document.createElement("span");
      if (legend.children.length && plot.names.length > 1) part.className = `key key-${legend.children.length}`;
      legend.append(part);
    }
    texts.forEach((text, i) => { if (legend.children[i].textContent !== text) legend.children[i].textContent = text; });
  }

  function merge(points, stepped) {
    if (stepped !== step) data = data.map(() => []);
    step = stepped;
    const rows = new Map(data[0].map((at, i) => [at, data.map((column) => column[i])]));
    for (const point of points) {
      const at = Date.parse(point.at) / 1000;
      const n = point.volume;
      rows.set(at, [at, n ? (100 * point.bad) / n : null, point.p50_ms, point.p95_ms, point.p99_ms, n / step]);
    }
    const from = Date.now() / 1000 - seconds - step;
    const sorted = [...rows.values()].filter((row) => row[0] >= from).sort((a, b) => a[0] - b[0]);
    // Before the first outcome there is no value, not 0.
    const first = sorted.findIndex((row) => row[5] > 0 || row[0] + step > since);
    for (const row of first < 0 ? sorted : sorted.slice(0, first)) row[5] = null;
    data = data.map((_, column) => sorted.map((row) => row[column]));
  }

  async function read(from) {
    const query = new URLSearchParams({ metric: "latency", from: new Date(from * 1000).toISOString(), step: String(wanted) });
    const answer = await fetch(`/api/v1/services/${encodeURIComponent(service)}/series?${query}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    // The step that is not over yet would look like a fall.
    const { points, step: stepped } = await answer.json();
    const now = Date.now() / 1000;
    merge(points.filter((point) => Date.parse(point.at) / 1000 + stepped <= now), stepped);
    for (const { chart, plot, legend } of charts) {
      chart.setData([data[0], ...plot.rows.map((row) => data[row])]);
      tell(legend, plot, chart, chart.cursor.idx);
    }
  }

  function resize() {
    for (const { chart, figure } of charts) chart.setSize({ width: figure.clientWidth - 32, height: chart.height });
  }

  let last = 0;
  async function refresh() {
    if (document.hidden) return;
    const now = Date.now() / 1000;
    // Late outcomes still change the newest steps; older ones stand.
    const start = now - seconds + 2 * wanted; // a little inside, as the finest values are kept no longer
    const from = data[0].length && now - last < seconds ? Math.max(start, data[0][data[0].length - 1] - 3 * step) : start;
    try {
      await read(from);
      last = now;
    } catch {
      // Not reached: the page's watchdog says so, and the next turn is another try.
    }
  }

  root.replaceChildren();
  document.getElementById("points")?.removeAttribute("open"); // it stood for the charts
  build();
  refresh();
  setInterval(refresh, Math.min(60, Math.max(2.5, wanted / 4)) * 1000);
  document.addEventListener("visibilitychange", refresh);
  document.addEventListener("evenkeel:patched", (event) => {
    if (event.target.id === "service-intake") for (const { chart } of charts) chart.redraw(false, false);
    if (["service-changes", "room-marks"].includes(event.target.id)) for (const [i, { chart }] of charts.entries()) marks(chart, i === 0, exact);
  });
  new ResizeObserver(resize).observe(root);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const { chart } of charts) chart.redraw(false, true); });
})();
