// What the charts of every page share: colours, scales, words on the canvas, changes as marks.
"use strict";

(() => {
  const app = (window.evenkeel = window.evenkeel || {});
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // 1, 2 or 5 times a power of ten, at or above `value`.
  function nice(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= value * (1 - 1e-9));
  }

  const short = (value) => (value === null || value === undefined ? "–" : Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(2))));
  const times = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const days = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
  const years = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

  // What stands at the times of an axis: the first of each day has its date where it crosses days, and of another year
  // its year. `incr`: seconds between them.
  function datesOf(splits, incr, now = new Date()) {
    const dates = splits.map((at) => new Date(at * 1000));
    const crosses = new Set(dates.map((at) => at.toDateString())).size > 1;
    return dates.map((at, i) => {
      const day = (at.getFullYear() === now.getFullYear() ? days : years).format(at);
      if (incr >= 86400) return day;
      const first = i === 0 || dates[i - 1].toDateString() !== at.toDateString();
      return crosses && first ? `${times.format(at)}\n${day}` : times.format(at);
    });
  }

  // Words on a ground of their own, so that no line crosses them; `x`, `y` is their left upper corner.
  const PAD = 4;
  function wide({ ctx }, text) {
    ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
    return ctx.measureText(text).width + 2 * PAD * devicePixelRatio;
  }

  function word(chart, text, x, y) {
    const { ctx } = chart;
    const ratio = devicePixelRatio;
    ctx.save();
    const width = wide(chart, text);
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    ctx.fillStyle = colour("--panel");
    ctx.globalAlpha = 0.85;
    ctx.fillRect(x, y, width, 15 * ratio);
    ctx.globalAlpha = 1;
    ctx.fillStyle = colour("--secondary");
    ctx.fillText(text, x + PAD * ratio, y + 8 * ratio);
    ctx.restore();
  }

  // A level across the chart, dashed.
  function level({ ctx, bbox }, y) {
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = colour("--secondary");
    ctx.lineWidth = ratio;
    ctx.setLineDash([4 * ratio, 4 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  }

  function hatch(ctx, bbox, start, end) {
    ctx.save();
    ctx.beginPath();
    ctx.rect(start, bbox.top, end - start, bbox.height);
    ctx.clip();
    ctx.strokeStyle = colour("--unknown");
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    const every = 8 * devicePixelRatio;
    for (let x = Math.floor((start - bbox.height) / every) * every; x < end; x += every) {
      ctx.moveTo(x, bbox.top + bbox.height);
      ctx.lineTo(x + bbox.height, bbox.top);
    }
    ctx.stroke();
    ctx.restore();
  }

  // The time of each maintenance window of #changes, shaded; one that runs, up to now.
  function shadeMaintenance({ ctx, bbox, scales, valToPos }) {
    for (const window of document.querySelectorAll("#changes [data-until]")) {
      const [from, until] = [Number(window.dataset.at), Number(window.dataset.until) || Date.now() / 1000];
      if (until < scales.x.min || from > scales.x.max) continue;
      const start = Math.max(bbox.left, valToPos(from, "x", true));
      const end = Math.min(bbox.left + bbox.width, valToPos(until, "x", true));
      ctx.save();
      ctx.globalAlpha = 0.18;
      ctx.fillStyle = colour("--unknown");
      ctx.fillRect(start, bbox.top, end - start, bbox.height);
      ctx.restore();
    }
  }

  // Each change of #changes as a line and, above the first chart, a letter that can be reached by Tab.
  function marks(chart, first, exact) {
    const over = chart.over;
    const wanted = [...document.querySelectorAll("#changes [data-mark]")];
    const old = [...over.querySelectorAll(".change-line")];
    const keep = new Map(old.map((line) => [line.dataset.key, line]));
    for (const change of wanted) {
      const at = Number(change.dataset.at);
      const { min, max } = chart.scales.x;
      if (at < min || at > max) continue;
      let line = keep.get(change.dataset.key);
      keep.delete(change.dataset.key);
      if (!line) {
        line = document.createElement("div");
        line.className = "change-line";
        line.dataset.key = change.dataset.key;
        if (first) {
          const mark = document.createElement("button");
          mark.type = "button";
          mark.className = "mark";
          line.dataset.mark = change.dataset.mark;
          line.dataset.text = `${change.dataset.text}, ${exact.format(at * 1000)}`;
          mark.addEventListener("click", () => change.scrollIntoView({ block: "nearest" }));
          line.append(mark);
        }
        over.append(line);
      }
      line.style.left = `${chart.valToPos(at, "x")}px`;
    }
    for (const line of keep.values()) line.remove();
    if (first) gather(over);
  }

  // Marks that would lie on each other are one, with how many changes it stands for; its name tells them all.
  const MARK_PX = 22;
  function gather(over) {
    const at = (line) => parseFloat(line.style.left);
    let head = null;
    let texts = [];
    for (const line of [...over.querySelectorAll(".change-line")].sort((a, b) => at(a) - at(b))) {
      const mark = line.firstElementChild;
      const near = head !== null && at(line) - at(head) < MARK_PX;
      mark.hidden = near;
      if (!near) [head, texts] = [line, []];
      texts.push(line.dataset.text);
      const shown = head.firstElementChild;
      shown.textContent = texts.length > 1 ? String(texts.length) : line.dataset.mark;
      shown.title = texts.join("\n");
      shown.setAttribute("aria-label", texts.join("; "));
    }
  }

  // A value between two gaps has no line: it is drawn as a point.
  function alone(colourName) {
    const single = (values) => values.flatMap((value, i) => (value !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null ? [i] : []));
    const stroke = () => colour(colourName);
    return { show: true, filter: (chart, series) => single(chart.data[series]), size: 5, fill: stroke, stroke };
  }

  // Time below, and a scale of steps of 1, 2 or 5; `tell` writes its values.
  function axes(tell = (split) => (split >= 1000 ? `${split / 1000}k` : String(Number(split.toPrecision(3))))) {
    const common = { stroke: () => colour("--secondary"), font: "12px system-ui, sans-serif", grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false } };
    const incrs = [];
    for (let power = -3; power < 9; power += 1) for (const digit of [1, 2, 5]) incrs.push(digit * 10 ** power);
    return [
      { ...common, space: 80, size: (_, values) => (values?.some((value) => value.includes("\n")) ? 42 : 28), gap: 8, grid: { show: false }, values: (_, splits, axis, space, incr) => datesOf(splits, incr) },
      { ...common, incrs, size: 56, space: 32, values: (_, splits) => splits.map(tell) },
    ];
  }

  app.chart = { colour, nice, short, wide, word, level, hatch, marks, shadeMaintenance, alone, axes };
})();
