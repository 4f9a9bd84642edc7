"""The RateLimit headers of the IETF's draft (draft-ietf-httpapi-ratelimit-headers): how a caller stands. Pure.

`RateLimit-Policy` and `RateLimit` are those of its last versions; `RateLimit-Limit`, `-Remaining` and `-Reset` those of
the earlier ones, which more clients know.
"""

import math

from services.accounts.claims import Standing
from services.accounts.periods import seconds_in
from services.accounts.plans import Unit

_AT_ONCE = "at-once"


def rate_limit_headers(standing: Standing) -> dict[str, str]:
    """Return the headers that tell `standing`; none where nothing is limited."""
    plan = standing.plan
    policies, limits, headers = [], [], dict[str, str]()
    if plan.period is not None and plan.amount is not None and standing.period_end is not None:
        reset = max(0, math.ceil(standing.period_end - standing.at))
        unit = "" if plan.unit is Unit.USES else f';qu="{plan.unit}"'
        policies.append(f'"{plan.period}";q={plan.amount};w={seconds_in(plan.period, standing.at)}{unit}')
        limits.append(f'"{plan.period}";r={standing.available};t={reset}')
        headers |= {
            "RateLimit-Limit": str(plan.amount),
            "RateLimit-Remaining": str(standing.available),
            "RateLimit-Reset": str(reset),
        }
    if plan.at_once:
        free = max(0, plan.at_once - standing.running)
        policies.append(f'"{_AT_ONCE}";q={plan.at_once};qu="concurrent-requests"')
        limits.append(f'"{_AT_ONCE}";r={free}')
    if policies:
        headers |= {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(limits)}
    return headers
