"""The command line: parse, call, print."""

import sys

from pipeline.core.imports import leave_working_folder

if sys.argv[:1] == ["-m"]:  # `python -m pipeline.cli.main` is on its way here: before anything else is imported
    leave_working_folder()
