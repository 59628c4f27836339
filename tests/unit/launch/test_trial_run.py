from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from writing_rl.launch.trial_run import quoted


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_value_reaches_hydra_as_it_is(text: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    (override,) = OverridesParser.create().parse_overrides([f"key={quoted(text)}"])
    assert override.value() == text
