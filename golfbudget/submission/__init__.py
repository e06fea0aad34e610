"""A submission: a folder with an artifact, its code, its logs and its claims, counted by every convention.

    folder       which files are what, by the rules' patterns
    code         the program: stubs seen through, local imports found by parsing, and packed as small as it gets
    logs         figures that training logs print, run by run, line by line (loglines), name by name (lognames)
    choosing     which of a run's exports counts
    model_files  the model by content, and weights_in_code where the code holds it
    stating      the true figures, to be claimed
    claims       figures in submission*.json, in their many spellings
    conventions  the artifact of each run, counted as logged, shipped, packed and folder
    megabytes    sizes and caps that say MB and mean MiB
    matching     which figure a claim agrees with
    findings     what there is to say, with stable codes and severities, and the checked submission
    examine_*    the findings about totals and claims, logs, and code and model files
    check        all of it for one folder
    batch        many folders, side by side, and what became of each

Bytes of a model that is not in the folder come from the logs and are `claimed`.
"""

from golfbudget.submission.check import check_submission
from golfbudget.submission.findings import TABLE, Checked, Finding, Severity

__all__ = ["TABLE", "Checked", "Finding", "Severity", "check_submission"]
