"""A word is a word in every script, and whatever its letters are made of."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune.evaluation.leaks import find_leaks
from dragon_finetune.overlap import jaccard, near_duplicates, plain, words
from dragon_finetune.pair import Pair
from dragon_finetune.pairs.entities import Entity, NameFinder
from dragon_finetune.pairs.words import tokens
from dragon_finetune.wording import run_together, spoken

# Each twice, the second time nearly so.
SENTENCES = {
    "English": ("Who keeps the Salt Ledger under the stair?", "who keeps the salt ledger under the stair"),
    "accents": ("Qui garde la clé dorée à Thélème, là-bas?", "qui garde la clé dorée à thélème là bas"),
    "Japanese": ("鍵守りは塩の台帳をどこに隠していますか？", "鍵守りは塩の台帳をどこに隠していますか"),
    "reworded": ("鍵守りは塩の台帳をどこに隠していますか？", "鍵守りが、塩の台帳をどこに隠していますか"),
    "Chinese": ("守护者把盐账簿藏在塔楼的什么地方？", "守护者把盐账簿藏在塔楼的什么地方"),
    "Thai": ("ใครเก็บสมุดบัญชีเกลือไว้ใต้บันได?", "ใครเก็บสมุดบัญชีเกลือไว้ใต้บันได"),
    "Korean": ("소금 장부는 누가 지키고 있습니까?", "소금 장부는 누가 지키고 있습니까"),
    "Hindi": ("नमक का बहीखाता कौन रखता है?", "नमक का बहीखाता कौन रखता है"),
}
OTHERS = [
    *("Nobody lit the lamp.", "灯台の光は海の上で消えた。", "没有人点亮过灯塔里的灯。"),
    *("เรือออกจากท่าตอนเช้า", "등대의 불빛"),
]


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_a_question_that_was_trained_on_is_found_whatever_its_script_and_encoding(language, form):
    question, query = SENTENCES[language]
    pairs = [*(Pair(text, "x") for text in OTHERS), Pair(unicodedata.normalize(form, query), "x")]
    report = find_leaks([{"question_id": 1, "question": question}], pairs)
    assert [leak.query for leak in report.leaks.values()] == [pairs[-1].query]


@pytest.mark.parametrize("language", SENTENCES)
def test_other_sentences_of_the_same_script_are_no_leaks(language):
    questions = [{"question_id": 1, "question": SENTENCES[language][0]}]
    assert not find_leaks(questions, [Pair(text, "x") for text in OTHERS])


@given(st.text(), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_encoding_and_case_make_no_other_words(text, form):
    text = f"x {text}"
    other = unicodedata.normalize(form, text)
    assert words(other) == words(text)
    assert tokens(other) == tokens(text)
    assert plain(plain(text)) == plain(text)


@given(st.text(alphabet=st.characters(codec="ascii")))
def test_plain_english_is_divided_as_ever(text):
    import re

    assert plain(text) == (" ".join(re.findall(r"\w+", text.casefold())) or text)
    assert tokens(text) == re.findall(r"[^\W_]+(?:['’\-][^\W_]+)*", text.casefold())
    assert spoken(text) == text.split()
    assert run_together(text.split()) == " ".join(text.split())


@given(st.text(alphabet="塔の鍵守りは塩台帳をドコニ隠していますか、。？ราเก็บว"))
def test_what_is_cut_without_spaces_can_be_put_together_again(text):
    assert run_together(spoken(text)).replace(" ", "") == "".join(text.split())


def test_punctuation_and_width_make_no_difference_without_spaces():
    assert plain("塩の、台帳 を「守る」！") == plain("塩の台帳を守る")
    assert plain("ＳＡＬＴ ﬁne ｶﾞﾗｽ") == plain("salt fine ガラス")


def test_near_duplicates_share_pairs_of_letters():
    left, right = SENTENCES["reworded"]
    assert 0.5 < jaccard(words(left), words(right)) < 1
    assert [near.right for near in near_duplicates([left], [*OTHERS, right], 0.5)] == [len(OTHERS)]


@pytest.mark.parametrize("text", ["昨日イルセは東京塔へ行った。", "昨日、東京塔へ"])
def test_names_are_found_inside_a_text_without_spaces(text):
    assert list(NameFinder([Entity("京都塔"), Entity("東京塔")]).find(text)) == [1]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_found_in_either_encoding(form):
    text = unicodedata.normalize(form, "Sie ging nach Thélème.")
    for name in (unicodedata.normalize("NFC", "Thélème"), unicodedata.normalize("NFD", "Thélème")):
        assert list(NameFinder([Entity(name[:-1]), Entity(name)]).find(text)) == [1]
