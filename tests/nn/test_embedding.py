"""Embeddings tell apart what the samplers use."""

import torch

from foleycli.nn.embedding import StepEmbedding, TimeEmbedding, sinusoids


def test_sinusoids_are_cosines_then_sines():
    table = sinusoids(torch.tensor([0.0, 2.0]), max_period=100.0)
    assert table.shape == (2, 256)
    assert torch.equal(table[0], torch.cat([torch.ones(128), torch.zeros(128)]))
    two = torch.tensor(2.0)
    assert torch.allclose(table[1, [0, 128]], torch.stack([two.cos(), two.sin()]))


def test_each_step_size_and_time_has_its_own_vector():
    sizes = StepEmbedding(64)(torch.exp2(-torch.arange(8.0)))
    moments = TimeEmbedding(64)(torch.arange(129) / 128)
    for vectors in (sizes, moments):
        distances = torch.cdist(vectors, vectors) + torch.eye(len(vectors))
        assert distances.min() > 1e-3
