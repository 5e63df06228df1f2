"""What zeta can and cannot tell, measured on made-up modalities whose truth is known."""
