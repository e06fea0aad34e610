"""golfbudget from Python: what the commands do, as functions whose keyword arguments are named as the options are.

Each function returns a `Result`: a value with a short `repr`, which a notebook shows as a table, and which writes the
JSON that the command prints.  The commands call these functions; `import golfbudget` offers them, and imports them when
they are named.

`base` is what all share; `inspect`, `compare`, `check`, `estimate`, `plan`, `repack` and `decoder` are a function and
its result.

Reading imports neither torch nor numpy (numpy where zstd or entropy needs it).
"""
