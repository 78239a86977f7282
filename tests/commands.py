"""`train` in tests of the command line: options of a quick run, label files, and what a refusal is."""

PLAIN = ("--backbone", "test_efficientnet", "--no-pretrained", "--amp", "off", "--threads", 1)

#: And of `predict`.
SCORING = ("--amp", "off", "--threads", 1)


def relabelled(folder, *rows, split="train", header="img_name,target"):
    file = folder / f"{split}set_label.txt"
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def refused(ended, output, code=2):
    """The one line of an error that left nothing behind."""
    assert ended.code == code, ended.err
    assert ended.out == ""
    assert ended.err.startswith("fastffdi: ")
    assert ended.err.count("\n") == 1, ended.err
    assert not output.exists()
    return ended.err.removeprefix("fastffdi: ").rstrip("\n")
