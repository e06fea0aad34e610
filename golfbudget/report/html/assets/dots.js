// Amounts against the cap: a row for each thing, or lines across a number that was swept.

const ROW_HEIGHT = 30;
const FORMS = ["circle", "square", "diamond", "triangle-up", "cross"];

function dots(data) {
  const { holder } = place("dots");
  const series = data.series;
  const tones = series.map((_, at) => `series-${1 + (at % 5)}`);
  const named = [...new Set(data.dots.map((dot) => dot.row))];

  const values = () => data.dots.map((dot) => ({
    ...dot, at: Number(dot.row), tint: color(tones[series.indexOf(dot.series)]),
    form: FORMS[series.indexOf(dot.series) % FORMS.length],
    middle: dot.value ?? (dot.low === undefined || dot.high === undefined ? null : (dot.low + dot.high) / 2),
  }));

  function extent() {
    const all = data.dots.flatMap((dot) => [dot.value, dot.low, dot.high]).filter((n) => n !== undefined && n !== null);
    if (data.cap) all.push(data.cap);
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const margin = 0.05 * (high - low || high || 1);
    return [Math.max(0, low - margin), high + margin];
  }

  function draw() {
    const width = holder.clientWidth;
    return (data.across ? lines(width) : rows(width)).then((view) => {
      tips(view, (dot) => dot.row && `${plain(dot.row)}\n${dot.series}: ${dot.value === undefined ? `${count(dot.low)} to ${count(dot.high)}` : count(dot.value)} bytes`);
      holder.view = view;
    });
  }

  const common = (width, height) => ({
    width, height, autosize: { type: "fit", contains: "padding" }, padding: 6, config: looks(),
    data: [{ name: "dots", values: values() },
      { name: "ranges", source: "dots", transform: [{ type: "filter", expr: "isValid(datum.low) && isValid(datum.high)" }] },
      { name: "known", source: "dots", transform: [{ type: "filter", expr: "isValid(datum.middle)" }] }],
  });

  function cap(scale) {
    if (!data.cap) return [];
    const along = scale === "x" ? { x: { scale, value: data.cap }, y: { value: 0 }, y2: { signal: "height" } }
      : { y: { scale, value: data.cap }, x: { value: 0 }, x2: { signal: "width" } };
    const at = scale === "x" ? { x: { scale, value: data.cap, offset: -5 }, y: { value: -4 }, align: { value: "right" } }
      : { y: { scale, value: data.cap, offset: -5 }, x: { value: 4 } };
    return [
      { type: "rule", encode: { update: { ...along, stroke: { value: color("bad") }, strokeWidth: { value: 1.5 } } } },
      { type: "text", encode: { update: { ...at, text: { value: `cap ${count(data.cap)}` }, fill: { value: color("bad") }, fontSize: { value: 11 } } } },
    ];
  }

  const symbol = (place) => ({ type: "symbol", from: { data: "known" }, encode: { update: {
    ...place, shape: { field: "form" }, size: { value: 90 }, fill: { field: "tint" }, stroke: { value: color("surface") } } } });

  function rows(width) {
    const labels = Math.min(260, width * 0.36);
    return show(holder, {
      ...common(width, named.length * ROW_HEIGHT + 70),
      padding: { left: 4, right: 16, top: 18, bottom: 4 },
      scales: [
        { name: "x", type: "linear", range: "width", domain: extent(), zero: false },
        { name: "y", type: "band", range: "height", domain: named, padding: 0.4 },
      ],
      axes: [
        { scale: "x", orient: "bottom", grid: true, title: data.axis, format: ",d", tickCount: { signal: "max(2, width / 120)" }, labelOverlap: true },
        { scale: "y", orient: "left", labelLimit: labels, grid: true, bandPosition: 0.5, domain: false, ticks: false },
      ],
      marks: [
        ...cap("x"),
        { type: "rule", from: { data: "ranges" }, encode: { update: {
          y: { scale: "y", field: "row", band: 0.5 }, x: { scale: "x", field: "low" }, x2: { scale: "x", field: "high" },
          stroke: { field: "tint" }, strokeWidth: { value: 4 }, strokeCap: { value: "round" }, opacity: { value: 0.5 } } } },
        symbol({ x: { scale: "x", field: "middle" }, y: { scale: "y", field: "row", band: 0.5 } }),
      ],
    });
  }

  function lines(width) {
    return show(holder, {
      ...common(width, Math.max(320, Math.min(480, width * 0.5))),
      scales: [
        { name: "x", type: "linear", range: "width", domain: { data: "dots", field: "at" }, zero: false, nice: true },
        { name: "y", type: "linear", range: "height", domain: extent(), zero: false },
      ],
      axes: [
        { scale: "x", orient: "bottom", grid: true, title: data.across, labelOverlap: true },
        { scale: "y", orient: "left", grid: true, title: data.axis, format: ",d", labelOverlap: true },
      ],
      marks: [
        { type: "group", from: { facet: { name: "of", data: "dots", groupby: "series" } }, marks: [
          { type: "area", from: { data: "of" }, encode: { update: {
            x: { scale: "x", field: "at" }, y: { scale: "y", field: "low" }, y2: { scale: "y", field: "high" },
            defined: { signal: "isValid(datum.low) && isValid(datum.high)" }, fill: { field: "tint" }, opacity: { value: 0.15 } } } },
          { type: "line", from: { data: "of" }, encode: { update: {
            x: { scale: "x", field: "at" }, y: { scale: "y", field: "middle" }, defined: { signal: "isValid(datum.middle)" },
            stroke: { field: "tint" }, strokeWidth: { value: 2 } } } },
        ] },
        ...cap("y"),
        { type: "rule", from: { data: "ranges" }, encode: { update: {
          x: { scale: "x", field: "at" }, y: { scale: "y", field: "low" }, y2: { scale: "y", field: "high" },
          stroke: { field: "tint" }, strokeWidth: { value: 2 } } } },
        symbol({ x: { scale: "x", field: "at" }, y: { scale: "y", field: "middle" } }),
      ],
    });
  }

  if (series.length > 1) {
    const signs = { circle: "●", square: "■", diamond: "◆", "triangle-up": "▲", cross: "✚" };
    const items = series.map((name, at) => {
      const sign = el("span", { "aria-hidden": "true" }, `${signs[FORMS[at % FORMS.length]]} `);
      sign.style.color = `var(--${tones[at]})`;
      return el("span", { className: "item" }, sign, name);
    });
    holder.closest(".drawn").prepend(el("div", { className: "legend" }, ...items));
  }
  pictures.push(draw);
  return draw();
}

const start = () => dots(picture.dots);
