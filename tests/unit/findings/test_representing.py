"""What the maps of networks that are given other pictures come to."""

import numpy as np
import pandas as pd

from helpers.findings import representing


def test_a_lead_over_the_mean_map_is_no_knowledge_where_the_map_is_no_better_than_random_nodes():
    rows = [  # input, score, ends of the lead over random nodes, ends of that over the mean map
        ("knows", 0.2, 0.1, 0.3, 0.05, 0.2),
        ("guesses", 0.0, -0.1, 0.1, 0.05, 0.2),  # the mean map is below chance
        ("is one curve", 0.2, 0.1, 0.3, -0.1, 0.1),
        ("has none", np.nan, np.nan, np.nan, np.nan, np.nan),
    ]
    found = pd.DataFrame(rows, columns=["input", "score", "lead_low", "lead_high", "about_low", "about_high"])
    said = representing.said(found.assign(blocks="band", baseline="uniform")).splitlines()
    assert said == [
        "- Of bands, maps score surely above maps of random nodes for 2 of 3 inputs (knows; is one curve), "
        "surely above one map that is the same for all clips for 2 of 3 inputs (knows; guesses), "
        "and above both for 1 of 3 inputs (knows).",
        "- No interval of a lead is corrected for how many are asked for: 6, by all baselines.",
    ]
