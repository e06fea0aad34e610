"""Small models of the example's family, trained end to end with different output heads.

`arms` says which heads there are, `structures` what they are made of, `loss` what they lose, `model` puts a head on the
example's trunk, `text` makes tokens, `training` trains; `golfbudget.study` writes and measures their files.
"""
