"""The study of trained heads: every run of `example.heads` as files of equal bytes, measured, and the page about it.

`evaluator` scores a run's files, `structure` is the code that reads a head's structure back, `files` writes the ladder
of files, `measuring` makes one result of a run, `results` are values and JSON, `table`, `figure` and `page` what is
said of them.
"""
