"""Hypothesis profiles: `ci` is the same on every run;
`thorough` looks further. HYPOTHESIS_PROFILE=thorough pytest.
"""

import os

from hypothesis import HealthCheck, Phase, settings

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
COMMON = {"deadline": None, "suppress_health_check": QUIET}
# a failing example is shown as found: shrinking one takes minutes
FIND = (Phase.explicit, Phase.generate)
settings.register_profile("ci", max_examples=6, phases=FIND, derandomize=True, **COMMON)
settings.register_profile("thorough", max_examples=200, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
