"""Fitting: the artifact of least loss whose file, with the code that reads it, is within a cap.

From what a user asks to one file, in the order in which data flows:

- `request` is what was asked; `plan.prepare` opens it, and `texts` says which text chooses and which reports.
- `menu` lists what each matrix may become; `desk` encodes each entry and takes its bytes and its error.
- `costs` says what an error costs, by one measured perturbation of each matrix; `kept` keeps both for the next fit.
- `plan.joint` chooses within the cap; `assembly` writes what was chosen; `search` does so until bytes agree with what
  was expected and measured neighbours are no better; `filling` scales a last step until the cap is used up.
- `bench` has everything that files are fitted with.
- `container` makes the file smaller at no loss and counts the loader; `run` does all of it in order.
- `results` are values, `fit_json` what they look like saved.
"""
