"""What is compared: each arm is the quick start with a few settings changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

#: Samples that a choice of data keeps, of the quick start's 120.
KEPT = 60


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        name: In file names and tables.
        about: What is done, for people.
        overrides: Hydra overrides of the quick start.
        select: How `writing-rl data select` chooses the samples (`--by`); None: all of them.
        pairwise: Whether the reward is the outcome of the comparison.
    """

    name: str
    about: str
    overrides: tuple[str, ...] = ()
    select: str | None = None
    pairwise: bool = True


class Comparison(NamedTuple):
    """Some arms beside each other.

    Attributes:
        title: What the question is.
        arms: Names of the arms, in the order in which the paper ranks them where it does.
    """

    title: str
    arms: tuple[str, ...]


#: A rollout for each prompt and step, as many as GRPO has: 12 prompts with 8.
_PPO = (
    "algorithm.adv_estimator=gae",
    "data.train_batch_size=96",
    "actor_rollout_ref.rollout.n=1",
    "actor_rollout_ref.actor.ppo_mini_batch_size=24",
    "critic.ppo_mini_batch_size=24",
    "critic.optim.lr=1e-3",
    "trainer.critic_warmup=2",
)

ARMS = {
    arm.name: arm
    for arm in (
        Arm("dynamic", "references move on as they are beaten (the paper's method)"),
        Arm("static", "all references move on together", ("writing_rl.curriculum.kind=static",)),
        Arm("fixed", "the first reference for good", ("writing_rl.curriculum.kind=fixed",)),
        Arm("margin", f"the {KEPT} samples with the largest margin", select="margin"),
        Arm("random", f"{KEPT} samples by chance", select="random"),
        Arm(
            "static-few",
            f"all references move on together, with the {KEPT} samples of `random`",
            ("writing_rl.curriculum.kind=static",),
            select="random",
        ),
        Arm(
            "pointwise",
            "the reward is the judge's grade of the text alone",
            ("reward.custom_reward_function.path=pkg://writing_rl.experiments.ablation.pointwise",),
            pairwise=False,
        ),
        Arm("ppo", "PPO with a critic in place of GRPO", _PPO),
    )
}

COMPARISONS = (
    Comparison("Curriculum", ("dynamic", "static", "fixed")),
    # A sample can climb only when it is met: here each is met twice as often.
    Comparison("Curriculum, half the samples", ("random", "static-few")),
    Comparison("Choice of data", ("margin", "random", "dynamic")),
    Comparison("Reward", ("dynamic", "pointwise")),
    Comparison("Algorithm", ("dynamic", "ppo")),
)


@dataclass(frozen=True)
class Trial:
    """An arm with a seed: one training.

    Attributes:
        arm: Which arm.
        seed: Of texts, model and rollouts (`QUICKSTART_SEED`).
    """

    arm: Arm = field(default_factory=lambda: ARMS["dynamic"])
    seed: int = 0

    @property
    def experiment(self) -> str:
        """The name of its logs, index file and checkpoints."""
        return f"ablation-{self.arm.name}-{self.seed}"
