from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.dataset.samples import SampleKeys
from writing_rl.trainer.sampler import LeavingOut, rows_by_key


class Shuffled:
    """A sampler of another order each time, whose iterators can go on from a state, as torchdata's can."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.orders = 0

    def __iter__(self) -> Iterator[int]:
        return ShuffledIterator(self)

    def __len__(self) -> int:
        return self.rows


class ShuffledIterator(Iterator[int]):
    def __init__(self, sampler: Shuffled) -> None:
        self.sampler = sampler
        self.begin(sampler.orders, 0)

    def begin(self, number: int, yielded: int) -> None:
        self.number, self.yielded = number, yielded
        self.sampler.orders = number + 1
        self.order = random.Random(number).sample(range(self.sampler.rows), self.sampler.rows)

    def __next__(self) -> int:
        if self.yielded == self.sampler.rows:
            raise StopIteration
        self.yielded += 1
        return self.order[self.yielded - 1]

    def state_dict(self) -> dict[str, Any]:
        return {"number": self.number, "yielded": self.yielded}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.begin(state["number"], state["yielded"])


def batches_of(sampler: LeavingOut) -> list[list[int]]:
    """The full batches of one epoch."""
    rows = list(sampler)
    size = sampler.batch_size
    return [rows[start : start + size] for start in range(0, len(rows) - size + 1, size)]


#: Number of rows, those that are left out, and a batch size that what is left is enough for.
sizes = st.integers(1, 40).flatmap(
    lambda rows: st.sets(st.integers(0, rows - 1), max_size=rows - 1).flatmap(
        lambda out: st.tuples(st.just(rows), st.just(out), st.integers(1, rows - len(out)))
    )
)


@pytest.mark.parametrize("make_order", [Shuffled, range])
def test_with_nothing_left_out_the_order_is_the_other_samplers(make_order: Any) -> None:
    sampler, order = LeavingOut(make_order(10), 3), make_order(10)
    assert len(sampler) == 10
    for _ in range(3):
        assert list(sampler) == list(order)


@given(sizes)
def test_an_epoch_has_its_full_length_and_no_row_that_is_left_out(case: tuple[int, set[int], int]) -> None:
    rows, out, size = case
    sampler = LeavingOut(Shuffled(rows), size)
    sampler.leave_out(out)
    epoch = list(sampler)
    assert len(epoch) == len(sampler) == rows
    assert set(epoch) == set(range(rows)) - out


@given(sizes)
def test_no_batch_has_a_row_twice(case: tuple[int, set[int], int]) -> None:
    rows, out, size = case
    sampler = LeavingOut(Shuffled(rows), size)
    sampler.leave_out(out)
    for _ in range(2):
        assert all(len(set(batch)) == size for batch in batches_of(sampler))


@given(sizes)
def test_every_pass_has_every_row_that_is_left(case: tuple[int, set[int], int]) -> None:
    rows, out, size = case
    sampler = LeavingOut(Shuffled(rows), size)
    sampler.leave_out(out)
    epoch, left = list(sampler), rows - len(out)
    for start in range(0, rows - left + 1, left):
        assert len(set(epoch[start : start + left])) == left


def test_further_passes_are_in_further_orders() -> None:
    sampler, order = LeavingOut(Shuffled(8), 4), Shuffled(8)
    sampler.leave_out({0, 2, 4, 6})
    first, second, third = (list(order) for _ in range(3))
    assert list(sampler) == [row for row in first + second if row % 2]
    assert next(iter(sampler)) == next(row for row in third if row % 2)


def test_a_row_is_left_out_from_the_next_draw_on_and_comes_back() -> None:
    sampler = LeavingOut(range(6), 2)
    epoch = iter(sampler)
    assert [next(epoch), next(epoch)] == [0, 1]
    sampler.leave_out({2, 4})
    assert next(epoch) == 3
    sampler.leave_out({3, 5})
    assert [next(epoch) for _ in range(3)] == [4, 0, 1]
    with pytest.raises(StopIteration):
        next(epoch)
    sampler.leave_out(())
    assert list(sampler) == list(range(6))


def test_a_row_that_the_batch_has_comes_last_in_a_pass_that_begins_in_it() -> None:
    sampler = LeavingOut(range(5), 3)
    sampler.leave_out({4})
    assert list(sampler) == [0, 1, 2, 3, 0]
    sampler.leave_out({1})
    epoch = iter(sampler)
    assert [next(epoch) for _ in range(3)] == [0, 2, 3]
    sampler.leave_out({0, 1})
    assert [next(epoch) for _ in range(2)] == [4, 2]


def test_where_too_few_are_left_all_are_sampled_and_one_line_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sampler = LeavingOut(range(5), 3)
    sampler.leave_out({0, 1})
    assert set(sampler) == {2, 3, 4}
    assert capsys.readouterr().out == ""
    sampler.leave_out({0, 1, 2})
    assert list(sampler) == list(range(5))
    sampler.leave_out(set(range(5)))
    assert list(sampler) == list(range(5))
    assert capsys.readouterr().out == (
        "[writing-rl] 2 of 5 samples have not beaten their last reference, fewer than the 3 of a batch: "
        "all are sampled again\n"
    )
    sampler.leave_out({0})
    assert 0 not in set(sampler)


def test_a_data_set_without_a_full_batch_is_no_reason_for_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    sampler = LeavingOut(range(2), 3)
    sampler.leave_out(())
    assert list(sampler) == [0, 1]
    assert capsys.readouterr().out == ""


@given(sizes, st.data())
def test_a_resumed_epoch_goes_on_as_if_nothing_had_been(case: tuple[int, set[int], int], data: Any) -> None:
    rows, out, size = case
    make_order = data.draw(st.sampled_from([Shuffled, range]))
    changes = data.draw(
        st.dictionaries(
            st.integers(0, 2 * rows), st.sets(st.sampled_from(sorted(out)) if out else st.nothing())
        )
    )
    stop = data.draw(st.integers(0, 2 * rows))

    def draw(sampler: LeavingOut, epoch: Iterator[int], start: int) -> Iterator[tuple[int, Iterator[int]]]:
        for number in range(start, 2 * rows):
            if number in changes:
                sampler.leave_out(changes[number])
            if number == rows:
                epoch = iter(sampler)
            yield next(epoch), epoch

    whole = LeavingOut(make_order(rows), size)
    drawn, state, left_out = [], iter(whole).state_dict(), whole.left_out
    whole = LeavingOut(make_order(rows), size)
    for number, (row, epoch) in enumerate(draw(whole, iter(whole), 0), start=1):
        drawn.append(row)
        if number == stop:
            state, left_out = epoch.state_dict(), whole.left_out

    again = LeavingOut(make_order(rows), size)
    epoch = iter(again)
    epoch.load_state_dict(state)
    again.leave_out(left_out)
    assert [row for row, _ in draw(again, epoch, stop)] == drawn[stop:]


@given(st.integers(1, 20), st.data())
def test_a_state_of_the_other_sampler_is_taken_over(rows: int, data: Any) -> None:
    order = Shuffled(rows)
    other = iter(order)
    for _ in range(data.draw(st.integers(0, rows))):
        next(other)
    sampler = LeavingOut(Shuffled(rows), 2)
    epoch = iter(sampler)
    epoch.load_state_dict(other.state_dict())
    assert list(epoch) == list(other)
    assert list(sampler) == list(order)


@pytest.mark.parametrize(("by_index", "expected"), [(False, {"7": 0, "5": 1}), (True, {"0": 0, "3": 1})])
def test_rows_are_found_by_what_names_the_sample(
    make_row: Any, by_index: bool, expected: dict[str, int]
) -> None:
    rows = [make_row(7, index=0), make_row(5, index=3)]
    assert rows_by_key(rows, SampleKeys(by_index)) == expected
