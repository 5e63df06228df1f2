"""Table 5: what a linear probe reads off the complementary and off the contradictory channels of a trained run."""
