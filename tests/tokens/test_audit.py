import itertools
import json

import pytest
from conftest import FAMILIES
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune import TokenCounter, audit_tokens
from dragon_finetune.errors import DataError, TokenLimitError
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.tokens.audit_report import SourceAudit
from dragon_finetune.tokens.histogram import histogram

TEXTS = ["one", "Ilse walks the Thaul.", "“Nobody answered” " * 40, "où la cloche?" * 30, "x" * 500]


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request, tiny_models):
    return ModelFolder.open(tiny_models[request.param])


@pytest.fixture(scope="module")
def sentence_transformer(folder):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder.path), device="cpu", local_files_only=True)


def test_limit_and_prompts_are_the_models_own(folder, sentence_transformer):
    assert folder.limit == sentence_transformer.max_seq_length == 64
    spoken = {prompt for prompt in sentence_transformer.prompts.values() if prompt}
    assert {folder.prompts.query, folder.prompts.document} - {""} == spoken


@pytest.mark.parametrize("role", ["query", "document"])
def test_counts_equal_what_the_model_sees(folder, sentence_transformer, role):
    sentence_transformer.max_seq_length = 100_000
    counter = TokenCounter(folder, prompt=role)
    seen = [
        int(sentence_transformer.preprocess([text], prompt=folder.prompts.of(role))["attention_mask"].sum())
        for text in TEXTS
    ]
    assert list(counter.counts(TEXTS)) == seen
    sentence_transformer.max_seq_length = folder.limit


def test_minilm_ships_with_truncation_on_and_is_counted_whole():
    assert TokenCounter("embedded").count("word " * 1000) == 1002


@given(counts=st.lists(st.integers(1, 120), min_size=1, max_size=30))
def test_audit_flags_exactly_what_exceeds_the_limit(tiny_models, counts):
    folder = ModelFolder.open(tiny_models["wordpiece"])
    texts = ["the " * count for count in counts]
    field = audit_tokens(texts, folder).fields["text"]
    tokens = [count + 2 for count in counts]
    assert field.over_limit == sum(count > 64 for count in tokens)
    assert field.tokens_lost == sum(max(count - 64, 0) for count in tokens)
    assert field.max_tokens == max(tokens)
    assert field.texts == len(texts)
    assert [text.tokens for text in field.worst] == sorted(tokens, reverse=True)[:5]


@given(lengths=st.lists(st.integers(1, 90), min_size=1, max_size=60), percent=st.sampled_from([50, 90, 95, 99]))
def test_percentiles_are_numpys(tiny_models, lengths, percent):
    import numpy as np

    folder = ModelFolder.open(tiny_models["wordpiece"])
    field = audit_tokens(["the " * length for length in lengths], folder).fields["text"]
    assert field.percentiles[percent] == pytest.approx(np.percentile(np.array(lengths) + 2, percent))


def test_pairs_are_counted_by_field_with_their_prompts(tiny):
    pairs = [{"query": "who", "positive_text": "Ilse", "negative_texts": ["Hob", "Wren"]}]
    audit = audit_tokens(pairs, tiny)
    assert {name: field.texts for name, field in audit.fields.items()} == {"query": 1, "positive": 1, "negative": 2}
    assert audit.fields["query"].prompt == "search_query: "
    assert audit.fields["query"].max_tokens == TokenCounter(tiny, prompt="query").count("who")


@given(lengths=st.dictionaries(st.integers(0, 3000), st.integers(1, 50), min_size=1), limit=st.integers(8, 1000))
def test_histogram_holds_every_text_once_and_splits_at_the_limit(lengths, limit):
    bins = histogram(lengths, limit)
    assert sum(each.texts for each in bins) == sum(lengths.values())
    assert all(two.low == one.high + 1 for one, two in itertools.pairwise(bins))
    over = sum(count for length, count in lengths.items() if length > limit)
    assert sum(each.texts for each in bins if each.over) == over
    assert all(each.low > limit for each in bins if each.over)


def test_losses_are_told_by_source(tiny_models):
    records = [{"text": "the " * 100, "source": "book"}, {"text": "the", "source": "book"}, {"text": "the"}]
    field = audit_tokens(records, tiny_models["wordpiece"]).fields["text"]
    assert field.sources == {"book": SourceAudit(texts=2, over_limit=1, tokens_lost=102 - 64)}


@pytest.mark.parametrize("text", ["Ilse walks the bared floor of the Thaul. ", "Ab1! cd2? ef3; gh4: ", "漢字 "])
def test_advice_keeps_what_the_host_cuts_by_characters_within_the_limit(tiny_models, text):
    folder = ModelFolder.open(tiny_models["wordpiece"])
    advice = audit_tokens([text * 60, text * 90], folder).advice
    assert str(advice).splitlines()[0] == f"MAX_TOKENS={advice.max_tokens}"
    assert advice.overlap_tokens < advice.target_tokens == advice.max_tokens
    counter = TokenCounter(folder)
    largest = advice.max_tokens * advice.chars_per_token  # what the host will fill with characters
    assert counter.count((text * 100)[:largest]) <= 64
    assert counter.count((text * 100)[: 2 * largest]) > 64


def test_command_draws_an_image(cli, write_jsonl, tiny, tmp_path):
    file = write_jsonl("chunks.jsonl", [{"text": "short"}])
    assert cli("audit", file, "--model", tiny, "--image", "lengths.svg").returncode == 0
    assert "tokens per text" in (tmp_path / "lengths.svg").read_text(encoding="utf-8") or "<svg" in (
        tmp_path / "lengths.svg"
    ).read_text(encoding="utf-8")
    refused = cli("audit", file, "--model", tiny, "--image", "lengths.txt")
    assert refused.returncode == 2
    assert ".png, .svg or .pdf" in refused.stderr


def test_an_empty_file_has_no_texts(cli, tiny, tmp_path):
    (tmp_path / "in.jsonl").write_text("", encoding="utf-8")
    done = cli("audit", "in.jsonl", "--model", tiny)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "no texts")


def test_over_limit_is_refused_by_name(tiny):
    audit = audit_tokens(["short", "long " * 200], tiny)
    with pytest.raises(TokenLimitError, match=r"1 of 2 texts exceed the limit of 64.*item 1 has \d+ .*do this"):
        audit.require_within_limit("do this")


def test_command_reports_and_exits_1_when_something_is_cut(cli, write_jsonl, tiny):
    file = write_jsonl("chunks.jsonl", [{"text": "short"}, {"text": "long " * 200, "source": "book"}])
    done = cli("audit", file, "--model", tiny, "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["over_limit"] == 1
    assert report["fields"]["text"]["worst"][0]["where"].endswith("line 2")
    assert cli("audit", write_jsonl("fine.jsonl", [{"text": "short"}]), "--model", tiny).returncode == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{broken", "line 2: not valid JSON"),
        ("[1]", "line 2: expected a JSON object"),
        ('{"text": ""}', "line 2: the text is empty"),
        ('{"text": 7}', "line 2: expected a string, found int 7"),
        ('{"body": "x"}', r"line 2: no field 'text'; the record has \['body'\]"),
    ],
)
def test_bad_lines_are_named(tmp_path, tiny, line, words):
    file = tmp_path / "bad.jsonl"
    file.write_text('{"text": "fine"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=words):
        audit_tokens(file, tiny)


def test_many_files_are_one_audit_and_each_line_has_its_own_place(cli, write_jsonl, tiny, tmp_path):
    files = [write_jsonl(f"{n}.jsonl", [{"text": "short"}, {"text": "long " * (100 + n)}]) for n in range(3)]
    done = cli("audit", *files, "--model", tiny, "--json")
    field = json.loads(done.stdout)["fields"]["text"]
    assert (done.returncode, field["texts"], field["over_limit"]) == (1, 6, 3)
    assert [each["where"] for each in field["worst"][:3]] == [f"{tmp_path}/{n}.jsonl, line 2" for n in (2, 1, 0)]
    bad = cli("audit", files[0], "nothing.jsonl", "--model", tiny)
    assert (bad.returncode, "nothing.jsonl does not exist" in bad.stderr) == (2, True)


@pytest.mark.parametrize("model", [str, ModelFolder.open])
def test_an_audit_shows_the_models_path_and_no_object(tiny, model):
    audit = audit_tokens(["short"], model(tiny))
    assert audit.to_dict()["model"] == str(tiny)
    assert str(audit).startswith(f"Token audit under {tiny}: limit 64")
