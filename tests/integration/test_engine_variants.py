"""verl's FSDP2 engine against plain transformers, in the shapes that a GPU's settings give it (on a CPU)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from writing_rl.cpu import environment
from writing_rl.cpu.fast_start import fork_server

LONGEST_RUN_S = 800

#: Of log-probabilities (or a critic's values); float32 gives up to 2e-5 here.
EQUAL = 1e-4
#: What nobody could overlook.
CLEARLY = 0.05

CORRECT = [
    *("padded", "packed", "packed, 2 ranks", "offload, 2 ranks", "qwen3", "llama", "fused, tied"),
    *("critic, padded", "critic", "critic, 2 ranks"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """By variant of `engine_variant.py`: its largest differences from transformers, or its error."""
    folder = tmp_path_factory.mktemp("engine")
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("engine_variant.py")), str(folder)],
        env={**os.environ, **environment.VARIABLES, **fork_server.ENVIRONMENT, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=LONGEST_RUN_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with all that it has forked
        process.wait()
    assert process.returncode == 0, said[-5000:]
    return json.loads((folder / "results.json").read_text())


def figures(results: dict[str, dict[str, Any]], variant: str) -> dict[str, float]:
    """The differences of a variant that works."""
    assert "error" not in results[variant], results[variant]["error"]
    return results[variant]


@pytest.mark.parametrize("variant", CORRECT)
def test_the_engine_computes_what_transformers_does(results: Any, variant: str) -> None:
    assert figures(results, variant)["before"] < EQUAL


@pytest.mark.parametrize("variant", CORRECT)
def test_an_update_changes_the_model_as_transformers_would(results: Any, variant: str) -> None:
    differences = figures(results, variant)
    assert differences["gradient"] < EQUAL
    assert differences["moved"] > CLEARLY
    assert differences["after"] < EQUAL


def test_without_its_adapter_a_trained_model_is_the_base_model(results: Any) -> None:
    differences = figures(results, "adapter")
    assert differences["before"] < EQUAL  # an adapter begins as none
    assert differences["moved"] > CLEARLY
    assert differences["adapter off"] < EQUAL


# What `launch/counts.py` refuses, and why. When one of these fails, a newer verl can do it: allow it there.


def test_ulysses_with_sdpa_computes_wrong_log_probabilities(results: Any) -> None:
    assert figures(results, "ulysses")["before"] > CLEARLY


def test_fused_kernels_fail_with_an_output_layer_of_its_own(results: Any) -> None:
    assert "mixed torch.Tensor and DTensor" in results["fused, untied"].get("error", "it worked")
