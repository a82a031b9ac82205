"""Learning a whole ranking, not a first place: the loss towards what the teacher says of all passages of a batch."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss
from sentence_transformers.util.distributed import all_gather, all_gather_with_grad
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, normalize

from dragon_finetune.training.ranks import world_size
from dragon_finetune.training.rows import QUERIES
from dragon_finetune.training.teacher import ABSENT, Teacher


class DistillationLoss(CachedMultipleNegativesRankingLoss):
    """KL divergence from the teacher's to the model's distribution over all passages of the batch, of every process.

    A passage that the teacher likes is not pushed away for being another query's, and where the teacher only repeats
    the base nothing is to be learnt. (Hinton et al. 2015, arXiv 1503.02531; a dense model that
    learns from BM25: Chen et al. 2021, arXiv 2110.06918.)

    Args:
        model: trained.
        teacher: its labels are the rows' places.
        dims: prefixes of the vector that are trained as vectors; the loss is their mean.
        cached: cache gradients (GradCache, arXiv 2101.06983), so that memory depends on `slice_tokens` alone.
        slice_tokens: padded tokens that go through the model at once when cached.
    """

    def __init__(
        self, model: SentenceTransformer, teacher: Teacher, *, dims: Sequence[int], cached: bool, slice_tokens: int
    ) -> None:
        super().__init__(model, scale=1 / teacher.temperature, mini_batch_num_tokens=slice_tokens)
        self._teacher, self._dims, self._cached = teacher, tuple(dims), cached

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor) -> Tensor:
        """Return the loss of a batch.

        Args:
            sentence_features: of the rows' first queries, positives, negatives..., second queries, third...
            labels: the rows' places, int64.
        """
        features = list(sentence_features)
        if self._cached:
            loss: Tensor = self.forward_cached(features, labels)
            return loss
        return self.calculate_loss([[self.model(each)["sentence_embedding"]] for each in features], labels)

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: Tensor | None = None, *, with_backward: bool = False
    ) -> Tensor:
        """Return the loss of vectors, given by column and slice."""
        assert labels is not None
        columns = [torch.cat(slices).float() for slices in reps]
        queries = torch.cat([columns[0], *columns[1 - QUERIES :]])
        own = columns[1 : 1 - QUERIES]
        several = world_size() > 1
        passages = torch.cat([all_gather_with_grad(column) for column in own] if several else own)
        among = all_gather(labels) if several else labels
        teacher = self._teacher.similarities(labels.tolist(), among.tolist()).to(queries.device)
        wanted = log_softmax(teacher * self.scale, dim=1)
        losses = []
        for dim in self._dims:
            cosines = normalize(queries[:, :dim], dim=-1) @ normalize(passages[:, :dim], dim=-1).T
            given = log_softmax(cosines.masked_fill(teacher <= ABSENT, ABSENT) * self.scale, dim=1)
            losses.append(kl_div(given, wanted, log_target=True, reduction="batchmean"))
        loss = torch.stack(losses).mean()
        if with_backward:
            loss.backward()  # type: ignore[no-untyped-call]
            loss = loss.detach()
        return loss

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings for a model card."""
        return {"matryoshka_dims": self._dims, "temperature": self.temperature}
