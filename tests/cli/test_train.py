"""`foley train` and `foley bench` up to their work."""


def test_missing_recipe(foley, tmp_path):
    told = foley("train", "codec", "--config", tmp_path / "gone.yaml", "--out", tmp_path / "run")
    assert told.code == 1
    assert "gone.yaml" in told.error
    assert list(tmp_path.iterdir()) == []


def test_override_without_value(foley, tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: x\nsteps: 1\nbatch_size: 1\nlr: 0.1\n")
    told = foley("train", "codec", "--config", recipe, "--out", tmp_path / "run", "--set", "steps")
    assert told.code == 1
    assert "steps" in told.error


def test_bench_refuses_before_it_loads(foley, made, model):
    assert foley("bench", made / "clip.mp4", "--model", model, "--steps", "65").code == 2
    told = foley("bench", made / "gone.mp4", "--model", model)
    assert told.code == 1
    assert "gone.mp4" in told.error
