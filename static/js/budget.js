// The chart of one objective: its budget at the end of each hour; changes are marks.
//
// y is from 0 to 100 %, below 0 where it was overspent, to -100 % at most: what is below that is drawn
// at the edge, which says so, and the legend says the value.
// An hour at whose end nothing was counted in the whole window is a gap.
"use strict";

(() => {
  const root = document.getElementById("budget-chart");
  if (!root || !window.uPlot) return;
  const { colour, short, wide, word, level, marks, shadeMaintenance, alone, axes } = window.evenkeel.chart;
  const seconds = Number(root.dataset.seconds);
  const EVERY_MS = 60000;
  const DAY_S = 86400;
  const LOWEST = -100;
  const ROOM = 4;
  const exact = new Intl.DateTimeFormat(undefined, {
    day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  });
  const whole = new Intl.NumberFormat("en-GB"); // as the page writes numbers
  let points = [];
  let data = [[], [], []]; // time, left %, left % without exclusions
  let below = false; // whether anything is drawn at the edge for want of room

  const told = (value) => (value === null || value === undefined ? "no traffic" : `${short(Math.round(value * 10) / 10)} %`);

  const percent = (value) => (value === null ? null : value * 100);
  const drawn = (value) => (value === null ? null : Math.max(LOWEST, percent(value)));
  const lower = (value) => value !== null && percent(value) < LOWEST;

  root.replaceChildren();
  document.getElementById("days")?.removeAttribute("open"); // it stood for the chart
  const figure = document.createElement("figure");
  figure.className = "chart-figure";
  const title = document.createElement("figcaption");
  title.textContent = "Budget left, %";
  const legend = document.createElement("span");
  legend.className = "legend num";
  title.append(legend);
  figure.append(title);
  root.append(figure);

  function first() {
    const counted = points.find((point) => point.good + point.bad > 0 || point.budget_left !== null);
    return counted ? Date.parse(counted.end) / 1000 - 3600 : Infinity;
  }

  function span() {
    const now = Date.now() / 1000;
    return [Math.max(now - seconds, Math.min(first(), now - DAY_S)), now];
  }

  function range() {
    const low = Math.min(0, ...[data[1], data[2]].flat().filter((value) => value !== null));
    // A little more than that, so that a line along an edge is not cut.
    return [low < 0 ? Math.max(LOWEST, Math.floor(low / 20) * 20) - ROOM : 0, 100 + ROOM];
  }

  // Where the budget is used up.
  function drawZero(chart) {
    const { bbox } = chart;
    const y = Math.round(chart.valToPos(0, "y", true)) + 0.5;
    if (y > bbox.top + bbox.height - 1) return;
    level(chart, y);
    word(chart, "used up", bbox.left + bbox.width - wide(chart, "used up"), y - 16 * devicePixelRatio);
  }

  // At the lower edge, what is drawn there is lower still.
  function drawBelow(chart) {
    if (!below) return;
    const { bbox } = chart;
    const text = `below ${told(LOWEST)}`;
    word(chart, text, bbox.left + bbox.width - wide(chart, text), chart.valToPos(LOWEST, "y", true) - 20 * devicePixelRatio);
  }

  const line = (name, dash) => ({ stroke: () => colour(name), width: 1.5, dash, spanGaps: false, points: alone(name) });
  const chart = new uPlot({
    width: figure.clientWidth,
    height: 220,
    padding: [20, 24, 0, 0], // room for the last day's name
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    scales: { x: { time: true, range: span }, y: { range } },
    axes: axes(),
    series: [{}, line("--ink"), line("--unknown", [3, 3])],
    hooks: {
      drawClear: [shadeMaintenance],
      draw: [drawZero, drawBelow],
      setCursor: [(chart) => tell(chart.cursor.idx)],
      setScale: [(chart, key) => { if (key === "x") queueMicrotask(() => marks(chart, true, exact)); }],
    },
  }, data, figure);

  function tell(pointed) {
    const index = pointed ?? points.length - 1;
    const point = points[index];
    if (!point) return;
    const n = point.good + point.bad;
    const parts = [exact.format(Date.parse(point.end)), `${told(percent(point.budget_left))} left`];
    if (data[2][index] !== null) parts.push(`${told(percent(point.budget_left_without_exclusions))} without exclusions`);
    parts.push(n ? `${whole.format(point.bad)} of ${whole.format(n)} failed in the hour` : "no traffic in the hour");
    while (legend.children.length < parts.length) legend.append(document.createElement("span"));
    parts.forEach((text, i) => { legend.children[i].textContent = text; });
    for (const extra of [...legend.children].slice(parts.length)) extra.remove();
  }

  async function refresh() {
    if (document.hidden) return;
    try {
      const answer = await fetch(`/api/v1/slos/${encodeURIComponent(root.dataset.name)}/history`, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      ({ points } = await answer.json());
    } catch {
      return; // not reached: the page's watchdog says so, and the next turn is another try
    }
    const differs = points.some((point) => point.budget_left !== point.budget_left_without_exclusions);
    data = [
      points.map((point) => Date.parse(point.end) / 1000),
      points.map((point) => drawn(point.budget_left)),
      points.map((point) => (differs ? drawn(point.budget_left_without_exclusions) : null)),
    ];
    below = points.some((point) => lower(point.budget_left) || (differs && lower(point.budget_left_without_exclusions)));
    root.toggleAttribute("data-below", below);
    chart.setData(data);
    tell(chart.cursor.idx);
  }

  refresh();
  setInterval(refresh, EVERY_MS);
  document.addEventListener("visibilitychange", refresh);
  document.addEventListener("evenkeel:patched", (event) => { if (event.target.id === "objective-changes") marks(chart, true, exact); });
  new ResizeObserver(() => chart.setSize({ width: figure.clientWidth, height: chart.height })).observe(root);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.redraw(false, true));
})();
