"""From notebooks and parameters to executed, checked pages and the site; the command line."""

import sys

# Only jsonschema asks for this module, to check international addresses, and no notebook has any. It compiles a grammar
# for a second and a half, in each of the many processes that execute a chapter; where it is missing, jsonschema leaves
# the check out.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
