"""Figures, players and tables: what the chapters show is one call of this package.

It draws what it is given and knows no experiment.
"""

from helpers.show.alike import alike, overlaid
from helpers.show.chosen import explorer, flip
from helpers.show.commonalities import dependence, maps_and_effects
from helpers.show.controls import agreement, by_phase, differences, nulls, randomisation, specifications, wins
from helpers.show.exercises import check
from helpers.show.inputs import representations, slices_per_class, three_bars, two_classes
from helpers.show.interactive import curve, outcomes
from helpers.show.ladder import ladder
from helpers.show.moments import heard_and_seen, map_over_effects
from helpers.show.networks import by_field, confusion, growth, history, shortcut
from helpers.show.players import blind, follow, hear, link, listen_at, player, row
from helpers.show.scores import convergence, densities, density, effects, pairs, readings
from helpers.show.tables import compare, table, verbatim
