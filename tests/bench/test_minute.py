from fastffdi.bench import minute as module
from fastffdi.bench.minute import begin


def test_a_minute_begins_and_imports_begin_with_it(monkeypatch):
    imported: list[str] = []
    monkeypatch.setattr(module, "fresh_processes", lambda *names: imported.extend(names) or "context")
    minute = begin(fixed_batch=True)
    assert 50 < minute.budget.left <= 55
    assert (minute.context, minute.fixed_batch) == ("context", True)
    assert imported == ["fastffdi.bench.timed_loader"]
