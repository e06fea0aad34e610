// The treemap: every area is in proportion to its bytes, and all of them are the file.
// A part is opened into its own where it is large enough, so that what is drawn stays legible however many there are.

const OPEN_AREA = 7000; // Pixels; a smaller part is drawn as one until someone goes in.
const UNKNOWN = "unknown";

function treemap({ root, colours }, listed, explain) {
  const { holder, aside } = place("map");
  const nodes = [];
  index(root, null);
  let [focus, chosen, colour, wanted] = [root, null, colours[0], ""];

  function index(node, parent) {
    node.id = nodes.push(node) - 1;
    node.parent = parent;
    node.bytes ??= 0;
    node.amounts ??= {};
    node.children ??= [];
    node.words = `${node.name} ${node.owner ?? ""} ${node.role ?? ""}`.toLowerCase();
    node.children.forEach((child) => index(child, node));
  }

  /** The node itself, or the only one that it holds, down to an owner's own. */
  function sole(node) {
    const only = node.children.length === 1 ? node.children[0] : null;
    return only && only.children.length ? sole(only) : node;
  }

  /** A part that is all one owner's goes by that owner's name, unless it is one of its accounts. */
  const called = (node) => (node.owner && node.parent?.owner !== node.owner ? node.owner : node.name);
  const matches = (node) => node.words.includes(wanted) || node.children.some(matches);
  const bits = (node) => (node.amounts.parameters ? (8 * node.bytes) / node.amounts.parameters : null);
  const slack = (node) => ("slack" in node.amounts && node.bytes ? node.amounts.slack / node.bytes : null);
  const delta = (node) => node.bytes - (node.amounts.base ?? 0);

  /** What is drawn: cells that tile the focus, and the frames around those that belong together. */
  function visible(width, height) {
    const made = [];
    const add = (node, parent) => {
      const own = node === focus ? sole(node) : node;
      const area = (width * height * node.bytes) / (focus.bytes || 1);
      const open = own.children.length > 0 && (node === focus || (area > OPEN_AREA && !own.owner));
      made.push({ id: node.id, parent, leaf: !open, bytes: open ? 0 : node.bytes, node: open ? own.id : sole(node).id });
      if (open) own.children.filter((child) => child.bytes > 0).forEach((child) => add(child, node.id));
    };
    add(focus, null);
    return made;
  }

  const scales = {
    role: () => (node) => color(`role-${node.role || UNKNOWN}`) || color("role-unassigned"),
    "bits per parameter": (cells) => ramp(cells, bits, "low", "high", (n) => `${n.toFixed(2)} bits`),
    "entropy slack": (cells) => ramp(cells, slack, "low", "high", (n) => `${(100 * n).toFixed(1)} % slack`),
    change: (cells) => diverging(cells),
  };

  function ramp(cells, value, low, high, words) {
    const known = cells.map(value).filter((n) => n !== null);
    const [least, most] = [Math.min(...known), Math.max(...known)];
    const [from, to, none] = [color(low), color(high), color("neutral")];
    gradient(known.length ? [words(least), words(most)] : ["", ""], [from, to], "no parameters");
    return (node) => {
      const n = value(node);
      return n === null ? none : mix(from, to, most > least ? (n - least) / (most - least) : 0.5);
    };
  }

  /** By the root of the change's share, so that small changes show beside large ones. */
  function diverging(cells) {
    const share = (node) => Math.sign(delta(node)) * Math.sqrt(Math.abs(delta(node)) / (node.bytes + (node.amounts.base ?? 0) || 1));
    const most = Math.max(1e-9, ...cells.map((node) => Math.abs(share(node))));
    const [grew, shrank, same] = [color("more"), color("less"), color("neutral")];
    gradient(["shrank", "grew"], [shrank, same, grew], null);
    return (node) => mix(same, share(node) > 0 ? grew : shrank, Math.abs(share(node)) / most);
  }

  function gradient([low, high], stops, none) {
    const strip = el("span", { className: "gradient" });
    strip.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
    const rest = none && el("span", { className: "item" }, el("span", { className: "key neutral" }), none);
    document.getElementById("legend").replaceChildren(low, strip, high, ...(rest ? [rest] : []));
  }

  function roles() {
    const found = root.children.filter((node) => node.bytes > 0);
    document.getElementById("legend").replaceChildren(...found.map((node) => {
      const said = `${node.name} ${percent(node.bytes, root.bytes)}`;
      const button = el("button", { type: "button" }, el("span", { className: `key role-${node.role}` }), said);
      button.addEventListener("click", () => zoom(node));
      return button;
    }));
  }

  async function draw() {
    const width = holder.clientWidth;
    const height = Math.round(Math.max(340, Math.min(620, width * 0.62)));
    const shown = visible(width, height);
    const cells = shown.filter((each) => each.leaf);
    if (colour === "role") roles();
    const fill = scales[colour](cells.map((each) => nodes[each.node]));
    for (const each of cells) {
      const node = nodes[each.node];
      const block = plain(node.parent?.name ?? "");
      each.name = plain(called(node));
      each.short = each.name.startsWith(`${block}.`) ? each.name.slice(block.length + 1) : each.name;
      each.fill = fill(node);
      each.ink = inkOn(each.fill);
      each.note = count(node.bytes);
      each.where = each.short === each.name ? "" : block;
      each.dim = wanted !== "" && !matches(node) && !ancestors(node).some((above) => above.words.includes(wanted));
    }
    const view = await show(holder, specification(width, height, shown));
    view.addEventListener("click", (_, item) => item?.datum && select(nodes[item.datum.node]));
    view.addEventListener("dblclick", (_, item) => item?.datum && zoom(nodes[item.datum.node]));
    tips(view, (datum) => {
      const node = nodes[datum.node];
      const path = [...ancestors(node), node].slice(1).map((each) => plain(each.name)).join(" › ");
      return `${path}\n${count(node.bytes)} bytes, ${percent(node.bytes, root.bytes)}`;
    });
    holder.dataset.cells = cells.length;
    holder.view = view;
  }

  function ancestors(node) {
    return node.parent ? [...ancestors(node.parent), node.parent] : [];
  }

  function specification(width, height, values) {
    const box = { x: { field: "x0" }, y: { field: "y0" }, x2: { field: "x1" }, y2: { field: "y1" } };
    const room = (across, down) => `datum.x1 - datum.x0 > ${across} && datum.y1 - datum.y0 > ${down}`;
    const full = "datum.x1 - datum.x0 > 7.2 * length(datum.name) + 12";
    const placed = `!(${full}) && datum.x1 - datum.x0 > 6.2 * length(datum.note + datum.where) + 24`;
    const words = (text, y, down, size, weight) => ({
      type: "text", from: { data: "cells" }, interactive: false,
      encode: { update: {
        x: { field: "x0", offset: 6 }, y: { field: "y0", offset: y }, baseline: { value: "top" }, text: { signal: text },
        limit: { signal: "datum.x1 - datum.x0 - 10" }, fill: { field: "ink" }, fontSize: { value: size },
        fontWeight: { value: weight },
        opacity: { signal: `(${room(40, down)} ? 1 : 0) * (datum.dim ? 0.25 : 1)` },
      } },
    });
    return {
      width, height, padding: 0, autosize: "none", config: looks(),
      signals: [{ name: "chosen", value: chosen === null ? -1 : chosen.id }],
      data: [
        { name: "nodes", values, transform: [
          { type: "stratify", key: "id", parentKey: "parent" },
          { type: "treemap", field: "bytes", sort: { field: "value", order: "descending" }, round: false, ratio: 1.4,
            size: [{ signal: "width" }, { signal: "height" }] },
        ] },
        { name: "cells", source: "nodes", transform: [{ type: "filter", expr: "datum.leaf" }] },
        { name: "frames", source: "nodes", transform: [{ type: "filter", expr: "!datum.leaf && datum.depth > 0" }] },
      ],
      marks: [
        { type: "rect", name: "cell", from: { data: "cells" }, encode: {
          enter: { ...box, cursor: { value: "pointer" } },
          update: { fill: { field: "fill" }, stroke: { value: color("surface") }, strokeWidth: { value: 1 },
            opacity: { signal: "datum.dim ? 0.18 : 1" } },
        } },
        { type: "rect", from: { data: "frames" }, interactive: false, encode: { update: {
          ...box, stroke: { value: color("surface") }, strokeWidth: { signal: "datum.depth === 1 ? 5 : 2.5" },
        } } },
        words(`${full} ? datum.name : datum.short`, 6, 20, 12, 600),
        words(`${placed} ? datum.note + '  ' + datum.where : datum.note`, 22, 38, 11, 400),
        { type: "rect", from: { data: "cells" }, interactive: false, encode: { update: {
          ...box, stroke: { value: color("ink") }, strokeWidth: { signal: "datum.node === chosen ? 3 : 0" },
        } } },
      ],
    };
  }

  function select(part) {
    const node = part.owner ? sole(part) : part;
    chosen = node;
    holder.view?.signal("chosen", node.id).runAsync();
    const path = ancestors(node).slice(1).map((each) => each.name);
    const inside = sole(node).children.length ? sole(node) : null;
    const go = inside && el("button", { type: "button", className: "main" }, "Go in");
    go?.addEventListener("click", () => zoom(inside));
    const above = focus !== root && el("button", { type: "button" }, "Come back");
    above && above.addEventListener("click", () => zoom(focus.parent ?? root));
    aside.replaceChildren(
      el("h3", {}, called(node)),
      path.length ? el("p", { className: "path" }, path.join(" › ")) : "",
      facts([
        ["stored", `${count(node.bytes)} bytes, ${percent(node.bytes, root.bytes)} of the file`],
        ["parameters", node.amounts.parameters ? count(node.amounts.parameters) : null],
        ["bits per parameter", bits(node)?.toFixed(3)],
        ["entropy slack", slack(node) === null ? null : `${count(node.amounts.slack)} bytes over the floor of ${count(node.amounts.floor)}`],
      ]),
      ...explain(node),
      el("p", { className: "tools" }, ...[go, above].filter(Boolean)),
    );
  }

  function zoom(node) {
    focus = node.children.length ? node : node.parent ?? root;
    const path = [...ancestors(focus), focus];
    document.getElementById("crumbs").replaceChildren(...path.flatMap((each, at) => {
      if (each === focus) return [el("b", { "aria-current": "location" }, each.name)];
      const button = el("button", { type: "button" }, each.name);
      button.addEventListener("click", () => zoom(each));
      return [button, at < path.length - 1 ? " › " : ""];
    }));
    select(focus);
    return draw();
  }

  const search = document.getElementById("search");
  search.addEventListener("input", () => {
    wanted = search.value.trim().toLowerCase();
    const found = nodes.filter((node) => node.owner && node.parent?.owner !== node.owner && matches(node));
    const bytes = found.reduce((sum, node) => sum + node.bytes, 0);
    document.getElementById("found").textContent = wanted
      ? `${count(found.length)} match: ${count(bytes)} bytes, ${percent(bytes, root.bytes)}` : "";
    draw();
  });
  const buttons = [...document.querySelectorAll("[data-colour]")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      colour = button.dataset.colour;
      buttons.forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
      draw();
    });
  }
  keys(holder, {
    list: () => visible(holder.clientWidth, holder.view?.height() ?? 1).filter((each) => each.leaf)
      .map((each) => nodes[each.node]).sort((a, b) => b.bytes - a.bytes),
    chosen: () => chosen,
    choose: select,
    enter: () => chosen && zoom(sole(chosen)),
    leave: () => zoom(focus.parent ?? root),
  });
  choosing("owners", listed, ({ owner, role }) => {
    const own = nodes.filter((node) => node.owner === owner && node.role === role);
    select(own.find((node) => node.parent?.owner !== owner) ?? root);
    aside.scrollIntoView({ block: "nearest" });
  });
  pictures.push(draw);
  return zoom(root);
}
