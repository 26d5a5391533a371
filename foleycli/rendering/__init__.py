"""One video in, its sound out: jobs, analysis, plan, generation, files."""
