"""A plugin in one file: an embedder whose 26 dimensions count letters. It needs no import from any other plugin."""

import math
import time
from datetime import timedelta

import pluggy

hookimpl = pluggy.HookimplMarker("dragons_codex")


class LettersEmbedder:
    """Unit vectors of letter counts; anagrams are twins."""

    def embed_query(self, text):
        """Return the vector of one text."""
        counts = [text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"]
        norm = math.sqrt(sum(count * count for count in counts)) or 1.0
        return [count / norm for count in counts]

    def embed_documents(self, texts):
        """Return one vector per text."""
        return [self.embed_query(text) for text in texts]

    def embed_chunks(self, texts, batch_size=100, show_progress=True, prefix=None):
        """Return vectors, mean and most "tokens" (words), elapsed time."""
        started = time.perf_counter()
        words = [len(text.split()) for text in texts]
        vectors = self.embed_documents(texts)
        elapsed = timedelta(seconds=max(time.perf_counter() - started, 1e-6))
        return vectors, sum(words) / len(words), max(words), elapsed

    def test_connection(self):
        """Counting letters always works."""
        return True


@hookimpl
def codex_embedders():
    """Offer `embedder: letters`."""
    return {"letters": lambda config: LettersEmbedder()}
