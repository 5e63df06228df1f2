"""What people know from the voice, the face and both, beside what networks know: CREMA-D's raters."""
