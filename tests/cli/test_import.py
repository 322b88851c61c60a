"""What ``grainscout import`` says of a file."""


def test_import_says_what_was_understood_and_draws_it(call, tmp_path):
    rows = [
        f"{r},{c},{v},{1e-9 * v * (1 + c)}" for r in (0, 1) for c in (0, 2) for v in (0, 0.5, 1)
    ]
    (tmp_path / "iv.csv").write_text("row,col,V (V),I (A)\n" + "\n".join(rows) + "\n")
    status, out, _ = call("import", "iv.csv", "--picture", "iv.png", "--pixel-nm", 5)
    assert status == 0
    for words in (
        "4 of 6 pixels",
        "5 x 5 nm",
        "0 to 1 V",
        "none found",
        "1 ms a sample",
        "positive",
    ):
        assert words in " ".join(out.split())
    assert (tmp_path / "iv.png").read_bytes().startswith(b"\x89PNG")
    status, _, err = call("import", "iv.csv", "--picture", "iv.png")
    assert status == 1
    assert "exists and is not overwritten" in err
    status, _, err = call("import", "iv.csv", "--height-unit", "nm")
    assert status == 2
    assert "height_unit must be left out" in err
