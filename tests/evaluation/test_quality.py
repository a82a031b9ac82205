"""Era B's score and flag, to the letter (HOST_CONTRACT 7 and 11), against a slow copy that counts by hand."""

import math
import random
import re
from collections import Counter

import pytest

from dragon_finetune.evaluation.quality import score_quality

WORDS = ["iron", "lamp", "Iron-Lamp", "Ilse", "oar's", "KEEL", "sea", "bell!", "(salt)", "où", "7", "x", "the", "---"]


def clean(text):
    return "".join(each for each in text.lower() if each in "abcdefghijklmnopqrstuvwxyz0123456789'-" or each.isspace())


def mean_cosine(documents):
    """Mean TF-IDF cosine of the first document with the rest, as scikit-learn's defaults define it."""
    counts = [Counter(re.findall(r"(?u)\b\w\w+\b", document)) for document in documents]
    if not any(counts):
        return 0.0
    idf = {
        word: math.log((1 + len(counts)) / (1 + sum(word in other for other in counts))) + 1
        for count in counts
        for word in count
    }
    rows = [{word: number * idf[word] for word, number in count.items()} for count in counts]
    norms = [math.sqrt(sum(value * value for value in row.values())) or 1.0 for row in rows]
    cosines = [
        sum(rows[0].get(word, 0.0) * value for word, value in row.items()) / (norms[0] * norm)
        for row, norm in zip(rows[1:], norms[1:], strict=True)
    ]
    return min(sum(cosines) / len(cosines), 1.0)


def slow_copy(question, chunks):
    """Return (quality before rounding, whole topics of the top five, spoiler, citations, flagged)."""
    topics, texts = question["expected_topics"], [chunk["text"] for chunk in chunks]
    words = set(re.findall(r"\b[\w'-]+\b", " ".join(topics).lower()))
    found = set(re.findall(r"\b[\w'-]+\b", " ".join(texts).lower()))
    coverage = len(words & found) / len(words) if words else 1.0
    holding = 0
    for text in texts:
        if any(clean(topic) in clean(text) for topic in topics):
            holding += 1
    precision = holding / len(texts) if texts else 0.0
    semantic = 1.0
    if topics:
        semantic = mean_cosine([clean(" ".join(topics)), *map(clean, texts)]) if texts else 0.0
    quality = min((coverage + precision + semantic) / 3 * 5, 5)
    top = clean(" ".join(texts[:5]))
    whole = sum(clean(topic) in top for topic in topics) / len(topics) if topics else 1.0
    spoiler = False
    for chunk in chunks:
        order = chunk.get("temporal_order") or chunk.get("book_number")
        if question["temporal_limit"] is not None and order is not None and order > question["temporal_limit"]:
            spoiler = True
    cited = question.get("sample_citation")
    names = [chunk["source_file"].lower() for chunk in chunks if chunk.get("source_file")]
    citations = 5.0 if not cited else None if not names else 5.0 * (str(cited).lower() in names)
    flagged = quality < 2.5 or whole < 0.3 or spoiler or (citations is not None and citations < 2)
    return quality, whole, spoiler, citations, flagged


def random_result(dice):
    def text(most):
        return " ".join(dice.choice(WORDS) for _ in range(dice.randint(1, most)))

    chunks = []
    for _ in range(dice.choice([0, 1, 3, 5, 6, 10])):
        chunk = {"text": text(dice.choice([2, 12])), "source_file": dice.choice(["a.jsonl", "b.jsonl", None])}
        if dice.random() < 0.5:
            chunk["temporal_order"] = dice.choice([None, 0, 1, 2, 3])
        if dice.random() < 0.3:
            chunk["book_number"] = dice.choice([None, 1, 4])
        chunks.append(chunk)
    question = {
        "expected_topics": [text(2) for _ in range(dice.choice([0, 1, 2, 4]))],
        "temporal_limit": dice.choice([None, None, 1, 3]),
    }
    if dice.random() < 0.2:
        question["sample_citation"] = dice.choice([None, "", "The Book of Salt, chapter 3", "a.jsonl"])
    return question, chunks


def test_2000_random_results_are_judged_as_a_slow_copy_judges_them():
    dice = random.Random(7)
    flags = Counter()
    for _ in range(2000):
        question, chunks = random_result(dice)
        ours = score_quality(question, chunks)
        quality, whole, spoiler, citations, flagged = slow_copy(question, chunks)
        assert ours.quality == pytest.approx(round(quality, 2), abs=0.0101)
        assert (ours.top_topics, ours.spoiler, ours.citations) == (pytest.approx(whole), spoiler, citations)
        if abs(quality - 2.5) > 1e-9:
            assert ours.flagged == flagged, (question, chunks)
        flags[flagged, quality < 2.5, whole < 0.3, spoiler, citations in (0, 1)] += 1
    # Each reason alone decided some of them.
    alone = [(True, *(place == only for place in range(4))) for only in range(4)]
    assert all(flags[each] for each in [(False, False, False, False, False), *alone]), flags


def test_quality_is_compared_before_it_is_rounded():
    """2.4977 is printed as 2.5, and flagged."""
    dice, found = random.Random(3), []
    while not found:
        topics = [f"w{n}" for n in range(dice.randint(3, 40))]
        texts = [" ".join([*dice.sample(topics, dice.randint(1, len(topics))), "other"]) for _ in range(3)]
        texts += ["nothing at all"] * dice.randint(0, 5)
        question = {"expected_topics": topics, "temporal_limit": None}
        quality, whole, *_ = slow_copy(question, [{"text": text} for text in texts])
        if 2.495 < quality < 2.4999 and whole >= 0.3:
            found.append((question, [{"text": text} for text in texts]))
    score = score_quality(*found[0])
    assert (score.quality, score.flagged) == (2.5, True)


def test_the_flag_asks_for_whole_topics_in_the_top_five():
    question = {"expected_topics": ["iron lamp", "salt bell"], "temporal_limit": None}
    apart = [{"text": "iron salt lamp bell"}] * 6
    assert score_quality(question, apart).coverage == 1.0
    assert score_quality(question, apart).flagged
    late = [{"text": "salt iron, bell lamp"}] * 5 + [{"text": "iron lamp and salt bell"}] * 20
    assert score_quality(question, late).quality > 2.5
    assert score_quality(question, late).flagged
    assert not score_quality(question, late[::-1]).flagged
