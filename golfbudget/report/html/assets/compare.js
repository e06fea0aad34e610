// What one owner was on both sides.

function explainChange(node) {
  const delta = node.bytes - (node.amounts.base ?? 0);
  const rows = node.owner ? report.owners.filter((row) => row.owner === node.owner && row.role === node.role) : [];
  const forms = (side) => side?.tensors?.join(", ");
  return [facts([
    ["change", `${signed(delta)} bytes, from ${count(node.amounts.base ?? 0)}`],
    ...rows.flatMap((row) => [
      ["status", row.status],
      ["content", row.content],
      ["base tensors", forms(row.base)],
      ["new tensors", forms(row.new)],
    ]),
  ])];
}

const start = () => treemap(picture.map, report.owners, explainChange);
