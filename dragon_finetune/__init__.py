"""Fine-tune an embedding model on one domain, prove it retrieves better, and switch Dragon's Codex to it."""

from typing import TYPE_CHECKING

from dragon_finetune.lazy_names import lazily

if TYPE_CHECKING:
    from dragon_finetune.embedding.embedder import FineTunedEmbedder as FineTunedEmbedder
    from dragon_finetune.evaluation.comparing import compare as compare
    from dragon_finetune.evaluation.rubric import score_question as score_question
    from dragon_finetune.evaluation.tiers import tier as tier
    from dragon_finetune.hookspecs import hookimpl as hookimpl
    from dragon_finetune.host import create_chunker as create_chunker
    from dragon_finetune.host import create_embedder as create_embedder
    from dragon_finetune.host import create_trainer as create_trainer
    from dragon_finetune.index.distributed.embed_batch import EmbedBatch as EmbedBatch
    from dragon_finetune.pairs.building import PairsRequest as PairsRequest
    from dragon_finetune.pairs.building import build_pairs as build_pairs
    from dragon_finetune.tokens.audit import audit_tokens as audit_tokens
    from dragon_finetune.tokens.audit_report import TokenAudit as TokenAudit
    from dragon_finetune.tokens.batching import TokenBatcher as TokenBatcher
    from dragon_finetune.tokens.chunk import Chunk as Chunk
    from dragon_finetune.tokens.chunking import TokenChunker as TokenChunker
    from dragon_finetune.tokens.counting import TokenCounter as TokenCounter
    from dragon_finetune.training.callbacks import FinalStatsCallback as FinalStatsCallback
    from dragon_finetune.training.config import TrainingConfig as TrainingConfig
    from dragon_finetune.training.finetune import FineTuner as FineTuner
    from dragon_finetune.training.result import TrainingResult as TrainingResult

# Loaded at first use, so that `import dragon_finetune` costs milliseconds and no torch.
_HOMES = {
    "Chunk": "tokens.chunk",
    "EmbedBatch": "index.distributed.embed_batch",
    "FinalStatsCallback": "training.callbacks",
    "FineTunedEmbedder": "embedding.embedder",
    "FineTuner": "training.finetune",
    "PairsRequest": "pairs.building",
    "TokenAudit": "tokens.audit_report",
    "TokenBatcher": "tokens.batching",
    "TokenChunker": "tokens.chunking",
    "TokenCounter": "tokens.counting",
    "TrainingConfig": "training.config",
    "TrainingResult": "training.result",
    "audit_tokens": "tokens.audit",
    "build_pairs": "pairs.building",
    "compare": "evaluation.comparing",
    "create_chunker": "host",
    "create_embedder": "host",
    "create_trainer": "host",
    "hookimpl": "hookspecs",
    "score_question": "evaluation.rubric",
    "tier": "evaluation.tiers",
}

__all__ = sorted(_HOMES)
__getattr__, __dir__ = lazily(globals(), _HOMES)
