// The rate-distortion plane: bytes saved to the right, what they cost upwards.

const SHAPES = { vq: "diamond", loser: "triangle-down", plain: "circle" };
const NAMED_WIDTH = 620; // Pixels from which there is room for names.

function plane(data, listed, explain) {
  const { holder, aside } = place("plane");
  const points = data.points.map((point, id) => ({ ...point, id, shape: SHAPES[point.loser ? "loser" : point.vq ? "vq" : "plain"] }));
  const order = [...points].sort((a, b) => a.x - b.x || a.y - b.y);
  let [chosen, logarithmic] = [null, true];

  /** Below this an axis is linear: the size of the smallest cost that is told from none. */
  const least = data.signed ? 10 ** Math.floor(Math.log10(Math.max(1e-6, smallest()))) : null;

  function smallest() {
    const amounts = points.map((point) => Math.abs(point.y)).filter((n) => n > 1e-4).sort((a, b) => a - b);
    return amounts[0] ?? 1e-3;
  }

  /** Powers of ten on both sides of nothing, as far as there are points. */
  function ticks(low, high) {
    const powers = [];
    for (let n = least; n <= Math.max(Math.abs(low), Math.abs(high)) * 10; n *= 10) powers.push(n);
    return [...powers.map((n) => -n).reverse(), 0, ...powers].filter((n) => n >= low && n <= high)
      .map((n) => Number(n.toPrecision(6)));
  }

  /** Powers of ten within a range of positive numbers. */
  function tens(low, high) {
    const first = Math.ceil(Math.log10(low));
    return Array.from({ length: Math.floor(Math.log10(high)) - first + 1 }, (_, at) => 10 ** (first + at));
  }

  function domain() {
    const ends = points.flatMap((point) => [point.y, point.low ?? point.y, point.high ?? point.y]);
    if (data.mark) ends.push(data.mark);
    const [low, high] = [Math.min(...ends), Math.max(...ends)];
    if (!data.signed) return [low / 1.3, high * 1.3];
    return logarithmic ? [Math.min(-least, low * 1.5), Math.max(least, high * 1.5)] : [low - 0.03 * (high - low), high + 0.06 * (high - low)];
  }

  function scale() {
    const [low, high] = domain();
    const base = { name: "y", range: "height", domain: [low, high], zero: false, nice: false };
    if (!logarithmic) return [{ ...base, type: "linear" }, undefined];
    if (!data.signed) return [{ ...base, type: "log" }, tens(low, high)];
    return [{ ...base, type: "symlog", constant: least }, ticks(low, high)];
  }

  const kinds = {
    head: "side-head", trunk: "side-trunk", joint: "side-joint", lossless: "side-lossless", all: "muted",
    baseline: "side-lossless", fitted: "side-joint", "fit-without": "side-trunk", "fit-with": "side-head",
  };
  const dashes = (kind) => (kind === "all" ? [2, 4] : kind.startsWith("fit") ? [7, 4] : [1, 0]);
  const tint = (kind) => color(kinds[kind] ?? "muted");

  async function draw() {
    const width = holder.clientWidth;
    const height = Math.round(Math.max(360, Math.min(560, width * 0.6)));
    const [y, values] = scale();
    const extent = points.map((point) => point.x).concat(0, data.cap ?? 0);
    const reach = [Math.min(...extent), Math.max(...extent)];
    const margin = 0.04 * (reach[1] - reach[0] || 1);
    const price = [];
    for (let at = 0; data.price && at <= 80; at += 1) {
      const x = (reach[1] * at) / 80;
      if (x * data.price <= y.domain[1]) price.push({ x, y: x * data.price });
    }
    const lines = data.lines.flatMap((line, id) => line.points.map(([x, cost]) => ({
      x, y: cost, id, line: line.name, tint: tint(line.kind), dash: dashes(line.kind) })));
    const view = await show(holder, {
      width, height, autosize: { type: "fit", contains: "padding" }, padding: { left: 4, right: 10, top: 8, bottom: 4 },
      config: looks(),
      signals: [{ name: "chosen", value: chosen?.id ?? -1 }],
      data: [
        { name: "points", values: points.map((point) => ({ ...point, said: plain(point.name), tint: tint(point.kind) })) },
        { name: "intervals", source: "points", transform: [{ type: "filter", expr: "isValid(datum.low) && isValid(datum.high)" }] },
        { name: "lines", values: lines },
        { name: "price", values: price },
      ],
      scales: [
        { name: "x", type: "linear", range: "width", domain: [reach[0] - margin, reach[1] + margin], zero: false, nice: false },
        y,
      ],
      axes: [
        { scale: "x", orient: "bottom", grid: true, title: data.x, format: ",d", tickCount: { signal: "max(3, width / 110)" }, labelOverlap: true },
        { scale: "y", orient: "left", grid: true, title: data.y, values, format: "~r", labelOverlap: true },
      ],
      marks: [
        guide("x", 0, "baseline", "left"),
        data.signed ? guide("y", 0, null) : guide("y", data.mark, data.mark_name),
        ...(data.cap ? [guide("x", data.cap, "fits the cap from here", "left", "bad")] : []),
        { type: "line", from: { data: "price" }, encode: { update: {
          x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, stroke: { value: color("price") },
          strokeWidth: { value: 1.5 }, strokeDash: { value: [4, 3] } } } },
        { type: "group", from: { facet: { name: "of", data: "lines", groupby: "id" } }, marks: [{
          type: "line", from: { data: "of" }, encode: { update: {
            x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, stroke: { field: "tint" },
            strokeWidth: { value: 1.5 }, strokeDash: { field: "dash" }, opacity: { value: 0.75 } } } }] },
        { type: "rule", from: { data: "intervals" }, interactive: false, encode: { update: {
          x: { scale: "x", field: "x" }, y: { scale: "y", field: "low" }, y2: { scale: "y", field: "high" },
          stroke: { field: "tint" }, strokeWidth: { value: 1.5 } } } },
        { type: "symbol", name: "symbols", from: { data: "points" }, encode: { update: {
          x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, shape: { field: "shape" },
          size: { signal: "datum.id === chosen ? 260 : datum.vq ? 110 : 90" },
          fill: { signal: "datum.loser ? 'transparent' : datum.tint" },
          stroke: { signal: `datum.id === chosen ? '${color("ink")}' : datum.loser ? datum.tint : '${color("surface")}'` },
          strokeWidth: { signal: "datum.id === chosen ? 2.5 : datum.loser ? 1.5 : 1" }, cursor: { value: "pointer" } } } },
        ...(width < NAMED_WIDTH ? [] : [{ type: "text", from: { data: "points" }, interactive: false,
          encode: { update: { x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" }, text: { field: "said" },
            fill: { value: color("ink") }, fontSize: { value: 11 } } },
          transform: [{ type: "label", size: { signal: "[width, height]" }, avoidMarks: ["symbols"], offset: [6],
            anchor: ["right", "left", "top-right", "bottom-right", "top-left", "bottom-left"] }] }]),
      ],
    });
    view.addEventListener("click", (_, item) => item?.datum?.name && select(points[item.datum.id]));
    tips(view, (datum) => datum.name && `${plain(datum.name)}\n${signed(datum.x)} bytes saved, ${cost(datum)}`);
    holder.view = view;
  }

  /** A line across the picture, with its word where it has one. */
  function guide(axis, at, word, align = "left", tone = "muted") {
    const along = axis === "x" ? { x: { scale: "x", value: at }, y: { value: 0 }, y2: { signal: "height" } }
      : { y: { scale: "y", value: at }, x: { value: 0 }, x2: { signal: "width" } };
    const marks = [{ type: "rule", interactive: false, encode: { update: { ...along, stroke: { value: color(tone) }, strokeWidth: { value: 1.25 } } } }];
    if (word) {
      const place = axis === "x" ? { x: { scale: "x", value: at, offset: 5 }, y: { signal: "height - 5" } }
        : { y: { scale: "y", value: at, offset: -5 }, x: { signal: "width - 4" }, align: { value: "right" } };
      marks.push({ type: "text", interactive: false, encode: { update: { ...place, text: { value: word }, fill: { value: color(tone) }, fontSize: { value: 11 } } } });
    }
    return { type: "group", interactive: false, marks };
  }

  function cost(point) {
    if (!data.signed) return `${point.y.toLocaleString("en-US", { maximumSignificantDigits: 3 })} × the recipe's error`;
    const said = (n) => (n > 0 ? "+" : n < 0 ? "−" : "") + Math.abs(n).toFixed(4);
    if (point.loser) return `at least ${said(point.y)} bits per byte, certified`;
    const ends = point.low === undefined ? "" : ` [${said(point.low)}, ${said(point.high)}]`;
    return `${said(point.y)}${ends} bits per byte`;
  }

  function select(point) {
    chosen = point;
    holder.view?.signal("chosen", point.id).runAsync();
    aside.replaceChildren(
      el("h3", {}, point.name),
      el("p", { className: "path" }, `${point.kind}${point.vq ? ", VQ-Logits" : ""}`),
      facts([["saved", `${signed(point.x)} bytes`], ["cost", cost(point)]]),
      ...explain(point),
    );
  }

  function legend() {
    const sides = [...new Set(points.map((point) => point.kind))].map((kind) => {
      const key = el("span", { className: "key" });
      key.style.background = `var(--${kinds[kind] ?? "muted"})`;
      return el("span", { className: "item" }, key, kind);
    });
    const marks = [];
    if (points.some((point) => point.vq)) marks.push("◆ VQ-Logits");
    if (points.some((point) => point.loser)) marks.push("▽ certified loser, at its floor");
    if (data.lines.length) marks.push("— frontier of a side, ···· of all");
    if (data.lines.some((line) => line.kind.startsWith("fit"))) marks.push("– – fitted to equal bytes");
    if (data.price) marks.push(`- - ${(data.price * 1e9).toFixed(1)} µbpb per kB, the price`);
    return el("div", { className: "legend" }, ...sides, ...marks.map((text) => el("span", { className: "item" }, text)));
  }

  function toggle() {
    const buttons = ["log", "linear"].map((name) => {
      const button = el("button", { type: "button", "aria-pressed": String((name === "log") === logarithmic) }, name);
      button.addEventListener("click", () => {
        logarithmic = name === "log";
        buttons.forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
        draw();
      });
      return button;
    });
    return el("div", { role: "group", "aria-label": "Scale of the cost" }, "Cost ", ...buttons);
  }

  holder.closest(".drawn").prepend(el("div", { className: "tools" }, toggle(), legend()));
  keys(holder, { list: () => order, chosen: () => chosen, choose: select });
  choosing("rows", listed, ({ name }) => {
    const found = points.find((point) => point.name === name);
    if (found) select(found);
    aside.scrollIntoView({ block: "nearest" });
  });
  pictures.push(draw);
  select(points.find((point) => point.name === data.first) ?? order[order.length - 1]);
  return draw();
}
