"""Words and pixels for people: imports everything, imported by nothing."""
