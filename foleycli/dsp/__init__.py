"""Signal processing on arrays: spectra, onsets, peaks, levels, joins."""
