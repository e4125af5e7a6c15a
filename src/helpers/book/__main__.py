"""`python -m helpers.book`: the command line of the study."""

import sys

from helpers.book import cli

sys.exit(cli.main())
