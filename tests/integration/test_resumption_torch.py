"""What the pre-flight reads of an optimizer's file is what torch has put there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from writing_rl.launch.resumption import KEPT, _adam


@pytest.fixture
def one_rank(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", rank=0, world_size=1, init_method=f"file://{tmp_path}/store")
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("sharded", [True, False])
def test_adams_settings_are_read_without_torch(one_rank: None, tmp_path: Path, sharded: bool) -> None:
    model: Any = torch.nn.Linear(4, 4)
    if sharded:
        fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
    adam = torch.optim.AdamW(model.parameters(), lr=3e-5, betas=(0.9, 0.95), weight_decay=0.02)
    torch.optim.lr_scheduler.LambdaLR(adam, lambda _: 0.1)
    model(torch.ones(2, 4)).sum().backward()
    adam.step()
    torch.save(adam.state_dict(), tmp_path / "optim.pt")
    found = _adam(tmp_path / "optim.pt")
    assert {key: found[name] for key, name in KEPT.items()} == {
        "lr": 3e-5,
        "weight_decay": 0.02,
        "betas": (0.9, 0.95),
    }
