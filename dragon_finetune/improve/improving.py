"""The whole path: look, plan, join the words, train, ask, choose, embed, and write the page."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from dragon_finetune.embedding.lexical_folder import LexicalFolder, Words, make_lexical_folder
from dragon_finetune.evaluation.runs import embedder_of
from dragon_finetune.files import absolute
from dragon_finetune.improve.advice import advice
from dragon_finetune.improve.choosing import choose
from dragon_finetune.improve.corpus import write_corpus
from dragon_finetune.improve.improvement import Improvement
from dragon_finetune.improve.judging import Test
from dragon_finetune.improve.known_plans import KnownPlans, inputs_of
from dragon_finetune.improve.page import write_page
from dragon_finetune.improve.places import Places
from dragon_finetune.improve.plan import Plan
from dragon_finetune.improve.planning import Material, make_plan, training_config
from dragon_finetune.improve.request import Request
from dragon_finetune.index.bulk import embed_files
from dragon_finetune.locks import held
from dragon_finetune.model_place import absolute_if_folder
from dragon_finetune.training.result import TrainingResult

Say = Callable[[str], None]


def improve(request: Request, *, confirm: Callable[[Plan], bool], say: Say = print) -> Improvement | None:
    """Make what finds more in one's own text than the base does, as far as that can be shown; None: not confirmed.

    In `request.output` lie afterwards chunks.jsonl (the texts as they were read, with their ids), models/joined,
    models/tuned (if there was anything to train on), vectors/ (shards by fingerprint) and report.html. The same call
    goes on where a killed one stopped, and a changed input redoes what hangs on it: each step knows its own work again.

    Args:
        request: what to improve, and by what to judge it.
        confirm: is shown the plan, once for the same work, and says whether to go on.
        say: is told of each step.

    Raises:
        DataError: input that can't be read, or something else lies in `output`.
        ModelError: the base model can't be read.
        TokenLimitError: pairs over the base's limit, and `training` does not say `on_overflow: truncate`.
        BusyError: another process works in `output`.
    """
    places = Places(absolute(request.output))
    places.require_ours()
    training_config(request, places)  # bad settings are refused before anything is read
    with held(places.folder, wait=False):
        return _improve(request, places, confirm, say)


def look_ahead(request: Request) -> Plan:
    """Return the plan of `improve`, made elsewhere: nothing is left. Raises as `improve`."""
    with TemporaryDirectory() as folder:
        places = Places(Path(folder))
        training_config(request, places)
        write_corpus(request, places.chunks)
        return make_plan(request, places, Material.read(request, places, request.pairs))


def _improve(request: Request, places: Places, confirm: Callable[[Plan], bool], say: Say) -> Improvement | None:
    say("== look, and plan")
    known = KnownPlans(places)
    write_corpus(request, places.chunks)
    material = Material.read(request, places, request.pairs)
    plan, new = _plan(request, places, material, known)
    say(str(plan))
    if new and not confirm(plan):
        return None
    if request.llm and not request.pairs:
        say(f"== ask {request.llm} for questions")
        material = Material.read(request, places, _ask_for_pairs(request, places, say))
        plan, _ = _plan(request, places, material, known)
        say(str(plan))
    say("== join the words")
    words = _join(request, places, material)
    say(str(words))
    candidates = {"joined": str(places.joined)}
    test = Test(material.questions, places, request.base_model) if material.questions else None
    if test and material.questions:
        say(f"== ask {len(material.questions.texts):,} questions of the base and of it with words")
        say(str(test.ask(candidates).gains["joined"]))
    training = _train(request, places, material, plan, say)
    if training:
        candidates["tuned"] = str(places.tuned)
    judgement = test.ask(candidates) if test else None
    choice = choose(judgement, training)
    model = candidates.get(choice.name, absolute_if_folder(request.base_model))
    say(f"== embed the corpus with {choice.name}")
    embed_files([places.chunks], places.vectors, embedder_of(model))
    more = advice(plan, judgement, training, choice)
    made = Improvement(plan, words, training, judgement, choice, model, more, places.page)
    write_page(made, request)
    return made


def _plan(request: Request, places: Places, material: Material, known: KnownPlans) -> tuple[Plan, bool]:
    """Return the plan, and whether it is new."""
    inputs = inputs_of(request, places, material)
    if plan := known.get(inputs):
        return plan, False
    plan = make_plan(request, places, material)
    known.keep(inputs, plan)
    return plan, True


def _ask_for_pairs(request: Request, places: Places, say: Say) -> Path:
    from dragon_finetune.pairs.building import PairsRequest, build_pairs, write_pairs
    from dragon_finetune.pairs.llm import LlmSettings

    assert request.llm
    settings = LlmSettings(request.llm, places.folder / "asked.jsonl", request.llm_url)
    result = build_pairs(PairsRequest([places.chunks], model=request.base_model, sources=("llm",), llm=settings))
    say(str(result))
    write_pairs(places.pairs, result.pairs)
    return places.pairs


def _join(request: Request, places: Places, material: Material) -> LexicalFolder:
    words = Words([chunk.text for chunk in material.chunks])
    return make_lexical_folder(request.base_model, places.joined, words, overwrite=True)


def _train(request: Request, places: Places, material: Material, plan: Plan, say: Say) -> TrainingResult | None:
    if not plan.steps:
        return None
    from dragon_finetune.training.finetune import FineTuner  # imports torch, which takes seconds

    say("== train")
    config = training_config(request, places, plan.steps if plan.steps_cut else None)
    result = FineTuner(config).train(material.pairs)
    say(str(result))
    return result
