"""`python -m helpers.book`: the command line of the study."""

import os
import sys

if not sys.flags.utf8_mode:  # text is UTF-8, whatever the locale says, in all processes that follow too
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

try:
    from helpers.book import cli

    sys.exit(cli.main())
except SyntaxError as error:
    sys.exit(f"{error.filename}, line {error.lineno}, is no Python ({error.msg}); mend it, or take the file from git")
