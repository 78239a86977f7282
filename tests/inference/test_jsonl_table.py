import json
import os

import numpy as np
import pandas as pd

from fastffdi.inference.table import write_table

NAMES = np.array(["a,b.jpg", 'say "x"\n.jpg', os.fsdecode(b"caf\xe9.jpg"), "日本.jpg", "=1"], object)
SCORES = np.array([0.25, np.nan, np.float32(0.1), 1, 1e-9])


def test_each_row_is_an_object(tmp_path):
    write_table(tmp_path / "out.jsonl", NAMES, SCORES, further={"views": np.arange(5)})
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines == [
        '{"img_name": "a,b.jpg", "y_pred": 0.25, "views": 0}',
        '{"img_name": "say \\"x\\"\\n.jpg", "y_pred": null, "views": 1}',
        '{"img_name": "caf\\udce9.jpg", "y_pred": 0.100000001, "views": 2}',
        '{"img_name": "日本.jpg", "y_pred": 1.0, "views": 3}',
        '{"img_name": "=1", "y_pred": 1e-09, "views": 4}',
    ]


def test_names_come_back_as_they_were_bytes_among_them(tmp_path):
    write_table(tmp_path / "out.jsonl", NAMES, SCORES, fill="-1")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    assert [row["img_name"] for row in rows] == NAMES.tolist()
    assert os.fsencode(rows[2]["img_name"]) == b"caf\xe9.jpg"
    assert rows[1]["y_pred"] == -1
    some = NAMES[2] != NAMES
    write_table(tmp_path / "some.jsonl", NAMES[some], SCORES[some])
    assert pd.read_json(tmp_path / "some.jsonl", lines=True)["img_name"].tolist() == NAMES[some].tolist()
