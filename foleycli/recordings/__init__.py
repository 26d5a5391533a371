"""Sound made of recordings: example-based synthesis (Owens et al., Visually Indicated Sounds, CVPR 2016, section 5)."""
