"""What a training would take, said before it."""

import pytest
from conftest import make_pairs
from runs_of_training import config

from dragon_finetune import FineTuner
from dragon_finetune.training.plan import planned_embeddings, planned_steps
from dragon_finetune.training.preparing import Material, prepare
from dragon_finetune.training.validation import Validation


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"halves": True},
        {"documents": "frozen"},
        {"documents": "frozen", "halves": True},
        {"validations_per_epoch": 2, "epochs": 3},
        {"max_steps": 5},
        {"validation_share": 0},
    ],
    ids=str,
)
def test_the_plan_counts_how_often_passages_are_embedded(tiny, tmp_path, monkeypatch, settings):
    pairs = make_pairs(60)
    wanted = config(tiny, tmp_path / "out", **settings)
    prepared = prepare(Material.read(pairs, wanted), wanted)
    taken = []
    judge = Validation.judge

    def counted(self, model):
        ours = self.queries[0] in {pair["query"] for pair in pairs}  # and not of general knowledge
        if ours and self._passages is None:
            taken.append(self)
        return judge(self, model)

    monkeypatch.setattr(Validation, "judge", counted)
    FineTuner(wanted).train(pairs)
    assert planned_embeddings(wanted, prepared, planned_steps(wanted, len(prepared.training))) == len(taken)
