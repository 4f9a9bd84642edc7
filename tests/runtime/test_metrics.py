import urllib.request

from services.runtime import metrics


def test_metrics_are_served_where_told() -> None:
    port, server = metrics.serve_metrics("127.0.0.1:0")
    try:
        metrics.AUDIO_SECONDS.labels("trial").inc(5)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    finally:
        server.shutdown()  # type: ignore[attr-defined]
        server.server_close()  # type: ignore[attr-defined]

    assert 'speechmesh_audio_seconds_total{service="trial"} 5.0' in text
