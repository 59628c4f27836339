"""Which samples training batches are made of, when those that have nothing left to beat are left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

from writing_rl.dataset.samples import SampleKeys
from writing_rl.util.console import say


class Order(Protocol):
    """A sampler: each iteration gives all rows of a data set in some order.

    Where its iterators have `state_dict` and `load_state_dict`, as those of torchdata have, an order can be
    repeated. Otherwise it must always be the same.
    """

    def __iter__(self) -> Iterator[int]: ...

    def __len__(self) -> int: ...


class Rows(Protocol):
    """A data set as a loader sees it."""

    def __getitem__(self, row: int) -> Mapping[str, Any]: ...

    def __len__(self) -> int: ...


class LeavingOut:
    """Another sampler's rows without those that are left out.

    An epoch is as long as the other sampler's, so the numbers of batches and steps stay what they were: it is
    a pass over the rows that are not left out, in the other sampler's order, and, until it is full, further
    passes in the orders that come next. No batch has a row twice. With nothing left out, an epoch is exactly
    one of the other sampler's.

    A change counts from the next row that is drawn. A loader with processes (`data.dataloader_num_workers`)
    draws two batches ahead for each of them: what is left out meanwhile still comes. After a resume these
    batches are drawn anew, without it; with no processes a resumed run draws what an uninterrupted one would.

    Attributes:
        order: The other sampler.
        batch_size: How many rows one training step takes.
        left_out: The rows that are left out now.
    """

    def __init__(self, order: Order, batch_size: int) -> None:
        """Leaves nothing out yet.

        Args:
            order: The other sampler.
            batch_size: How many rows one training step takes, beginning with the first of an epoch.
        """
        self.order = order
        self.batch_size = batch_size
        self.left_out: frozenset[int] = frozenset()
        self._told = False

    def __iter__(self) -> Iterator[int]:
        return _Epoch(self)

    def __len__(self) -> int:
        return len(self.order)

    def leave_out(self, rows: Collection[int]) -> None:
        """Says which rows are to be left out from now on; those of an earlier call are not, any more.

        Where fewer rows than a batch would remain, nothing is left out, and a line says so once: a training
        has its steps in any case.
        """
        self.left_out = frozenset(rows)
        remaining = len(self) - len(self.left_out)
        if not self.left_out or remaining >= self.batch_size:
            return
        self.left_out = frozenset()
        if not self._told:
            self._told = True
            say(
                f"[writing-rl] {remaining} of {len(self)} samples have not beaten their last reference, "
                f"fewer than the {self.batch_size} of a batch: all are sampled again"
            )


class _Epoch(Iterator[int]):
    """One iteration of `LeavingOut`, with a state that torchdata's `StatefulDataLoader` keeps.

    The state holds where the current pass began and how far it has come, not what was left out on the way.
    A state of the other sampler's iterator, such as that of verl's in an older checkpoint, will do as well.
    """

    def __init__(self, sampler: LeavingOut) -> None:
        self._sampler = sampler
        self._given = 0
        self._batch: list[int] = []  # the rows of a batch that is not full yet
        self._begin_pass()

    def __iter__(self) -> _Epoch:
        return self

    def __next__(self) -> int:
        if self._given >= len(self._sampler):
            raise StopIteration
        row = self._next_of_pass()
        while row in self._sampler.left_out:
            row = self._next_of_pass()
        self._given += 1
        self._batch.append(row)
        if len(self._batch) == self._sampler.batch_size:
            self._batch = []
        return row

    def state_dict(self) -> dict[str, Any]:
        """What it takes to go on from here."""
        return {
            **self._began,
            "yielded": self._place,
            "given": self._given,
            "late": self._late,
            "batch": list(self._batch),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from where a state was taken."""
        self._batch = list(state.get("late", ()))
        self._begin_pass({**state, "yielded": 0})
        self._batch = list(state.get("batch", ()))
        self._place = state["yielded"]
        self._given = state.get("given", self._place)

    def _next_of_pass(self) -> int:
        if self._place >= len(self._rows):
            self._begin_pass()
        self._place += 1
        return self._rows[self._place - 1]

    def _begin_pass(self, began: Mapping[str, Any] | None = None) -> None:
        """Begins a pass, or one that began in a certain state again."""
        order: Any = iter(self._sampler.order)
        stateful = hasattr(order, "state_dict")
        if stateful and began is not None:
            order.load_state_dict(began)
        self._began: dict[str, Any] = order.state_dict() if stateful else {}
        # The rows that the batch already has come last, so that it does not get them again.
        self._late = self._batch
        self._batch = list(self._late)
        late = set(self._late)
        self._rows = [row for row in order if row not in late] + self._late
        self._place = 0


def take_over(loader: Any, batch_size: int) -> LeavingOut:
    """Puts a `LeavingOut` between a loader (verl's `StatefulDataLoader`) and its sampler.

    verl 0.9.1 has no setting for a sampler. Everything else about its loader stays as it made it.

    Args:
        loader: A loader that has not been iterated over.
        batch_size: How many rows one training step takes.
    """
    sampler = LeavingOut(loader.sampler, batch_size)
    loader.batch_sampler.sampler = sampler
    return sampler


def rows_by_key(rows: Rows, keys: SampleKeys) -> dict[str, int]:
    """Finds the row of each sample in verl's data set, which need not have all rows of the file.

    Args:
        rows: The data set.
        keys: What names a sample.

    Returns:
        Rows, from 0, by the keys of the samples.
    """
    named: dict[str, int] = {}
    for number in range(len(rows)):
        row = rows[number]
        named[keys.key(row["reward_model"]["ground_truth"]["id"], row["extra_info"]["index"])] = number
    return named
