"""Which metrics a report shows, under which title, and what a good run looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A chart of one metric, or of some that belong together.

    Attributes:
        name: Of the chart.
        title: Of the chart.
        caption: Of the chart.
        keys: The metrics, each with the label that it has among the others.
        share: Whether values are shares, written as percents.
        from_zero: Whether the scale begins with 0.
    """

    name: str
    title: str
    caption: str
    keys: Mapping[str, str]
    share: bool = False
    from_zero: bool = True


REWARD = Kind(
    "reward",
    "Reward",
    "Mean reward of a step: win 1, tie 0.5, loss 0. References get harder, so it may fall slowly in a good "
    "run; whether the writer improves shows in validation.",
    {"critic/score/mean": "reward"},
)
MEAN_REFERENCE = Kind(
    "mean_reference_index",
    "Mean reference index",
    "How far samples have climbed. Faster is not better by itself: where the curriculum outruns the writer, "
    "this climbs and validation does not.",
    {"writing_rl/reference_index/mean": "mean"},
)
ATTACKS = Kind(
    "attacks",
    "Texts that address the judge",
    "Share of the policy's texts with a verdict, a marker of the judge's prompt, or words to a judge. It "
    "should stay near zero; where it rises with the win rate, read the texts before you believe the wins.",
    {
        "writing_rl/attacks/any": "any",
        "writing_rl/attacks/verdicts": "verdicts",
        "writing_rl/attacks/markers": "markers",
        "writing_rl/attacks/words": "words",
    },
    share=True,
)
CURRICULUM = (
    Kind(
        "promotions",
        "Samples that moved",
        "In each step. Promotions go on through a good run and become fewer towards its end.",
        {"writing_rl/promotions": "up", "writing_rl/demotions": "down"},
    ),
    Kind(
        "last",
        "Samples at their last reference",
        "Where most have beaten it, there is nothing left to learn from: add better references, or set "
        "skip_finished.",
        {
            "writing_rl/reference_index/last_share": "there",
            "writing_rl/reference_index/finished_share": "have beaten it",
        },
        share=True,
    ),
)
TEXTS = (
    Kind(
        "words",
        "Length of answers, words",
        "A good run settles. Steady growth that brings wins says that the judge is pleased by length.",
        {"writing_rl/answer_words": "words"},
    ),
    Kind(
        "tokens",
        "Length of answers, tokens",
        "A good run stays well below the limit: where the mean comes near it, texts are cut off before they "
        "end.",
        {"response_length/mean": "mean", "response_length/max": "longest"},
    ),
    Kind(
        "cut_off",
        "Answers that were cut off",
        "Share that reached the limit of tokens. It should be near zero: a text without an end teaches "
        "little.",
        {"response_length/clip_ratio": "cut off"},
        share=True,
    ),
    Kind(
        "repetition",
        "Repetition",
        "Share of runs of four words that the text held before. It should stay low or fall; a rise means "
        "that the writer fills space.",
        {"writing_rl/answer_repetition": "repetition"},
        share=True,
    ),
)
TRAINING = (
    Kind(
        "kl_reference",
        "KL to the starting model",
        "How far the policy has moved from where it began. It rises slowly in a good run; a jump comes "
        "before a collapse.",
        {
            "actor/kl_loss": "in the loss",
            "actor/reward_kl_penalty": "in the reward",
            "critic/kl": "of the critic's batch",
        },
        from_zero=False,
    ),
    Kind(
        "kl_update",
        "KL of an update",
        "How far the updates of one step move the policy. Small and even is good; peaks ask for a lower "
        "learning rate.",
        {"actor/ppo_kl": "KL"},
        from_zero=False,
    ),
    Kind(
        "kl_rollout",
        "KL between rollouts and trainer",
        "How far the rollouts' probabilities are from the trainer's. It should stay small and even.",
        {"rollout_corr/kl": "KL"},
        from_zero=False,
    ),
    Kind(
        "entropy",
        "Entropy",
        "How undecided the policy is about its next token. It falls slowly in a good run; a fall to zero "
        "means that all its texts are alike.",
        {"actor/entropy": "entropy"},
    ),
    Kind(
        "gradient",
        "Gradient norm",
        "Before it is clipped. It should be even; peaks that grow say that the training is about to break.",
        {"actor/grad_norm": "gradient norm"},
    ),
    Kind(
        "value_loss",
        "Critic's loss",
        "How wrong the critic is about the reward. It falls and levels out in a good run.",
        {"critic/vf_loss": "loss"},
    ),
)
JUDGE = (
    Kind(
        "disagreement",
        "Verdicts that disagree",
        "Share of comparisons in which a judge's two orders, or several judges, disagree. It should not "
        "rise: then texts are too alike for this judge.",
        {"writing_rl/judge/flip_rate": "two orders", "writing_rl/judge/disagreement_rate": "several judges"},
        share=True,
    ),
)
