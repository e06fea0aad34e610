"""Planning: candidates encoded for real, their quality, and the verdict.

From what a user asks to a plan, in the order in which data flows; each step makes values from values:

- `request` is what was asked; `prepare` opens it: `source` (a checkpoint, an artifact, or a model file's synthetic
  weights, under a preview codec perhaps).
- `candidates` with `grids`: what is tried, and what is trained and tried again.
- `trying` makes trials of them: it writes each file (`building` one and reading it back) in processes side by side,
  `examine`s it, `measuring` it on text unless a certificate rules it out.  `result_cache` remembers.
- `joint` puts head and trunk together.
- `verdict` decides, once, on finished `trials`, and says what follows; `settling`, what would settle it.
- `fresh` measures what the answers name on another text, where there is one.
- `run` does all of it in order; `plan_json` is what it looks like saved, and `rewrite` writes any of its files again.
- `vocabulary`: the joint question, over vocabularies.

`trials` has every rule by which one candidate is picked among others, `results` the values of a plan; they and
`verdict` do not import torch, and nor does `request`.
"""
