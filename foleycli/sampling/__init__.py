"""Step rules: tensors and a callable in, a tensor out; no network is known here."""
