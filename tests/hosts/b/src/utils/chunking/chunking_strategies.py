def legacy(text):
    words = text.split()
    return [" ".join(words[start : start + 1000]) for start in range(0, len(words), 800)]


def get_chunker(strategy, wiki_type=None):
    if strategy == "legacy":
        return legacy
    raise ValueError(f"unknown strategy {strategy}")
