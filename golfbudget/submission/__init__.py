"""A submission: a folder with an artifact, its code, its logs and its claims, counted by every convention.

    folder       which files are what, by the rules' patterns
    code         the program: stubs seen through, local imports found by parsing; nothing is executed
    packed       the program packed as small as it gets, by really packing it
    logs         figures that training logs print, run by run
    claims       figures in submission*.json, in their many spellings
    models       model files: the codec their bytes show, and files that hold no model
    conventions  the artifact of each run, counted as logged, shipped, packed and folder
    megabytes    sizes and caps that say MB and mean MiB
    matching     which figure a claim agrees with
    findings     what there is to say, with stable codes and severities
    examine_*    the findings about totals, claims and files
    beside       the code of a folder that another command was given
    check        all of it for one folder, giving a `checked` submission

Bytes of a model that is not in the folder come from the logs and are `claimed`.
"""

from golfbudget.submission.check import check_submission
from golfbudget.submission.findings import TABLE, Checked, Finding, Severity

__all__ = ["TABLE", "Checked", "Finding", "Severity", "check_submission"]
