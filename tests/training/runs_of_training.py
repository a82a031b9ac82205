"""What the tests of this room share."""

from conftest import make_pairs

from dragon_finetune import TrainingConfig

PAIRS = make_pairs(40)


def config(model, out, **settings):
    return TrainingConfig(base_model=model, output_dir=out, **{"batch_size": 8, "device": "cpu", **settings})
