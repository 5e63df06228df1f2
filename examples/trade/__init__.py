"""What accuracy costs: the runs of a comparison without their closed channels, their sizes and times beside their scores."""
