from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.trainer.groups import trainable

UIDS = ("0f3c2b1a-9d", "7e6d5c4b-8a", "ffff0000-11")
batches = st.lists(st.tuples(st.sampled_from(UIDS), st.booleans()), max_size=24).map(
    lambda rollouts: (
        [f"{uid}_{session}_0" for session, (uid, _) in enumerate(rollouts)],
        [scored for _, scored in rollouts],
    )
)


def test_a_lone_survivor_of_a_group_does_not_train() -> None:
    keys = ["u_0_0", "u_1_0", "u_2_0", "v_0_0", "v_1_0", "v_2_0"]
    scored = [True, False, False, True, True, False]
    assert trainable(keys, scored, grouped=True) == [False, False, False, True, True, False]


def test_without_groups_every_scored_rollout_trains() -> None:
    keys = ["u_0_0", "v_0_0", "w_0_0"]
    assert trainable(keys, [True, False, True], grouped=False) == [True, False, True]


def test_uids_that_begin_alike_are_different_groups() -> None:
    assert trainable(["u1_0_0", "u10_0_0"], [True, True], grouped=True) == [False, False]


@given(batches)
def test_what_is_whole_trains(batch: tuple[list[str], list[bool]]) -> None:
    keys, _ = batch
    whole = Counter(key.split("_")[0] for key in keys)
    assert trainable(keys, [True] * len(keys), grouped=True) == [whole[key.split("_")[0]] > 1 for key in keys]


@given(batch=batches, grouped=st.booleans())
def test_unscored_rollouts_never_train_and_no_group_is_left_with_one(
    batch: tuple[list[str], list[bool]], grouped: bool
) -> None:
    keys, scored = batch
    kept = trainable(keys, scored, grouped=grouped)
    assert all(ok for ok, keep in zip(scored, kept, strict=True) if keep)
    sizes = Counter(key.split("_")[0] for key, keep in zip(keys, kept, strict=True) if keep)
    if grouped:
        assert 1 not in sizes.values()
    else:
        assert kept == scored


def test_a_batch_of_different_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        trainable(["u_0_0"], [True, False], grouped=False)
