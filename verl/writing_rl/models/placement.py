"""Which GPUs serve which models, and how much of their memory each server may use.

Pure functions of what is free and what is needed: nothing is asked or started here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from writing_rl.errors import SetupError
from writing_rl.util.gpus import VISIBLE, Gpu

#: The most of a GPU's memory that its servers may use together: vLLM's own default for one of them.
MOST = 0.92
#: MiB that a server takes beyond the share that it is given: its CUDA context, which is there before vLLM
#: measures what is free.
OUTSIDE_MIB = 1024
#: MiB within its share that a server needs for anything but weights and cache: activations and CUDA graphs.
WORK_MIB = 2048
#: How many GPUs one model may be split over: attention heads divide evenly by powers of two.
SPLITS = (1, 2, 4, 8)


class NoRoom(SetupError):
    """The models do not fit into the GPUs' free memory at the same time."""


@dataclass(frozen=True)
class Need:
    """What a server needs.

    Attributes:
        model: The model, as messages call it.
        weights_mib: Its weights in MiB; None where their size is not known, and the model gets a whole GPU.
        cache_mib: Keys and values of one text of the greatest length, in MiB. vLLM does not start without.
    """

    model: str
    weights_mib: int | None
    cache_mib: int = 0

    def on_each(self, count: int) -> int:
        """MiB on each of that many GPUs."""
        return math.ceil(((self.weights_mib or 0) + self.cache_mib) / count) + WORK_MIB

    def least(self, count: int) -> int:
        """MiB on each of that many GPUs without which vLLM need not be started at all."""
        return max(WORK_MIB, math.ceil((self.weights_mib or 0) / count))


@dataclass(frozen=True)
class Placement:
    """Where a server runs.

    Attributes:
        gpus: Its GPUs, with what was free when it was placed.
        utilization: vLLM's fraction of their whole memory; None where the user's own option says it.
        tensor_parallel: How many GPUs the model is split over; None where that need not be said.
    """

    gpus: tuple[Gpu, ...]
    utilization: float | None = None
    tensor_parallel: int | None = None

    @property
    def variables(self) -> dict[str, str]:
        """The server's environment.

        GPUs go by their UUIDs: `nvidia-smi` and CUDA need not count them in the same order.
        """
        return {VISIBLE: ",".join(gpu.uuid for gpu in self.gpus)}

    @property
    def arguments(self) -> list[str]:
        """The server's options."""
        said = []
        if self.utilization is not None:
            said += ["--gpu-memory-utilization", f"{self.utilization:g}"]
        if self.tensor_parallel is not None:
            said += ["--tensor-parallel-size", str(self.tensor_parallel)]
        return said

    def describe(self) -> str:
        """For example `GPU 1` or `GPUs 0, 1`."""
        return f"GPU{'s' * (len(self.gpus) > 1)} {', '.join(str(gpu.index) for gpu in self.gpus)}"


def place(
    gpus: Sequence[Gpu],
    needs: Sequence[Need],
    *,
    gpus_each: int | None = None,
    utilization: float | None = None,
) -> list[Placement]:
    """Places servers that run at the same time.

    Each gets a GPU of its own as long as there are any, the largest one that with the most free memory.
    Servers that have to share a GPU divide its free memory in proportion to what they need. A model that fits
    into no single GPU is split over two, four or eight. A model of unknown size, and one whose weights fit
    although its longest text might not, has its GPUs to itself; vLLM has the last word on these.

    Args:
        gpus: The GPUs that may be used.
        needs: What each server needs.
        gpus_each: How many GPUs the user wants for each server; None where nothing is said.
        utilization: The fraction of each GPU that the user wants for each server. It is not checked against
            what is free: vLLM does that.

    Returns:
        A placement for each need, in the order of the needs.

    Raises:
        NoRoom: They do not fit, or more GPUs are wanted than there are.
    """
    if not gpus or (gpus_each or 1) > len(gpus):
        raise NoRoom(
            f"{gpus_each or 1} GPU(s) are needed for each model, and {len(gpus)} may be used: "
            f"see `nvidia-smi` and {VISIBLE}"
        )
    counts = (gpus_each,) if gpus_each else tuple(count for count in SPLITS if count <= len(gpus))
    board = _Board(gpus, utilization)
    # Unknown sizes come last: they are content with any GPU that is left.
    order = sorted(range(len(needs)), key=lambda n: (needs[n].weights_mib is None, -needs[n].on_each(1), n))
    for server in order:
        if not board.add(server, needs[server], counts):
            raise NoRoom(_no_room(gpus, needs))
    return [board.placement(server, split=gpus_each is None) for server in range(len(needs))]


@dataclass
class _Board:
    """What has been placed so far.

    Attributes:
        gpus: The GPUs.
        utilization: See `place`.
        claims: For each GPU, the servers on it with the MiB that each asks for.
        closed: GPUs that nobody else may share.
    """

    gpus: Sequence[Gpu]
    utilization: float | None
    claims: list[dict[int, int]] = field(init=False)
    closed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.claims = [{} for _ in self.gpus]

    def add(self, server: int, need: Need, counts: Sequence[int]) -> bool:
        """Places one more server on as few GPUs as will do; False where it fits nowhere."""
        if need.weights_mib is not None:
            for count in counts:
                if found := self._find(need.on_each(count), count):
                    return self._claim(server, found)
        if self.utilization is not None:  # the user divides the memory, vLLM says whether it is enough
            return self._claim(server, self._find(0, counts[0]))
        for count in counts:
            if found := self._find(need.least(count), count, empty=True):
                self.closed.update(found)
                return self._claim(server, found)
        return False

    def placement(self, server: int, *, split: bool) -> Placement:
        """Where a server runs, when all are placed."""
        places = [n for n, claims in enumerate(self.claims) if server in claims]
        fraction = None
        if self.utilization is None:
            share = min(self._share(place, server) / self.gpus[place].total_mib for place in places)
            # Rounded down: fractions that are rounded up could be more than there is.
            fraction = math.floor(share * 10_000) / 10_000
        return Placement(
            tuple(self.gpus[place] for place in places),
            fraction,
            len(places) if split and len(places) > 1 else None,
        )

    def _find(self, mib: int, count: int, *, empty: bool = False) -> dict[int, int]:
        """The best GPUs with that much room on each, and the MiB to ask of each; none where too few have it.

        vLLM takes the same fraction of each GPU of a split model, so of a larger GPU more is asked.
        """
        for smallest in sorted({gpu.total_mib for gpu in self.gpus}, reverse=True) if count > 1 else [0]:
            asked = {
                place: math.ceil(mib * gpu.total_mib / smallest) if smallest else mib
                for place, gpu in enumerate(self.gpus)
                if gpu.total_mib >= smallest
            }
            fitting = [
                place
                for place in asked
                if place not in self.closed
                and not (empty and self.claims[place])
                and self._room(place) >= asked[place]
            ]
            fitting.sort(key=lambda place: (len(self.claims[place]), -self._left(place), place))
            if len(fitting) >= count:
                return {place: asked[place] for place in fitting[:count]}
        return {}

    def _claim(self, server: int, asked: Mapping[int, int]) -> bool:
        for place, mib in asked.items():
            self.claims[place][server] = mib
        return True

    def _room(self, place: int) -> float:
        """MiB that one more server could have on a GPU."""
        if self.utilization is not None:
            return self.utilization * self.gpus[place].total_mib
        return self._usable(place, len(self.claims[place]) + 1) - sum(self.claims[place].values())

    def _left(self, place: int) -> int:
        """MiB of a GPU that nobody has asked for."""
        return self.gpus[place].free_mib - sum(self.claims[place].values())

    def _usable(self, place: int, servers: int) -> float:
        """MiB of a GPU that several servers have together."""
        gpu = self.gpus[place]
        return min(MOST * gpu.total_mib, gpu.free_mib - servers * OUTSIDE_MIB)

    def _share(self, place: int, server: int) -> float:
        """MiB of a GPU that a server gets: what it needs, and the same part of what is left over."""
        claims = self.claims[place]
        return self._usable(place, len(claims)) * claims[server] / sum(claims.values())


def _no_room(gpus: Sequence[Gpu], needs: Sequence[Need]) -> str:
    free = "the free memory of the GPUs (" + ", ".join(f"{g.index}: {_gib(g.free_mib)}" for g in gpus) + ")"
    if len(needs) == 1:
        return (
            f"{needs[0].model} does not fit into {free}: it needs at least {_gib(needs[0].least(1))} in all; "
            "end what else uses them, or name a smaller model"
        )
    sizes = (
        "of unknown size" if need.weights_mib is None else f"about {_gib(need.on_each(1))}" for need in needs
    )
    wanted = " and ".join(f"{need.model} ({size})" for need, size in zip(needs, sizes, strict=True))
    return (
        f"{wanted} do not fit into {free} at the same time: end what else uses them, shorten the texts with "
        "--vllm-args='--max-model-len N', or divide the memory yourself with "
        "--vllm-args='--gpu-memory-utilization 0.4'"
    )


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB"
