// What every page can do: read its own data, make elements of text alone, change theme, save, sort and filter.

const read = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");
const report = read("report");
const picture = read("picture") ?? {};

/** Text with what would break a line or turn its direction spelled out, as the tables spell it. */
const plain = (text) => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => `\\u${c.codePointAt(0).toString(16).padStart(4, "0")}`);

/** An element; children that are no elements become text, so that no name is ever markup. */
function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  const known = children.filter((child) => child !== null && child !== undefined);
  made.append(...known.map((child) => (typeof child === "string" ? plain(child) : child)));
  return made;
}

const count = (n) => Math.round(n).toLocaleString("en-US");
const signed = (n) => (n > 0 ? "+" : n < 0 ? "−" : "") + count(Math.abs(n));

/** A share as the tables spell it: never a false 0 or 100. */
function percent(part, whole) {
  if (whole <= 0) return "–";
  const share = (100 * part) / whole;
  if (share === 0 || share === 100) return `${share}\u00a0%`;
  if (share < 0.1) return "<0.1\u00a0%";
  return share > 99.9 ? ">99.9\u00a0%" : `${share.toFixed(1)}\u00a0%`;
}

/** Facts as terms and what they are; those without a value are left out. */
function facts(rows) {
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("dl", {}, ...known.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value))));
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Pictures are drawn again when the page's colours or width change. */
const pictures = [];
const redraw = () => Promise.all(pictures.map((draw) => draw()));

function themes() {
  const button = document.getElementById("theme");
  const names = ["system", "light", "dark"];
  let at = 0;
  button.hidden = false;
  button.addEventListener("click", () => {
    at = (at + 1) % names.length;
    button.textContent = `Theme: ${names[at]}`;
    if (at === 0) delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = names[at];
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

function saving() {
  const button = document.getElementById("save");
  button.hidden = false;
  button.addEventListener("click", () => {
    const text = `${JSON.stringify(report, null, 1)}\n`;
    const link = el("a", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })) });
    link.download = `${report.schema.split("/")[1]}.json`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

/** What a cell is sorted by: its amount where it has one. */
function worth(cell) {
  const text = cell?.textContent.trim() ?? "";
  const amount = Number.parseFloat(text.replace(/[,+%<>\s]/g, "").replace("−", "-"));
  return Number.isNaN(amount) ? text : amount;
}

function order(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === typeof b) return a.localeCompare(b, "en", { numeric: true });
  return typeof a === "number" ? 1 : -1;
}

/** Headings of a table as buttons that sort its rows; rows in groups keep their order. */
function sorting(table) {
  const body = table.tBodies[0];
  if (body.rows.length < 3 || body.querySelector(".part")) return;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = el("button", { type: "button", className: "sort" }, head.textContent);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [worth(row.cells[column]), row]);
      rows.sort(([a], [b]) => (down ? order(b, a) : order(a, b)));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

const MANY_ROWS = 15;

/** A field above a long table that leaves only the rows with its text. */
function filtering(table) {
  if (table.tBodies[0].rows.length < MANY_ROWS) return;
  const field = el("input", { type: "search", placeholder: "text in a row" });
  const kept = el("output");
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase();
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
    kept.textContent = wanted ? `${count(shown)} of ${count(table.tBodies[0].rows.length)} rows` : "";
  });
  table.parentElement.before(el("div", { className: "tools" }, el("label", {}, "Only rows with ", field), kept));
}

/** Names of rows as buttons that choose what they name in the picture; rows know their place in the report's list. */
function choosing(id, listed, choose) {
  for (const row of document.querySelectorAll(`#${id} tr[data-key]`)) {
    const head = row.cells[0];
    const button = el("button", { type: "button", className: "choose" }, ...head.childNodes);
    button.addEventListener("click", () => choose(listed[Number(row.dataset.key)]));
    head.append(button);
  }
}
