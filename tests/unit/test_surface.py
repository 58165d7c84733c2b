from __future__ import annotations

import engine


def test_surface_is_these_names_and_each_is_there() -> None:
    assert sorted(engine.__all__) == [
        "EngineError", "Reader", "RunConfig", "__version__", "load_config", "prepare", "read_inputs",
        "stream_records", "work_on_run",
    ]  # fmt: skip
    for name in engine.__all__:
        assert getattr(engine, name) is not None
