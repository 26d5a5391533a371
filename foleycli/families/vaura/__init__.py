"""V-AURA (Viertola, Iashin, Rahtu; arXiv 2409.13689): codec tokens, one column after the other."""
