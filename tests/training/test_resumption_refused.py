"""What --resume refuses to go on with, and what a new run refuses to delete."""

from dataclasses import replace

import pytest
from experiments import prepared, refused, with_mixing
from outcomes import STEPS, run

from fastffdi.training.folder import BEST, TABLE

pytestmark = pytest.mark.usefixtures("one_thread")


def test_without_a_state_there_is_nothing_to_go_on_with(settings, dataset):
    message = refused(replace(settings, resume="must"), dataset)
    assert message == (
        f"--resume: {settings.output} holds no state to go on from; name the folder of a run with --output, "
        "or leave out --resume"
    )


def test_auto_deletes_no_run_of_which_there_is_no_state(settings, dataset):
    settings.output.mkdir()
    (settings.output / TABLE).write_text("old")
    message = refused(replace(settings, resume="auto"), dataset)
    assert message.startswith(f"--output {settings.output}: already holds a run; name another folder")


def test_a_folder_with_an_interrupted_run_is_refused_and_resume_is_named(settings, dataset):
    run(settings, dataset, 2)
    assert refused(settings, dataset) == (
        f"--output {settings.output}: holds a run that was interrupted; go on with it by --resume, name "
        "another folder, or add --overwrite"
    )
    with prepared(replace(settings, overwrite=True), dataset) as experiment:
        assert (experiment.place.epoch, experiment.place.images, experiment.resumed) == (0, 0, False)


def test_other_settings_are_refused_by_name(settings, dataset):
    run(settings, dataset, 2)
    changed = replace(settings, resume="must", learning_rate=0.5, seed=8, balance=True)
    assert refused(changed, dataset) == (
        f"--resume: the run in {settings.output} is another one: --lr 0.01, now 0.5; --balance False, now "
        "True; --seed 7, now 8; repeat its options, or name another folder"
    )


def test_other_images_labels_and_recipes_are_refused(settings, dataset, tmp_path):
    run(settings, dataset, 2)
    again = replace(settings, resume="must")
    fewer = replace(dataset, val=dataset.val.take(slice(1, None)))
    assert "--data 40 and 16 images (" in refused(again, fewer)
    assert "), now 40 and 15 images (" in refused(again, fewer)
    swapped = replace(dataset, train=replace(dataset.train, labels=1 - dataset.train.labels))
    assert "is another one: --data 40 and 16 images (" in refused(again, swapped)
    moved = replace(dataset, train=replace(dataset.train, root="/elsewhere"))
    with prepared(again, moved):
        pass
    assert "is another one: --pipeline recipe " in refused(with_mixing(again, tmp_path), dataset)


def test_a_best_checkpoint_that_is_missing_is_said(settings, dataset):
    run(settings, dataset, STEPS + 2)
    (settings.output / BEST).unlink()
    assert refused(replace(settings, resume="must"), dataset) == (
        f"--resume: {settings.output / BEST} is missing, the model of epoch 1; put it back, or begin again "
        "with --overwrite"
    )
