"""Table 6: networks that were trained on one data set go on with another, against networks that start from scratch."""
