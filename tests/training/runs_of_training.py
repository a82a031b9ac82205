"""What the tests of this room share."""

from conftest import make_pairs

from dragon_finetune import TrainingConfig

PAIRS = make_pairs(40)


def config(model, out, **settings):
    """Return the settings of a run that held-back pairs judge; `halves=None`: as the product has it."""
    own = {"batch_size": 8, "device": "cpu", "halves": False}
    return TrainingConfig(base_model=model, output_dir=out, **{**own, **settings})
