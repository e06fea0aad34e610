// How one matrix is stored, and where the file is in the plane.

function explainChoice(node) {
  const row = node.owner && report.choices.find((each) => each.owner === node.owner);
  if (!row) return [];
  const options = Object.entries(row.options).map(([name, value]) => `${name}=${value}`);
  return [facts([
    ["stored as", [row.scheme, ...options].join(" ")],
    ["coder", row.coder],
    ["next kB is worth", row.next_kilobyte === null ? null : `${row.next_kilobyte} µbpb`],
  ])];
}

const start = async () => {
  await treemap(picture.map, report.choices, explainChoice);
  if (picture.plane) await plane(picture.plane, [], () => []);
};
