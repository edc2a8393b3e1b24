"""Laws that are expected to be broken, with reasons, as in a TOML file:

[actnorm]                                                    # of what has this name; or no
inverse_of_forward = "an eps in the inverse"                 # heading at all
"gradients_through_y, gradients_through_logdet" = "the same" # several laws, one reason
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glowlite.testing.laws import LAWS


def reasons_by_law(found: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return a reason for each law from a file's content: from all of it or, if it has tables, from
    the table `name`.

    Raises ValueError for a law that does not exist, is named twice, or has no reason.
    """
    if all(isinstance(value, dict) for value in found.values()):
        found = found.get(name, {})
    known = {law.name for law in LAWS}
    reasons: dict[str, str] = {}
    for key, reason in found.items():
        for law in (part.strip() for part in key.split(",")):
            if law not in known:
                raise ValueError(f"no law {law!r}")
            if law in reasons:
                raise ValueError(f"{law} is named twice")
            if not isinstance(reason, str) or not reason.strip():
                raise ValueError(f'{law} needs a reason: {law} = "why"')
            reasons[law] = reason
    return reasons
