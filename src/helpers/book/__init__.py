"""From notebooks and parameters to executed, checked pages and the site; the command line."""
