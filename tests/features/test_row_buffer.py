"""Steps that come piece by piece are the steps at once, however many."""

from __future__ import annotations

import torch

from foleycli.features.row_buffer import FIRST_BYTES, RowBuffer

FIRST_ROWS = FIRST_BYTES // 8  # of width 2


def test_pieces_are_the_whole():
    rows = torch.randn(3 * FIRST_ROWS + 7, 3)
    buffer = RowBuffer(3)
    for piece in rows.split(1000):
        buffer.append(piece)
    assert len(buffer) == len(rows) and torch.equal(buffer.all(), rows)


def test_a_piece_may_be_larger_than_twice_what_there_was():
    buffer = RowBuffer(2, torch.float16)
    buffer.append(torch.ones(5, 2))
    buffer.append(torch.full((4 * FIRST_ROWS, 2), 2.0, dtype=torch.float64))
    assert buffer.all().dtype == torch.float16 and buffer.all().sum() == 10 + 16 * FIRST_ROWS


def test_nothing_has_come_yet():
    assert RowBuffer(4).all().shape == (0, 4)


def test_what_was_given_out_stays_as_it_was():
    buffer = RowBuffer(1)
    buffer.append(torch.zeros(2, 1))
    given = buffer.all()
    buffer.append(torch.ones(2, 1))
    given += 5
    assert buffer.all()[:, 0].tolist() == [0, 0, 1, 1]
