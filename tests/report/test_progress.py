"""Steps show and keep no password."""

from __future__ import annotations

import pytest

from report.progress import CONSOLE_VARIABLE, Step


def test_a_step_masks_its_lines_and_the_error_that_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CONSOLE_VARIABLE, "lines")
    with pytest.raises(RuntimeError) as caught, Step("ask http://user:pass@host") as step:
        step.outcome = "no answer from http://user:pass@host/x"
        raise RuntimeError("http://user:pass@host is down")
    assert str(caught.value) == "RuntimeError: http://***@host is down"
    said = capsys.readouterr().err
    assert "pass" not in said and said.count("http://***@host") == 3
