"""Readings of one sensor in one hour, of awkward values, and the digest that both stores must give."""

from __future__ import annotations

from sensors_job.lifecycle.policy import Digest

READINGS = ((0, 220.1), (1, -0.0), (2, 1e300), (3, 5e-324), (4, 0.1 + 0.2), (3599.999999, -17.25))
"""Second of the hour that begins at 2026-11-21T11:00Z, and value; sensor d-1, type temperature."""
DIGEST = Digest(6, 4_472_292_949_792_521_905)
