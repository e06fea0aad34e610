// Why an owner is called what it is called, and what stores it: from the report's own lines.

function explainOwner(node) {
  if (!node.owner || !node.parent) return [];
  const rows = report.owners.filter((row) => row.owner === node.owner && row.role === node.role);
  const entries = report.entries.filter((row) => row.owner === node.owner && row.role === node.role);
  const accounts = new Map();
  const tensors = new Map();
  for (const entry of entries) {
    accounts.set(entry.account, (accounts.get(entry.account) ?? 0) + entry.stored_bytes);
    if (entry.tensor) tensors.set(entry.tensor, `${entry.tensor}: ${entry.dtype} ${JSON.stringify(entry.shape)}`);
  }
  const layers = report.layers.filter((layer) => !layer.member);
  return [
    facts([
      ["owner", node.owner === node.name ? null : node.owner],
      ["role", node.role],
      ["why", rows[0]?.reason],
      ["stored in", layers.map((layer) => layer.name).join(" › ")],
      ["attribution", layers.map((layer) => layer.attribution).filter(Boolean).join(", ")],
      ["accounts", [...accounts].map(([account, bytes]) => `${account} ${count(bytes)}`).join(", ")],
    ]),
    tensors.size ? el("ul", {}, ...[...tensors.values()].map((line) => el("li", {}, line))) : null,
  ].filter(Boolean);
}

const start = () => treemap(picture.map, report.owners, explainOwner);
