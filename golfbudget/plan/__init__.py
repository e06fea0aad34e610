"""Planning: candidates encoded for real, their quality, and the verdict.

From what the user gave to a plan, in the order in which data flows:

- `setup` opens it: `source` (a checkpoint or artifact) or `model_source` (a model file's synthetic weights), `texts`,
  `settings`; `preview` changes the codec.
- `candidates` with `grids`: what is tried.  `building` writes a candidate's file, in processes of `workers`, and `kept`
  remembers it; `reading` decodes it.
- `judging`: `quality` by error, `distortion` under second moments, `measuring` on text, `certify` without either.
- `recover` trains the best; `joint` puts head and trunk together by `allocation`.
- `verdict` decides, `advice` says what follows; `run` does all of it in order, `saved` writes any of its files again.
- `vocabulary`: the joint question, over vocabularies.

Values are in `results`.  `verdict`, `advice` and `results` do not import torch.
"""
