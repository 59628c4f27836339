"""Whether verl knows the trainer and the reward manager of this project."""

from __future__ import annotations

from writing_rl.errors import SetupError


def check_registries() -> None:
    """verl has loaded our plugin. It logs a plugin's failure at a level that nobody sees.

    Raises:
        SetupError: A name of ours is missing in verl's registries.
    """
    from verl.experimental.reward_loop.reward_manager.registry import REWARD_MANAGER
    from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY

    for name, registry in (("parallel", REWARD_MANAGER), ("writing_rl", TRAINER_REGISTRY)):
        if name not in registry:
            raise SetupError(
                f"verl did not load the plugin of Writing-RL ({name} is not registered): run "
                "scripts/setup_env.sh, and leave VERL_USE_EXTERNAL_PLUGINS unset"
            )
