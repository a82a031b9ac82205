"""What is joined to a trained model's vectors: a corpus's words, and the base's level of distances."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dragon_finetune.chunks import each_once, no_chunks, read_chunks
from dragon_finetune.embedding.levelling import Levels, Probe, probe_of
from dragon_finetune.embedding.lexical_folder import Words, add_words, judge_of, record_of, set_level
from dragon_finetune.pair import Pair
from dragon_finetune.training.config import TrainingConfig


@dataclass(frozen=True)
class Joined:
    """What is to be joined; `words` and `probe` are None where that part is not wanted."""

    words: Words | None
    probe: Probe | None

    def hash(self) -> str | None:
        """Return a hash of the corpus whose words are joined; None: none are."""
        if self.words is None:
            return None
        digest = hashlib.blake2b(digest_size=16)
        for text in self.words.texts:
            digest.update(hashlib.blake2b(text.encode()).digest())
        return digest.hexdigest()


def read_joined(config: TrainingConfig, pairs: Sequence[Pair]) -> Joined:
    """Return what the settings ask for, checked before work starts.

    Raises:
        DataError: a bad chunk file, a corpus without words, or with too few sentences to see where distances lie.
    """
    distances = config.distances or ("base" if config.lexicon else "native")
    if not config.lexicon:
        texts = list(dict.fromkeys(pair.positive for pair in pairs))
        return Joined(None, probe_of(texts) if distances == "base" else None)
    texts = [chunk.text for chunk in read_chunks(each_once(config.lexicon), unique=False)]
    if not texts:
        raise no_chunks(config.lexicon)
    words = Words(texts, config.lexicon_dimensions, config.lexicon_share, distances)
    words.check()
    return Joined(words, None)


def join(draft: Path, joined: Joined, config: TrainingConfig) -> dict[str, Any]:
    """Put lexicon and level into a draft; return what the card says of them."""
    base = judge_of(
        config.base_model, device=config.device, trust_remote_code=config.trust_remote_code, revision=config.revision
    )
    if joined.words:
        return {"lexicon": record_of(add_words(draft, joined.words, base, config.output_dir))["lexicon"]}
    if joined.probe:
        return {"levels": asdict(set_level(draft, joined.probe, base))}
    return {}


def said_of(card: Mapping[str, Any]) -> list[str]:
    """Return what a result says of what was joined, in lines."""
    words, levels = card.get("lexicon"), card.get("levels")
    lines = []
    if words:
        levels = words["levels"]
        lines.append(f"words joined: {words['words']:,} in {words['dimensions']} dimensions, share {words['share']:g}")
    if levels:
        lines.append(str(Levels.of(levels)))
    return lines
