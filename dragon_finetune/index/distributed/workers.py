"""How many workers of what size, and where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dragon_finetune.errors import ClusterError, SettingsError

LOCAL = "local"


@dataclass(frozen=True)
class Workers:
    """The workers that are asked for.

    Attributes:
        address: "local" for this machine alone, "auto" or HOST:PORT for a cluster that this machine is part of.
        count: how many; default: one per `gpus` of the cluster's, or one per node without.
        gpus: of each, as Ray counts them: 0.5 lets two workers share one.

    Raises:
        SettingsError: a value that can't be.
    """

    address: str = LOCAL
    count: int | None = None
    gpus: float = 0

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise SettingsError(f"workers is {self.count}. Ask for at least one.")
        if self.gpus < 0:
            raise SettingsError(f"gpus-per-worker is {self.gpus}. Give 0 or more.")
        if self.address.startswith("ray://"):
            raise SettingsError(
                f"{self.address}: the shards are written where the command runs, and Ray's client runs elsewhere. Run "
                "it on a machine of the cluster, with `--ray auto`."
            )

    @property
    def local(self) -> bool:
        """Whether a cluster of this machine alone is to be started."""
        return self.address == LOCAL

    @property
    def endpoint(self) -> tuple[str, int] | None:
        """Host and port of a cluster that is named by them."""
        host, _, port = self.address.rpartition(":")
        return (host.strip("[]"), int(port)) if host and port.isdecimal() else None

    def resources(self, nodes: Sequence[Mapping[str, float]]) -> tuple[int, dict[str, float]]:
        """Return how many workers, and `num_cpus` and `num_gpus` of each: all CPUs that so many workers can share.

        Args:
            nodes: "CPU" and "GPU" of each node of the cluster.

        Raises:
            ClusterError: so many workers find no place at all.
        """
        slots = [int(node.get("GPU", 0) / self.gpus) if self.gpus else int(node.get("CPU", 0)) for node in nodes]
        count = self.count or (sum(slots) if self.gpus else sum(slot > 0 for slot in slots))
        for cpus in range(int(max((node.get("CPU", 0) for node in nodes), default=0)), 0, -1):
            places = (min(slot, int(node.get("CPU", 0) // cpus)) for slot, node in zip(slots, nodes, strict=True))
            if count and sum(places) >= count:
                return count, {"num_cpus": cpus, "num_gpus": self.gpus}
        cpus_there, gpus_there = (sum(node.get(kind, 0) for node in nodes) for kind in ("CPU", "GPU"))
        raise ClusterError(
            f"{self.count or 'any'} workers of one CPU and {self.gpus:g} GPUs each find no place on {len(nodes)} nodes "
            f"with {cpus_there:g} CPUs and {gpus_there:g} GPUs. Ask for fewer, or wait until the cluster has grown."
        )
