"""What a tokenizer has no pieces for is counted as lost, though it is within the limit."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune import audit_tokens
from dragon_finetune.model_folder import ModelFolder, Prompts
from dragon_finetune.tokens.counting import TokenCounter

KNOWN = "Ilse walked the bared floor of the Thaul."
MOSTLY = {
    "Thai": "ใครเก็บสมุดบัญชีเกลือไว้ใต้บันได",
    "hex": "deadbeef" * 20,
    "URL": "https://example.com/" + "a1b2" * 40,
    "emoji": "😀 😀 😀",
}
FINE = {"English": KNOWN, "one emoji": f"{KNOWN} 😀", "accents": "Ein Schiff fährt über das graue Meer"}


@pytest.mark.parametrize("kind", MOSTLY)
def test_a_text_that_is_mostly_unknown_is_counted_and_shown(kind):
    audit = audit_tokens([KNOWN, MOSTLY[kind]], "embedded")
    unknown = audit.fields["text"].unknown
    assert (audit.over_limit, audit.mostly_unknown, unknown.texts) == (0, 1, 1)
    assert unknown.worst[0].where == "item 1"
    assert unknown.worst[0].share > 0.5
    assert "1 of them mostly" in str(audit)
    assert "take a model whose tokenizer knows their script" in str(audit)


@pytest.mark.parametrize("kind", FINE)
def test_a_text_that_is_known_but_for_little_is_fine(kind):
    audit = audit_tokens([FINE[kind]], "embedded")
    assert audit.mostly_unknown == 0
    assert audit.fields["text"].unknown.texts == (kind == "one emoji")
    assert ("unknown" in str(audit)) == (kind == "one emoji")


@given(words=st.lists(st.sampled_from(["the", "keeper", "สวัสดี", "ไม่"]), min_size=1, max_size=12))
def test_share_and_tokens_are_those_of_the_words_that_are_unknown(words):
    field = audit_tokens([" ".join(words)], "embedded").fields["text"]
    hidden = [word for word in words if not word.isascii()]
    assert field.unknown.tokens == len(hidden)
    assert field.unknown.share == pytest.approx(len(hidden) / (len(words) + 2))
    letters = sum(map(len, words))
    expected = sum(map(len, hidden)) / letters
    assert [text.share for text in field.unknown.worst] == ([pytest.approx(expected)] if hidden else [])
    assert field.unknown.mostly == (expected > 0.5)


@pytest.mark.parametrize("family", ["byte_bpe", "unigram", "wordpiece"])
def test_bytes_know_everything_and_other_families_do_not(family, tiny_models):
    unknown = audit_tokens([MOSTLY["Thai"]], tiny_models[family]).fields["text"].unknown
    assert unknown.mostly == (family != "byte_bpe")


def test_a_prompt_is_not_counted_with_the_text():
    folder = ModelFolder.open("embedded")
    counter = TokenCounter(folder.load_tokenizer(), prompt="query", prompts=Prompts(query="ไม่ "))
    assert [unknown for _, unknown in counter.counts_and_unknown([KNOWN])] == [None]
    ((_, unknown),) = counter.counts_and_unknown(["สวัสดี"])
    assert unknown == (1, 1.0)


def test_counts_are_the_same_whether_or_not_unknown_tokens_are_looked_for(tiny_models):
    texts = [KNOWN, *MOSTLY.values(), *FINE.values()]
    for model in tiny_models.values():
        counter = TokenCounter(model)
        assert [count for count, _ in counter.counts_and_unknown(texts)] == list(counter.counts(texts))


def test_the_worst_five_come_first_and_the_command_exits_with_1(cli, write_jsonl):
    texts = [f"{'the ' * known}{'ไม่ ' * (9 - known)}" for known in range(9)]
    file = write_jsonl("chunks.jsonl", [{"text": text} for text in texts])
    done = cli("audit", file, "--model", "embedded", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["over_limit"], report["mostly_unknown"]) == (1, 0, 5)
    worst = report["fields"]["text"]["unknown"]["worst"]
    assert [text["where"].rpartition(" ")[2] for text in worst] == ["1", "2", "3", "4", "5"]
    fine = write_jsonl("fine.jsonl", [{"text": FINE["one emoji"]}])
    done = cli("audit", fine, "--model", "embedded")
    assert done.returncode == 0
    assert "unknown to the tokenizer: 1 tokens" in done.stdout
