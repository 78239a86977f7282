"""`train --dry-run`."""


def test_it_prints_and_stops(train, output, tmp_path):
    before = sorted(tmp_path.iterdir())
    code, out, err = train("--dry-run", "--epochs", 3, "--limit", 24)
    assert code == 0, err
    first, *topics = out.splitlines()
    assert first == "dry run: nothing is written; a few batches were trained, and are forgotten"
    names = [line.split()[0] for line in topics]
    assert names == ["images", "backbone", "recipe", "epochs", "by", "disk", "memory", "time"]
    assert "  epochs    3 of 3 updates of 8 images: 9 updates, " in out
    assert "test_efficientnet starts from random weights\n" in err
    assert sorted(tmp_path.iterdir()) == before


def test_what_a_run_would_refuse_is_refused(train, output):
    output.mkdir()
    (output / "metrics.csv").write_text("old")
    code, out, err = train("--dry-run")
    assert (code, out) == (2, "")
    assert err.startswith(f"fastffdi: --output {output}: already holds a run")
