"""Words and pixels for people: imports everything, imported by nothing."""

import atexit
import gc

# A command makes a hundred thousand objects that last as long as it does.  To look through them for garbage every 700,
# and all of them once more at the end, took a quarter of a dry run.
gc.set_threshold(300_000, 20, 20)
atexit.register(gc.freeze)
