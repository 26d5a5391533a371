"""Many rows of work: manifests, records of what is done, worker processes here or elsewhere, and a page of results."""
