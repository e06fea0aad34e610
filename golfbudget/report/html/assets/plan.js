// What a candidate is: its tables, what it comes to, and the command that writes it.

function explainCandidate(point) {
  const found = report.candidates.find((each) => each.name === point.name);
  if (!found) return [];
  const raw = found.tables.reduce((sum, table) => sum + table.raw_bytes, 0);
  const copy = el("button", { type: "button" }, "Copy");
  const command = el("code", {}, point.command);
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(point.command);
      copy.textContent = "Copied";
    } catch { // Not every browser lets a page from disk do so: then it is chosen, to be copied by hand.
      getSelection().selectAllChildren(command);
    }
  });
  const accounts = new Map();
  for (const table of found.tables) {
    const name = `${table.name} (${table.account}, ${table.bits} bits)`;
    const [tables, bytes] = accounts.get(name) ?? [0, 0];
    accounts.set(name, [tables + 1, bytes + table.raw_bytes]);
  }
  const lines = [...accounts].map(([name, [tables, bytes]]) => el("tr", {},
    el("th", { scope: "row" }, name), el("td", { className: "n" }, count(tables)),
    el("td", { className: "n" }, count(bytes))));
  const heads = ["table", "owners", "raw bytes"].map((text, at) =>
    el("th", { scope: "col", className: at ? "n" : "" }, text));
  return [
    el("p", { className: "command" }, command, copy),
    el("p", { className: "hint" }, "plan.json is this plan as saved with --format json, or by the button below."),
    facts([
      ["artifact", `${count(found.artifact_bytes)} bytes`],
      ["decoder", `${count(found.decoder_bytes)} bytes`],
      ["counted", `${count(found.counted_bytes)} bytes`],
      ["evidence", found.quality.evidence],
      ["ruled out by", found.loser],
      ["floor", found.floor && `${found.floor.value} ${found.floor.unit}: ${found.floor.statement}`],
      ["input side", found.input_side],
      ["raw tables", `${count(raw)} bytes`],
    ]),
    lines.length ? el("table", {}, el("caption", {}, "Its tables, before any codec"),
      el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...lines)) : null,
  ].filter(Boolean);
}

const start = () => plane(picture.plane, report.candidates, explainCandidate);
