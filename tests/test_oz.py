"""The same path on real input: a public-domain novel through audit, chunks, training, vectors, Chroma, questions."""

import json
import re
from pathlib import Path

import chromadb
import pytest

from dragon_finetune import FineTunedEmbedder, FineTuner, TokenChunker, TrainingConfig, audit_tokens, score_question

OZ = Path(__file__).parents[2] / "shared" / "data" / "oz_chapters.jsonl"
pytestmark = pytest.mark.skipif(not OZ.is_file(), reason="shared/data/oz_chapters.jsonl is not here")

QUESTIONS = [
    ("Who rescues Dorothy's house from the prairie, and what carries it off?", ["cyclone", "Toto", "Aunt Em"]),
    ("What does the Scarecrow want from the Wizard?", ["brains", "straw"]),
    ("Why did the Tin Woodman rust in the forest?", ["axe", "oil", "rust"]),
    ("What is the Cowardly Lion ashamed of?", ["courage", "coward"]),
    ("Which flowers put the travellers to sleep?", ["poppies", "scarlet"]),
    ("How is the Wicked Witch of the West destroyed?", ["bucket", "water", "melt"]),
    ("Who obeys the owner of the Golden Cap?", ["Winged Monkeys", "three times"]),
    ("What must everyone wear in the Emerald City?", ["spectacles", "green"]),
    ("How does the Wizard leave the Land of Oz?", ["balloon", "Omaha"]),
    ("How do the silver shoes bring Dorothy home?", ["heels", "Kansas", "silver"]),
]


def cloze_pairs(texts: list[str]) -> list[dict]:
    """A sentence of each chunk as the query, the chunk without it as the positive."""
    pairs = []
    for number, text in enumerate(texts):
        sentences = [s for s in re.split(r"(?<=[.!?])\s+", text) if 40 < len(s) < 160]
        if len(sentences) > 2:
            query = sentences[number % len(sentences)]
            pairs.append({"query": query, "positive_text": text.replace(query, "", 1).strip()})
    return pairs


@pytest.mark.slow
def test_a_novel_end_to_end(tmp_path):
    chapters = [json.loads(line) for line in OZ.read_text(encoding="utf-8").splitlines()]
    book = [chapter for chapter in chapters if chapter["book_number"] == 1]
    # 23 of the 24 chapters are longer than what MiniLM reads; the last has five sentences.
    assert audit_tokens(book, "embedded").over_limit == 23

    chunks = list(TokenChunker("embedded").chunk_records(book))
    assert audit_tokens(chunks, "embedded").over_limit == 0

    # A few pairs from every part of the book: every look at the held-back ones embeds the passages of all.
    pairs = cloze_pairs([chunk["text"] for chunk in chunks])[::5]
    config = TrainingConfig(
        base_model="embedded", output_dir=tmp_path / "oz", batch_size=8, max_steps=3, learning_rate=1e-5
    )
    assert FineTuner(config).train(pairs).validation["base"] > 0

    embedder = FineTunedEmbedder(tmp_path / "oz")
    texts = [chunk["text"] for chunk in chunks]
    client = chromadb.PersistentClient(str(tmp_path / "store"), chromadb.Settings(anonymized_telemetry=False))
    collection = client.create_collection("narrative", embedding_function=None)
    ids = [f"oz_{row}" for row in range(len(texts))]
    collection.add(ids=ids, embeddings=embedder.embed_chunks(texts, 100, False)[0], documents=texts)

    scores = []
    for question, topics in QUESTIONS:
        found = collection.query(query_embeddings=[embedder.embed_query(question)], n_results=10)
        rows = [
            {"text": text, "distance": distance}
            for text, distance in zip(found["documents"][0], found["distances"][0], strict=True)
        ]
        scores.append(score_question({"expected_topics": topics}, rows))
    # Random vectors reach about 2 here; a working index well above 3.
    assert sum(score.coverage_score for score in scores) / len(scores) > 3.5
