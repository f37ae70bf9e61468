"""Gates that look at time only roughly: tests of flows are not about the latency of a busy machine."""

from __future__ import annotations

from typing import Any

ROUGH_TIMING: dict[str, Any] = {
    "latency_threads": 1,
    "latency_requests": 100,
    "quiet_wait_s": 0,
    "http_requests": 60,
    "max_latency_ratio": 20,
    "max_single_head_ratio": 20,
    "max_champion_latency_ratio": 20,
    "control_tolerance": 0.95,
}
"""Fields of `gates`."""
