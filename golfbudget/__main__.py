"""`python -m golfbudget`."""

from golfbudget.cli.app import main

main()
